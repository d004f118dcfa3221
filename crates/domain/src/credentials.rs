//! A rejected password is remembered, so that nobody tries it again.
//!
//! The gateway locks its account after a few wrong passwords. A thousand recorders that each find out by themselves
//! would lock it at once and keep it locked. So whoever is refused says so in the control item `credentials`, and
//! everybody looks there first:
//!
//! ```text
//!   recorder, poll, check ──reject──▶ control item ◀──rejected?── poll: does not try that version again
//!                                          ▲                       dispatch: starts no recorder
//!   poll that could log in ──accept────────┘
//! ```
//!
//! A program that knows which version of the password it has (the parameter's version) names it. A recorder does not
//! know; its word makes the dispatcher wait until the next poll has tried the password, once. So does a lock of the
//! account: when it is over, the poll tries first.
//!
//! A login whose answer was lost is not a rejection, but may have been one: see [`begin`] and [`settle`].

mod tries;

use crate::control;
use crate::ports::{ControlTable, PortError, Put};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

pub use tries::{Begun, Fate, Try, Wait, begin, settle};

/// The name of the control item.
pub const ITEM: &str = "credentials";

/// Tries of a conditional write; a later one only repeats what somebody else has said meanwhile.
const TRIES: u32 = 3;

/// How long recorders wait after a lock for the poll, which comes every minute or few: it tries once and says what came of
/// it, where a thousand recorders would lock the account again before anybody knew. A poll that is silent for so long
/// stops nobody.
const POLL_FIRST: SignedDuration = SignedDuration::from_mins(5);

/// That the gateway refused our user and password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// The version of the password, where the program that was refused knows it.
    pub version: Option<u64>,
    /// When it was refused.
    pub since: Timestamp,
    /// Which program was refused.
    pub by: String,
    /// When the gateway unlocks the account, if it was locked: whether the password is right shows then. `None`
    /// when the password itself was rejected, which time does not heal.
    pub locked_until: Option<Timestamp>,
}

impl Rejection {
    /// Whether this version of the password must not be tried now.
    pub fn forbids(&self, version: u64, now: Timestamp) -> bool {
        match self.locked_until {
            Some(until) => now < until,
            None => self.version == Some(version),
        }
    }

    /// Whether recorders that are not known to have the right password wait: for as long as it stands, but for a lock only
    /// until it is over and the poll has had time to say what it finds.
    pub fn holds_recorders(&self, now: Timestamp) -> bool {
        let polled = |until: Timestamp| until.saturating_add(POLL_FIRST).unwrap_or(Timestamp::MAX);
        self.locked_until.is_none_or(|until| now < polled(until))
    }

    /// Whether it stands no more once this version of the password has let us in. What a newer one was told stays true.
    pub fn is_lifted_by(&self, version: u64) -> bool {
        self.version.is_none_or(|refused| refused <= version)
    }

    /// Whether `self` says all that `other` would add.
    fn covers(&self, other: &Self) -> bool {
        match (self.locked_until, other.locked_until) {
            (None, None) => other.version.is_none() || other.version == self.version,
            (Some(until), Some(newer)) => newer <= until,
            // Where the account is locked, nothing is known of the password: who does not know its version was refused
            // for the lock. Who does was told apart; and the reverse.
            (Some(until), None) => other.version.is_none() && other.since < until,
            (None, Some(_)) => self.version.is_some() && self.version == other.version,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            since,
            by,
            locked_until,
        } = self;
        match locked_until {
            Some(until) => write!(f, "the gateway has locked our user until {until}")?,
            None => write!(f, "the gateway rejects our password")?,
        }
        if let Some(version) = version {
            write!(f, " (version {version})")?;
        }
        write!(f, ", seen by {by} at {since}")
    }
}

/// The rejection that stands, if there is one.
///
/// # Errors
/// The table's, and [`PortError::Refused`] when the item is not one of ours.
pub async fn rejected<T: ControlTable>(table: &T) -> Result<Option<Rejection>, PortError> {
    Ok(read(table).await?.0)
}

/// Remembers a rejection. One that stands already and says as much is kept, so a thousand recorders write once.
///
/// # Errors
/// As for [`rejected`].
pub async fn reject<T: ControlTable>(table: &T, rejection: &Rejection) -> Result<(), PortError> {
    for _ in 0..TRIES {
        let (standing, version) = read(table).await?;
        if standing.is_some_and(|standing| standing.covers(rejection)) {
            return Ok(());
        }
        if control::write(table, ITEM, rejection, version).await? == Put::Written {
            return Ok(());
        }
    }
    Err(control::contended(ITEM))
}

/// Forgets the rejection `seen` before a login that succeeded. A newer one stays: it is of a later try.
///
/// # Errors
/// As for [`rejected`].
pub async fn accept<T: ControlTable>(table: &T, seen: &Rejection) -> Result<(), PortError> {
    for _ in 0..TRIES {
        let (standing, version) = read(table).await?;
        if standing.as_ref() != Some(seen) {
            return Ok(());
        }
        if control::write(table, ITEM, &None::<Rejection>, version).await? == Put::Written {
            return Ok(());
        }
    }
    Err(control::contended(ITEM))
}

