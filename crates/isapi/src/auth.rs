//! Who may answer which challenge when.
//!
//! A wrong password must reach the gateway once and never again, because it locks the account. So as long as
//! no answer has been accepted yet, calls log in one after the other (the *turn*); the first rejection is
//! remembered and ends all of them. Once an answer was accepted its challenge is *proven* and shared: every
//! call then is one round trip, and calls run side by side.
//!
//! ```text
//!  nothing proven ──turn──▶ ask ──401──▶ answer ──2xx──▶ proven (shared, nc counted)
//!        ▲                                  └──401──▶ rejected: every later call fails at once, until the
//!        │                                            credentials change or a lock is over
//!        └── 401 without a word of the password (a restarted gateway forgot its nonces) ── proven
//!                                                             proven ──401 stale──▶ answer the new nonce at once
//! ```

use crate::digest::{Challenge, Question};
use crate::error::{IsapiError, LOCKED_FOR, ResponseStatus};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderValue;
use secrecy::SecretString;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::MutexGuard as TurnGuard;

/// The credentials, what the gateway thought of them, and the challenge all calls share.
pub(crate) struct Authenticator {
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
}

struct State {
    username: String,
    password: SecretString,
    /// Counts changes of the credentials, so that a late verdict on old ones is not held against new ones.
    epoch: u64,
    /// A challenge was answered with the password, so that the gateway may have judged it.
    answered: bool,
    proven: Option<Challenge>,
    standing: Option<Standing>,
}

/// What the gateway says of a rejected password.
#[derive(Debug, Clone, Copy)]
enum Rejection {
    Password { tries_left: Option<u32> },
    Locked { locked_for: Option<SignedDuration> },
}

impl Rejection {
    fn into_error(self, username: &str) -> IsapiError {
        let username = username.to_owned();
        match self {
            Self::Password { tries_left } => IsapiError::CredentialsRejected { username, tries_left },
            Self::Locked { locked_for } => IsapiError::Locked { username, locked_for },
        }
    }

    fn standing(self, now: Timestamp) -> Standing {
        match self {
            Self::Password { tries_left } => Standing::Password { tries_left },
            Self::Locked { locked_for } => {
                let end = now.saturating_add(locked_for.unwrap_or(LOCKED_FOR));
                Standing::LockedUntil(end.unwrap_or(Timestamp::MAX))
            }
        }
    }
}

/// A rejection that is remembered: a wrong password for good, a lock until it is over. By the wall clock, because the
/// other one stands still while a function's environment is frozen.
#[derive(Debug, Clone, Copy)]
enum Standing {
    Password { tries_left: Option<u32> },
    LockedUntil(Timestamp),
}

impl Standing {
    /// What it says at `now`; `None` once it is over.
    fn at(self, now: Timestamp) -> Option<Rejection> {
        match self {
            Self::Password { tries_left } => Some(Rejection::Password { tries_left }),
            Self::LockedUntil(until) => {
                let left = until.duration_since(now);
                let locked_for = Some(left);
                left.is_positive().then_some(Rejection::Locked { locked_for })
            }
        }
    }
}

/// What one call holds between its round trips.
#[derive(Default)]
pub(crate) struct Login<'a> {
    turn: Option<TurnGuard<'a, ()>>,
    /// A challenge made to this call and not answered yet.
    challenge: Option<Challenge>,
    /// The challenge replaces a stale one whose answers were accepted, so answering needs no turn.
    trusted: bool,
}

/// One request's authorization, and what its fate will mean.
pub(crate) struct Attempt {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) identity: Identity,
    answered: Answered,
}

/// Whose credentials a request was made with.
#[derive(Clone)]
pub(crate) struct Identity {
    username: String,
    epoch: u64,
}

enum Answered {
    Nothing,
    Proven { nonce: String },
    Fresh(Challenge),
}

/// What came with a 401.
pub(crate) struct Denial {
    pub(crate) challenge: Result<Challenge, IsapiError>,
    pub(crate) status: Option<ResponseStatus>,
}

