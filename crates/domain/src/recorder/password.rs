//! Whether a recorder tries its password: by what the gateway made of it, and by what the other recorders were told.

use crate::credentials::Rejection;
use crate::gap::GapCause;
use crate::id::TaskArn;
use jiff::Timestamp;

/// What one process knows of its credentials at one gateway. While it is not known whether they are good, one attempt at a
/// time is let through; the first success opens the door for all. Two channels rejected in a row close it: one alone may be its
/// own trouble.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: they were not tried, or the gateway has been away since.
    #[default]
    Unproven,
    /// A stream was described with them.
    Proven,
    /// One channel was rejected, and none accepted since.
    Doubted,
    /// Rejected; nobody tries until somebody changes something.
    Rejected,
}

impl Trust {
    /// What is known after an attempt that came to this.
    #[must_use]
    pub fn learn(self, failure: Option<GapCause>) -> Self {
        match (self, failure) {
            (_, None) => Self::Proven,
            (Self::Unproven | Self::Proven, Some(GapCause::CredentialsRejected)) => Self::Doubted,
            (Self::Doubted | Self::Rejected, Some(GapCause::CredentialsRejected)) => Self::Rejected,
            (Self::Proven, Some(GapCause::GatewayDown)) => Self::Unproven,
            (known, Some(_)) => known,
        }
    }

    /// Somebody changed something: rejected credentials may be tried again, once.
    #[must_use]
    pub fn reopened(self) -> Self {
        match self {
            Self::Rejected => Self::Unproven,
            Self::Unproven | Self::Proven | Self::Doubted => self,
        }
    }
}

/// What a process has seen of the gateway's opinion.
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
pub enum Cleared {
    /// Our own password may be right: connect.
    Retry,
    /// Another password is right than the one this process was started with: leave to a successor, which gets that.
    Leave,
}

/// What one recorder knows of a rejected password, its own experience and the others' word together.
#[derive(Debug)]
pub struct Password {
    name: String,
    own: Own,
    /// When we were refused, as long as the others do not know.
    unsaid: Option<Timestamp>,
    /// A channel of ours was refused or held back, and waits for the end of a rejection.
    waits: bool,
    cleared: Option<Cleared>,
}

impl Password {
    /// The password of a recorder that has not tried it.
    pub fn new(task: &TaskArn) -> Self {
        Self {
            name: format!("recorder {task}"),
            own: Own::default(),
            unsaid: None,
            waits: false,
            cleared: None,
        }
    }

    /// The rejection that forbids an attempt now, if this one does; the attempt is held back then.
    pub fn hold_back(&mut self, standing: Option<Rejection>, now: Timestamp) -> Option<Rejection> {
        let rejection = standing.filter(|rejection| self.is_forbidden_by(rejection, now))?;
        self.waits = true;
        Some(rejection)
    }

    fn is_forbidden_by(&self, rejection: &Rejection, now: Timestamp) -> bool {
        if rejection.by == self.name {
            // What we found out ourselves is for our own trust to judge.
            return false;
        }
        match (rejection.locked_until, rejection.version) {
            // Any try prolongs a lock.
            (Some(until), _) if self.own == Own::Accepted => now < until,
            (Some(_), _) => rejection.holds_recorders(now),
            // Another recorder was refused: with our password.
            (None, None) => true,
            // The poll's may be newer than ours. If ours was accepted, ours is right.
            (None, Some(_)) => self.own != Own::Accepted,
        }
    }

    /// What the gateway made of our password: nothing else is known of an attempt that failed for other reasons.
    pub fn tried(&mut self, failure: Option<GapCause>, now: Timestamp) {
        match failure {
            None => self.own = Own::Accepted,
            Some(GapCause::CredentialsRejected) => {
                self.own = Own::Refused;
                self.waits = true;
                self.unsaid.get_or_insert(now);
            }
            Some(GapCause::GatewayDown) if self.own == Own::Accepted => self.own = Own::Unknown,
            Some(_) => {}
        }
    }

    /// What the others are to be told.
    pub fn to_say(&self) -> Option<Rejection> {
        self.unsaid.map(|since| Rejection {
            version: None,
            since,
            by: self.name.clone(),
            locked_until: None,
        })
    }

    /// The others were told.
    pub fn said(&mut self) {
        self.unsaid = None;
    }

    /// Whether to look again and again for the end of a rejection.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// A look found this, or nothing.
    pub fn heard(&mut self, standing: Option<&Rejection>, now: Timestamp) {
        let locked = standing.is_some_and(|rejection| rejection.locked_until.is_some());
        if locked && self.own == Own::Refused {
            // A locked account refuses right passwords too: ours may be one, and is tried again after the lock.
            self.own = Own::Unknown;
        }
        let stands = standing.is_some_and(|rejection| rejection.holds_recorders(now));
        if stands || self.unsaid.is_some() || !std::mem::take(&mut self.waits) {
            return;
        }
        self.cleared = Some(match self.own {
            Own::Refused => Cleared::Leave,
            // A channel that was refused before another was accepted was refused for reasons of its own.
            Own::Unknown | Own::Accepted => Cleared::Retry,
        });
    }

    /// Once, after a rejection that stood is over.
    pub fn take_cleared(&mut self) -> Option<Cleared> {
        self.cleared.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Password {
        let mut password = Password::new(&TaskArn::new("a"));
        password.tried(Some(GapCause::CredentialsRejected), Timestamp::UNIX_EPOCH);
        password
    }

    #[test]
    fn who_was_refused_leaves_once_others_know_and_none_is_rejected_any_more() {
        let mut password = refused();
        password.heard(None, Timestamp::UNIX_EPOCH);
        assert_eq!(password.take_cleared(), None, "nobody knows yet");
        assert_eq!(password.to_say().unwrap().by, "recorder a");
        password.said();
        password.heard(None, Timestamp::UNIX_EPOCH);
        assert_eq!(password.take_cleared(), Some(Cleared::Leave));
        password.heard(None, Timestamp::UNIX_EPOCH);
        assert_eq!(password.take_cleared(), None);
    }

    #[test]
    fn a_channel_that_was_refused_alone_tries_again() {
        let mut password = refused();
        password.said();
        password.tried(None, Timestamp::UNIX_EPOCH);
        assert!(password.waits(), "one of its channels does");
        password.heard(None, Timestamp::UNIX_EPOCH);
        assert_eq!(password.take_cleared(), Some(Cleared::Retry));
    }
}
