//! The word on the credentials: what this recorder and all others know of a rejected password.
//!
//! The gateway locks the account after a few wrong passwords, and recorders of one channel each cannot learn from
//! their neighbours. So whoever is refused writes it down ([`domain::credentials`]), and whoever is about to connect
//! looks there first:
//!
//! ```text
//!   attempt ──may I?──▶ Word ──looks, at most every 5 s──▶ control item
//!      └────refused───▶ Word ──says so, once────────────▶ control item
//!   cleared by a poll that could log in ──▶ those that were held back try; those that were refused end,
//!                                           because only their successor gets the new password
//! ```
//!
//! A locked account is left alone likewise. When the lock is over the poll tries first; if it says nothing of it, those
//! that wait try all the same.
//!
//! The one idea: a word that cannot be had forbids nothing. Recording does not depend on a table.

use crate::channel::machine::Failure;
use domain::credentials::{self, Rejection};
use domain::ports::{ControlTable, PortError};
use domain::{GapCause, TaskArn};
use jiff::Timestamp;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// The longest wait for the table's answer; an attempt is held up by it.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A look serves all attempts of so long: the channels of one recorder that lose the gateway together.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// How often an attempt asks: an answer that was stale before the attempt saw it was none.
const ASKS_MAX: u32 = 3;

/// What this process has seen of the gateway's opinion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Own {
    /// Nothing, or the gateway has been away since.
    #[default]
    Unknown,
    /// Our password was accepted last.
    Accepted,
    /// Our password was refused last.
    Refused,
}

/// That the rejection is over, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cleared {
    /// Our own password was not refused: connect.
    Retry,
    /// Another password is right than the one this process was started with: end.
    End,
}

#[derive(Debug, Default)]
struct State {
    own: Own,
    /// When we were refused, as long as the table does not know.
    unsaid: Option<Timestamp>,
    /// Somebody's attempt was held back.
    held_back: bool,
    cleared: Option<Cleared>,
}

/// The newest word, shared by all channels of a recorder.
#[derive(Debug)]
pub(crate) struct Word {
    task: TaskArn,
    state: Mutex<State>,
    asked: Notify,
    heard: watch::Sender<Heard>,
}

#[derive(Debug, Clone, Default)]
struct Heard {
    /// When the look began.
    at: Option<Instant>,
    rejection: Option<Rejection>,
}

impl Heard {
    fn is_fresh(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() < FRESH_FOR)
    }
}

impl Word {
    pub(crate) fn new(task: TaskArn) -> Self {
        Self {
            task,
            state: Mutex::default(),
            asked: Notify::new(),
            heard: watch::Sender::default(),
        }
    }

    /// Whether the password may be tried now. Needs [`listen`] to run. Cancel-safe.
    ///
    /// # Errors
    /// [`GapCause::CredentialsRejected`]: somebody else was refused, and nobody accepted since.
    pub(crate) async fn permits(&self) -> Result<(), Failure> {
        let standing = self.standing().await;
        let mut state = self.lock();
        match standing.filter(|rejection| self.forbids(state.own, rejection, Timestamp::now())) {
            None => Ok(()),
            Some(rejection) => {
                state.held_back = true;
                let text = format!("not tried: {rejection}");
                Err(Failure::new(GapCause::CredentialsRejected, text))
            }
        }
    }

    /// The rejection of the newest look; `None` also when no answer came in time, which forbids nothing.
    async fn standing(&self) -> Option<Rejection> {
        let mut heard = self.heard.subscribe();
        for _ in 0..ASKS_MAX {
            if !self.is_fresh() {
                self.asked.notify_one();
            }
            if let Ok(Ok(heard)) = timeout(ANSWER_WITHIN, heard.wait_for(Heard::is_fresh)).await {
                return heard.rejection.clone();
            }
        }
        None
    }

