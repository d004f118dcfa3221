//! One modelled recorder's way to the gateway: whether it tries its password, which [`domain::recorder`] decides, and what it
//! hears of it.

use super::drive::drive;
use super::recorders::{Scene, Step};
use domain::credentials::{Rejection, reject, rejected};
use domain::ports::PortError;
use domain::recorder::{Cleared, Password, Trust};
use domain::{GapCause, TaskArn};
use jiff::{SignedDuration, Timestamp};

/// While it waits for the end of a rejection it looks so often: every third pull.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

#[derive(Debug)]
pub(super) struct Door {
    password: Password,
    trust: Trust,
    /// The table is out of reach.
    blind: bool,
    looked_at: Option<Timestamp>,
    /// The rejection that stands, by the look of this step.
    heard: Option<Option<Rejection>>,
}

impl Door {
    pub(super) fn new(task: &TaskArn) -> Self {
        Self {
            password: Password::new(task),
            trust: Trust::default(),
            blind: false,
            looked_at: None,
            heard: None,
        }
    }

    /// A new step begins: what was heard is old.
    pub(super) fn look_again(&mut self, blind: bool) {
        self.blind = blind;
        self.heard = None;
    }

    /// Somebody changed what could have been the reason of a rejection.
    pub(super) fn reopen(&mut self) {
        self.trust = self.trust.reopened();
    }

    /// Once, after a rejection that stood is over.
    pub(super) fn take_cleared(&mut self) -> Option<Cleared> {
        let cleared = self.password.take_cleared();
        if cleared == Some(Cleared::Retry) {
            self.reopen();
        }
        cleared
    }

    /// A channel knocks; why it is not let in, if it is not.
    pub(super) fn knock(&mut self, scene: &Scene<'_>, step: &mut Step) -> Option<&'static str> {
        if self.trust == Trust::Rejected {
            return Some("not tried: we were rejected already");
        }
        let failure = self.attempt(scene, step);
        let cause = failure.map(|_| GapCause::CredentialsRejected);
        self.trust = self.trust.learn(cause);
        failure
    }

    fn attempt(&mut self, scene: &Scene<'_>, step: &mut Step) -> Option<&'static str> {
        let standing = self.heard.clone().unwrap_or_else(|| self.exchange(scene));
        if self.password.hold_back(standing, scene.now).is_some() {
            step.reached.push("password held back");
            return Some("not tried: another was rejected");
        }
        let refused = scene.refusing.then_some(GapCause::CredentialsRejected);
        self.password.tried(refused, scene.now);
        refused.map(|_| {
            step.reached.push("password rejected");
            "the password was rejected"
        })
    }

    /// Says what there is to say, and looks again every so often while a channel waits.
    pub(super) fn listen(&mut self, scene: &Scene<'_>) {
        let is_due = |at: Timestamp| scene.now.duration_since(at) >= LOOK_AGAIN;
        let waits = self.password.waits() && self.looked_at.is_none_or(is_due);
        if waits || self.password.to_say().is_some() {
            self.exchange(scene);
        }
    }

    /// A word that cannot be had forbids nothing.
    fn exchange(&mut self, scene: &Scene<'_>) -> Option<Rejection> {
        if self.blind {
            return None;
        }
        self.looked_at = Some(scene.now);
        let look = async {
            if let Some(rejection) = self.password.to_say() {
                reject(scene.tables, &rejection).await?;
                self.password.said();
            }
            rejected(scene.tables).await
        };
        let answer: Option<Result<_, PortError>> = drive(look, None);
        let heard = answer.and_then(Result::ok);
        if let Some(standing) = &heard {
            self.password.heard(standing.as_ref(), scene.now);
        }
        self.heard = Some(heard.flatten());
        self.heard.clone().flatten()
    }
}
