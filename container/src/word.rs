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
        let mut heard = self.heard.subscribe();
        if !self.is_fresh() {
            self.asked.notify_one();
        }
        let standing = match heard.wait_for(Heard::is_fresh).await {
            Ok(heard) => heard.rejection.clone(),
            // The sender lives as long as we do.
            Err(_) => None,
        };
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
            (Some(until), _) => now < until,
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

    fn hear(&self, began: Instant, answer: Result<Option<Rejection>, PortError>) {
        let rejection = match answer {
            Ok(rejection) => {
                if rejection.is_none() {
                    self.clear();
                }
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
        word.hear(began, answer);
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
    Ok(Some(rejection))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::fakes::{FakeTables, Weather};
    use jiff::SignedDuration;

    const LOOK_AGAIN: Duration = Duration::from_secs(30);

    fn rejection(by: &str, version: Option<u64>) -> Rejection {
        Rejection {
            version,
            since: Timestamp::now(),
            by: by.to_owned(),
            locked_until: None,
        }
    }

    /// What a recorder's word says while its loop runs.
    async fn with<R>(word: &Word, tables: &FakeTables, work: impl Future<Output = R>) -> R {
        tokio::select! {
            result = work => result,
            never = listen(word, tables, LOOK_AGAIN) => match never {},
        }
    }

    fn fresh() -> (FakeTables, Word) {
        (FakeTables::new(Weather::calm()), Word::new(TaskArn::new("a")))
    }

    async fn time_for_a_look() {
        sleep(LOOK_AGAIN + Duration::from_secs(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_recorder_found_out_no_other_tries() {
        let (tables, word) = fresh();
        with(&word, &tables, async {
            assert!(word.permits().await.is_ok());
            word.tried(Some(GapCause::CredentialsRejected), Timestamp::now());
            time_for_a_look().await;
            assert!(
                word.permits().await.is_ok(),
                "its own word is the gate's business"
            );
        })
        .await;
        let other = Word::new(TaskArn::new("b"));
        let failure = with(&other, &tables, other.permits()).await.unwrap_err();
        assert_eq!(failure.cause, GapCause::CredentialsRejected);
        assert!(failure.text.contains("recorder a"), "{}", failure.text);
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_that_was_accepted_is_not_doubted_for_the_polls_newer_one() {
        let (tables, word) = fresh();
        credentials::reject(&tables, &rejection("poll", Some(7)))
            .await
            .unwrap();
        with(&word, &tables, async {
            assert!(word.permits().await.is_err(), "it may be the same");
            word.tried(None, Timestamp::now());
            assert!(word.permits().await.is_ok());
            word.tried(Some(GapCause::GatewayDown), Timestamp::now());
            assert!(word.permits().await.is_err());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_locked_account_is_left_alone_even_with_a_password_that_was_right() {
        let (tables, word) = fresh();
        let locked = Rejection {
            locked_until: Some(Timestamp::now() + SignedDuration::from_hours(1)),
            ..rejection("poll", Some(7))
        };
        credentials::reject(&tables, &locked).await.unwrap();
        word.tried(None, Timestamp::now());
        assert!(with(&word, &tables, word.permits()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_poll_logs_in_the_held_back_try_and_the_refused_end() {
        let (tables, word) = fresh();
        let standing = rejection("recorder b", None);
        credentials::reject(&tables, &standing).await.unwrap();
        with(&word, &tables, async {
            word.permits().await.unwrap_err();
            time_for_a_look().await;
            assert_eq!(word.take_cleared(), None);
            credentials::accept(&tables, &standing).await.unwrap();
            time_for_a_look().await;
            assert_eq!(word.take_cleared(), Some(Cleared::Retry));
            assert_eq!(word.take_cleared(), None);

            word.tried(Some(GapCause::CredentialsRejected), Timestamp::now());
            time_for_a_look().await;
            assert_eq!(word.take_cleared(), None);
            let ours = credentials::rejected(&tables).await.unwrap().unwrap();
            credentials::accept(&tables, &ours).await.unwrap();
            time_for_a_look().await;
            assert_eq!(word.take_cleared(), Some(Cleared::End));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_does_not_answer_forbids_nothing_and_hears_of_it_later() {
        let (tables, word) = fresh();
        let weather = Weather::calm();
        let away = FakeTables::new(weather.clone());
        weather.set_trouble(100);
        with(&word, &away, async {
            assert!(word.permits().await.is_ok());
            word.tried(Some(GapCause::CredentialsRejected), Timestamp::now());
            time_for_a_look().await;
        })
        .await;
        with(&word, &tables, time_for_a_look()).await;
        assert!(credentials::rejected(&tables).await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_channels_look_once_and_calm_recorders_never() {
        let weather = Weather::calm();
        let (tables, word) = (FakeTables::new(weather.clone()), Word::new(TaskArn::new("a")));
        with(&word, &tables, async {
            let attempts = futures::future::join_all((0..100).map(|_| word.permits())).await;
            assert!(attempts.iter().all(Result::is_ok));
            word.tried(None, Timestamp::now());
            sleep(Duration::from_secs(3600)).await;
        })
        .await;
        assert_eq!(weather.calls(), 1);
    }
}