async fn read<T: ControlTable>(table: &T) -> Result<(Option<Rejection>, Option<u64>), PortError> {
    let (rejection, version) = control::read::<T, Option<Rejection>>(table, ITEM).await?;
    Ok((rejection.flatten(), version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeTables, Weather};
    use futures::executor::block_on;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn of_version(version: Option<u64>) -> Rejection {
        Rejection {
            version,
            since: at(0),
            by: "test".into(),
            locked_until: None,
        }
    }

    fn locked() -> Rejection {
        Rejection {
            locked_until: Some(at(1800)),
            ..of_version(Some(3))
        }
    }

    #[test]
    fn only_the_rejected_version_is_forbidden_and_for_ever() {
        let rejection = of_version(Some(3));
        let much_later = at(0) + SignedDuration::from_hours(9000);
        assert!(rejection.forbids(3, at(0)) && rejection.forbids(3, much_later));
        assert!(!rejection.forbids(4, at(0)));
    }

    #[test]
    fn a_recorders_word_lets_the_poll_try_once() {
        assert!(!of_version(None).forbids(3, at(0)));
    }

    #[test]
    fn a_locked_account_is_left_alone_with_any_password_until_it_is_unlocked() {
        assert!(locked().forbids(3, at(1799)) && locked().forbids(4, at(1799)));
        assert!(!locked().forbids(3, at(1800)));
    }

    #[test]
    fn after_a_lock_recorders_wait_for_the_poll_and_not_for_ever() {
        assert!(locked().holds_recorders(at(1799)) && locked().holds_recorders(at(1860)));
        assert!(!locked().holds_recorders(at(1800 + 300)));
        let much_later = at(0) + SignedDuration::from_hours(9000);
        assert!(
            of_version(None).holds_recorders(much_later) && of_version(Some(3)).holds_recorders(much_later)
        );
    }

    #[test]
    fn a_recorder_that_is_refused_during_a_lock_says_nothing_new_and_one_after_it_does() {
        let table = FakeTables::new(Weather::calm());
        let refused = |second| Rejection {
            since: at(second),
            ..of_version(None)
        };
        block_on(async {
            reject(&table, &locked()).await.unwrap();
            reject(&table, &refused(1799)).await.unwrap();
            assert_eq!(rejected(&table).await.unwrap(), Some(locked()));
            reject(&table, &refused(1800)).await.unwrap();
            assert_eq!(rejected(&table).await.unwrap(), Some(refused(1800)));
        });
    }

    #[test]
    fn a_thousand_rejections_are_written_once() {
        let table = FakeTables::new(Weather::calm());
        block_on(async {
            for _ in 0..1000 {
                reject(&table, &of_version(None)).await.unwrap();
            }
            assert_eq!(table.writes(), 1);
            reject(&table, &of_version(Some(3))).await.unwrap();
            reject(&table, &of_version(None)).await.unwrap();
            assert_eq!(rejected(&table).await.unwrap(), Some(of_version(Some(3))));
            assert_eq!(table.writes(), 2);
        });
    }

    #[test]
    fn what_follows_a_lock_replaces_it() {
        let table = FakeTables::new(Weather::calm());
        block_on(async {
            reject(&table, &locked()).await.unwrap();
            reject(&table, &of_version(Some(3))).await.unwrap();
            assert_eq!(rejected(&table).await.unwrap(), Some(of_version(Some(3))));
            reject(&table, &locked()).await.unwrap();
            assert_eq!(rejected(&table).await.unwrap(), Some(of_version(Some(3))));
        });
    }

    #[test]
    fn an_accepted_password_is_rejected_no_more_and_a_newer_rejection_stays() {
        let table = FakeTables::new(Weather::calm());
        block_on(async {
            let seen = of_version(Some(3));
            reject(&table, &seen).await.unwrap();
            let newer = of_version(Some(4));
            reject(&table, &newer).await.unwrap();
            accept(&table, &seen).await.unwrap();
            assert_eq!(rejected(&table).await.unwrap(), Some(newer.clone()));
            accept(&table, &newer).await.unwrap();
            assert_eq!(rejected(&table).await.unwrap(), None);
            reject(&table, &seen).await.unwrap();
            assert_eq!(rejected(&table).await.unwrap(), Some(seen));
        });
    }

    #[test]
    fn an_item_that_is_not_ours_is_an_error() {
        let table = FakeTables::new(Weather::calm());
        block_on(async {
            let put = table
                .put_control(ITEM, &serde_json::json!({"since": 1}), None)
                .await;
            assert_eq!(put.unwrap(), Put::Written);
            assert!(matches!(rejected(&table).await, Err(PortError::Refused { .. })));
        });
    }
}