    /// What the gateway made of our password: nothing else is known of an attempt that failed for other reasons.
    pub(crate) fn tried(&self, failure: Option<GapCause>, now: Timestamp) {
        let mut state = self.lock();
        match failure {
            None => state.own = Own::Accepted,
            Some(GapCause::CredentialsRejected) => {
                state.own = Own::Refused;
                state.unsaid.get_or_insert(now);
                self.asked.notify_one();
            }
            Some(GapCause::GatewayDown) if state.own == Own::Accepted => state.own = Own::Unknown,
            Some(_) => {}
        }
    }

    /// Once, after a rejection that stood is over.
    pub(crate) fn take_cleared(&self) -> Option<Cleared> {
        self.lock().cleared.take()
    }

    fn forbids(&self, own: Own, rejection: &Rejection, now: Timestamp) -> bool {
        if rejection.by == self.name() {
            // What we found out ourselves is the gate's business.
            return false;
        }
        match (rejection.locked_until, rejection.version) {
            // Any try prolongs a lock.
            (Some(until), _) if own == Own::Accepted => now < until,
            (Some(_), _) => rejection.holds_recorders(now),
            // Another recorder was refused: with our password.
            (None, None) => true,
            // The poll's may be newer than ours. If ours was accepted, ours is right.
            (None, Some(_)) => own != Own::Accepted,
        }
    }

    fn is_fresh(&self) -> bool {
        self.heard.borrow().is_fresh()
    }

    fn name(&self) -> String {
        format!("recorder {}", self.task)
    }

    fn waits(&self) -> bool {
        let state = self.lock();
        state.held_back || state.own == Own::Refused
    }

    fn hear(&self, began: Instant, answer: Result<Option<Rejection>, PortError>, now: Timestamp) {
        let rejection = match answer {
            Ok(rejection) => {
                self.heed(rejection.as_ref(), now);
                rejection
            }
            Err(error) => {
                tracing::warn!(
                    error = error.chain(),
                    "word on the credentials not read or written"
                );
                None
            }
        };
        let at = Some(began);
        self.heard.send_replace(Heard { at, rejection });
    }

    fn heed(&self, standing: Option<&Rejection>, now: Timestamp) {
        if standing.is_some_and(|rejection| rejection.locked_until.is_some()) {
            self.excuse();
        }
        if standing.is_none_or(|rejection| !rejection.holds_recorders(now)) {
            self.clear();
        }
    }

    /// A locked account refuses right passwords too: ours may be one, and is tried again after the lock.
    fn excuse(&self) {
        let mut state = self.lock();
        if state.own == Own::Refused {
            state.own = Own::Unknown;
            state.held_back = true;
        }
    }

    fn clear(&self) {
        let mut state = self.lock();
        if state.unsaid.is_some() {
            return;
        }
        if state.own == Own::Refused {
            state.cleared = Some(Cleared::End);
        } else if state.held_back {
            state.cleared = Some(Cleared::Retry);
        }
        state.held_back = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks when somebody asks, says what there is to say, and looks again every so often while somebody was refused or
/// held back; for ever.
pub(crate) async fn listen<T: ControlTable>(word: &Word, table: &T, again: Duration) -> Infallible {
    loop {
        tokio::select! {
            () = word.asked.notified() => {
                // Of many who ask at once, one look serves all.
                if word.is_fresh() && word.lock().unsaid.is_none() {
                    continue;
                }
            }
            () = sleep(again) => {
                if !word.waits() {
                    continue;
                }
            }
        }
        let began = Instant::now();
        let answer = timeout(ANSWER_WITHIN, exchange(word, table))
            .await
            .unwrap_or_else(|late| Err(PortError::unknown("exchanging the word on the credentials", late)));
        word.hear(began, answer, Timestamp::now());
    }
}

async fn exchange<T: ControlTable>(word: &Word, table: &T) -> Result<Option<Rejection>, PortError> {
    let unsaid = word.lock().unsaid;
    let Some(since) = unsaid else {
        return credentials::rejected(table).await;
    };
    let rejection = Rejection {
        version: None,
        since,
        by: word.name(),
        locked_until: None,
    };
    credentials::reject(table, &rejection).await?;
    word.lock().unsaid = None;
    // What stands may be another word, which says more.
    credentials::rejected(table).await
}

#[cfg(test)]
mod tests;