impl Authenticator {
    pub(crate) fn new(username: String, password: SecretString) -> Self {
        let state = State {
            username,
            password,
            epoch: 0,
            answered: false,
            proven: None,
            standing: None,
        };
        Self {
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn set_credentials(&self, username: String, password: SecretString) {
        let mut state = self.state();
        let epoch = state.epoch + 1;
        *state = State {
            username,
            password,
            epoch,
            answered: false,
            proven: None,
            standing: None,
        };
    }

    pub(crate) fn credentials(&self) -> (String, SecretString) {
        let state = self.state();
        (state.username.clone(), state.password.clone())
    }

    /// Whether the gateway was given anything to judge these credentials by.
    pub(crate) fn has_answered(&self) -> bool {
        self.state().answered
    }

    /// Whether the gateway was given these credentials to judge, since this was last asked or they were last proven, and
    /// did not tell what it thinks of them.
    pub(crate) fn take_untold(&self) -> bool {
        let mut state = self.state();
        let untold = state.answered && state.proven.is_none() && state.standing.is_none();
        state.answered &= !untold;
        untold
    }

    /// The authorization of a call's next request. Waits for the turn while nothing is proven.
    ///
    /// # Errors
    /// The rejection that stands; nothing was sent.
    pub(crate) async fn attempt<'a>(
        &'a self,
        login: &mut Login<'a>,
        question: &Question<'_>,
    ) -> Result<Attempt, IsapiError> {
        if login.turn.is_none() && !login.trusted {
            if let Some(attempt) = self.state().answer_proven(question)? {
                return Ok(attempt);
            }
            let turn = self.turn.lock().await;
            // Whoever had the turn before has settled the matter as a rule.
            if let Some(attempt) = self.state().answer_proven(question)? {
                return Ok(attempt);
            }
            login.turn = Some(turn);
        }
        self.state().answer_fresh(login.challenge.take(), question)
    }

    /// The gateway let the request pass; `success` is a 2xx. Anything else proves nothing: a gateway may fail
    /// or refuse before it looks at the password.
    pub(crate) fn passed(&self, attempt: Attempt, success: bool) {
        let mut state = self.state();
        if let (Answered::Fresh(challenge), true) = (attempt.answered, success)
            && state.epoch == attempt.identity.epoch
            && state.standing.is_none()
        {
            state.proven = Some(challenge);
        }
    }

    /// The gateway answered 401. Leaves in `login` what to answer next.
    ///
    /// # Errors
    /// There is nothing to answer: the password is rejected, the account locked, or no challenge usable.
    pub(crate) fn denied(
        &self,
        login: &mut Login<'_>,
        attempt: Attempt,
        denial: Denial,
    ) -> Result<(), IsapiError> {
        let stale = denial.challenge.as_ref().is_ok_and(Challenge::stale);
        let rejection = denial.status.as_ref().and_then(rejection);
        match (attempt.answered, stale, rejection) {
            (Answered::Nothing, _, Some(Rejection::Locked { locked_for })) => {
                // Somebody else's doing: no password of ours was tried, so trying later does no harm.
                return Err(Rejection::Locked { locked_for }.into_error(&attempt.identity.username));
            }
            (Answered::Nothing, _, _) => {}
            (Answered::Proven { .. }, true, _) => login.trusted = true,
            (Answered::Fresh(_), true, _) => {}
            (Answered::Proven { nonce }, false, None) => self.state().forget(&nonce),
            (Answered::Proven { .. } | Answered::Fresh(_), false, rejection) => {
                let rejection = rejection.unwrap_or(Rejection::Password { tries_left: None });
                return Err(self.state().reject(&attempt.identity, rejection));
            }
        }
        login.challenge = Some(denial.challenge?);
        Ok(())
    }

    /// Remembers a rejection that came in the body of an answer rather than as a 401.
    pub(crate) fn rejected_in_body(&self, identity: &Identity, status: &ResponseStatus) -> IsapiError {
        let locked = status.locked || is_lock(status);
        let rejection = match locked {
            true => Rejection::Locked {
                locked_for: status.locked_for,
            },
            false => Rejection::Password {
                tries_left: status.tries_left,
            },
        };
        self.state().reject(identity, rejection)
    }

    /// The rejection that every call fails with now.
    pub(crate) fn refusal(&self) -> Option<IsapiError> {
        self.state().check(Timestamp::now()).err()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves no half-written state: every change here is a single assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Fails with the rejection that stands at `now`, and forgets one that is over: the next call tries, and whoever
    /// comes meanwhile waits for its turn.
    fn check(&mut self, now: Timestamp) -> Result<(), IsapiError> {
        let Some(standing) = self.standing else {
            return Ok(());
        };
        if let Some(rejection) = standing.at(now) {
            return Err(rejection.into_error(&self.username));
        }
        tracing::info!(
            username = self.username,
            "the account should be unlocked: it is tried once"
        );
        self.standing = None;
        // The former answer was judged: by the lock.
        self.answered = false;
        Ok(())
    }

    fn answer_proven(&mut self, question: &Question<'_>) -> Result<Option<Attempt>, IsapiError> {
        self.check(Timestamp::now())?;
        let Some(challenge) = self.proven.as_mut() else {
            return Ok(None);
        };
        let Some(authorization) = challenge.answer(&self.username, &self.password, question) else {
            self.unprove();
            return Ok(None);
        };
        let answered = Answered::Proven {
            nonce: challenge.nonce().to_owned(),
        };
        Ok(Some(Attempt {
            authorization: Some(authorization),
            identity: self.identity(),
            answered,
        }))
    }

    /// Answers a challenge made to this call alone; asks for one when there is none.
    fn answer_fresh(
        &mut self,
        challenge: Option<Challenge>,
        question: &Question<'_>,
    ) -> Result<Attempt, IsapiError> {
        self.check(Timestamp::now())?;
        let answer = challenge.and_then(|mut challenge| {
            let authorization = challenge.answer(&self.username, &self.password, question)?;
            Some((authorization, Answered::Fresh(challenge)))
        });
        let (authorization, answered) = match answer {
            Some((authorization, answered)) => {
                self.answered = true;
                (Some(authorization), answered)
            }
            None => (None, Answered::Nothing),
        };
        Ok(Attempt {
            authorization,
            identity: self.identity(),
            answered,
        })
    }

    fn identity(&self) -> Identity {
        Identity {
            username: self.username.clone(),
            epoch: self.epoch,
        }
    }

    fn forget(&mut self, nonce: &str) {
        if self.proven.as_ref().is_some_and(|proven| proven.nonce() == nonce) {
            self.unprove();
        }
    }

    /// A new challenge is needed; the answers to the former one were judged.
    fn unprove(&mut self) {
        self.proven = None;
        self.answered = false;
    }

    fn reject(&mut self, identity: &Identity, rejection: Rejection) -> IsapiError {
        let error = rejection.into_error(&identity.username);
        if identity.epoch == self.epoch {
            tracing::warn!(%error, "the gateway is not asked again until the credentials change or a lock is over");
            self.standing = Some(rejection.standing(Timestamp::now()));
            self.proven = None;
        }
        error
    }
}

fn rejection(status: &ResponseStatus) -> Option<Rejection> {
    if status.locked || status.tries_left == Some(0) || is_lock(status) {
        return Some(Rejection::Locked {
            locked_for: status.locked_for,
        });
    }
    status.tries_left.map(|tries| Rejection::Password {
        tries_left: Some(tries),
    })
}

/// `MgmtLokedError` (sic) is how the vendor's guide spells it.
fn is_lock(status: &ResponseStatus) -> bool {
    ["MgmtLokedError", "MgmtLockedError"]
        .iter()
        .any(|lock| status.sub_status_code.eq_ignore_ascii_case(lock))
}
