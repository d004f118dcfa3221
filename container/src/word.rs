//! The word on the credentials: what this recorder and all others know of a rejected password.
//!
//! The gateway locks the account after a few wrong passwords, and recorders of one channel each cannot learn from
//! their neighbours. So whoever is refused writes it down ([`domain::credentials`]), and whoever is about to connect
//! looks there first:
//!
//! ```text
//!   attempt ──may I?──▶ Word ──looks, at most every 5 s──▶ control item
//!      └────refused───▶ Word ──says so, once────────────▶ control item
//!   cleared by a poll that could log in ──▶ those that were held back try; those that were refused leave,
//!                                           because only their successor gets the new password
//! ```
//!
//! A locked account is left alone likewise. When the lock is over the poll tries first; if it says nothing of it, those
//! that wait try all the same.
//!
//! The one idea: a word that cannot be had forbids nothing. Recording does not depend on a table. What follows from a word is
//! decided in [`domain::recorder::Password`].

use crate::channel::machine::Failure;
use domain::credentials::{self, Rejection};
use domain::ports::{ControlTable, PortError};
use domain::recorder::{Cleared, Password};
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

/// The newest word, shared by all channels of a recorder.
#[derive(Debug)]
pub(crate) struct Word {
    password: Mutex<Password>,
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
    pub(crate) fn new(task: &TaskArn) -> Self {
        Self {
            password: Mutex::new(Password::new(task)),
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
        match self.lock().hold_back(standing, Timestamp::now()) {
            None => Ok(()),
            Some(rejection) => {
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
        self.lock().tried(failure, now);
        if failure == Some(GapCause::CredentialsRejected) {
            self.asked.notify_one();
        }
    }

    /// Once, after a rejection that stood is over.
    pub(crate) fn take_cleared(&self) -> Option<Cleared> {
        self.lock().take_cleared()
    }

    fn is_fresh(&self) -> bool {
        self.heard.borrow().is_fresh()
    }

    fn hear(&self, began: Instant, answer: Result<Option<Rejection>, PortError>, now: Timestamp) {
        let rejection = match answer {
            Ok(rejection) => {
                self.lock().heard(rejection.as_ref(), now);
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

    fn lock(&self) -> MutexGuard<'_, Password> {
        self.password.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks when somebody asks, says what there is to say, and looks again every so often while somebody was refused or
/// held back; for ever.
pub(crate) async fn listen<T: ControlTable>(word: &Word, table: &T, again: Duration) -> Infallible {
    loop {
        tokio::select! {
            () = word.asked.notified() => {
                // Of many who ask at once, one look serves all.
                if word.is_fresh() && word.lock().to_say().is_none() {
                    continue;
                }
            }
            () = sleep(again) => {
                if !word.lock().waits() {
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
    let to_say = word.lock().to_say();
    if let Some(rejection) = to_say {
        credentials::reject(table, &rejection).await?;
        word.lock().said();
    }
    // What stands may be another word, which says more.
    credentials::rejected(table).await
}

#[cfg(test)]
mod tests;
