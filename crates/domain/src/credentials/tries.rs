//! Tries of the password at the gateway in office, counted by everybody together.
//!
//! A login whose answer is lost after the password was sent may have been a wrong password. Each program that counted
//! only its own would leave the others theirs, and together they would lock the account. So they share one count, and
//! a password of which nobody knows yet whether it is right is *claimed* before it is tried:
//!
//! ```text
//!   never let anybody in, or an answer was lost ──begin──▶ claimed: nobody else tries ──settle──▶ accepted, or denied
//!   accepted ──────────────────────────────────begin──▶ (nothing is written) ───settle: lost──▶ one try that is not known
//! ```
//!
//! A claim whose owner died is a try whose answer is lost.

use crate::control;
use crate::memory::Memory;
use crate::ports::{ControlTable, LogIn, PortError, Put};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of the control item.
const TRIES: &str = "tries";

/// How long others wait for the answer to one try: longer than a login takes.
const ANSWER_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// After so many tries in a row without an answer the gateway is given a pause.
const UNANSWERED_MAX: u32 = 2;

/// How long the pause is. Gateways lock after five wrong passwords as a rule.
const PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// Writes of a count that others write too, until it is given up.
const WRITES_MAX: u32 = 3;

/// What everybody together knows of the newest password that was tried. Of one that lets us in nothing changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tries {
    /// The parameter's version.
    version: u64,
    /// It let somebody in.
    accepted: bool,
    /// Tries in a row of which nobody knows the answer; those under way are among them.
    unanswered: u32,
    /// The last of them.
    tried_at: Option<Timestamp>,
    /// Who made it.
    by: String,
}

/// Whether a password may be tried.
#[derive(Debug)]
pub enum Begun {
    /// It may, once; [`settle`] is told what came of it.
    Try(Try),
    /// Not now: nobody knows the answer to another try.
    Wait(Wait),
}

/// Why a password is not tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// From then on it may be tried.
    pub until: Timestamp,
    /// Whose try is not answered.
    pub by: String,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { until, by } = self;
        write!(
            f,
            "the gateway did not say whether the password is right when {by} tried it; it is asked again at {until:.0}"
        )
    }
}

/// A try that was begun.
#[derive(Debug)]
#[must_use = "a try that is not settled counts as one whose answer was lost"]
pub struct Try {
    version: u64,
    by: String,
    at: Timestamp,
    is_counted: bool,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The gateway let us in.
    Accepted,
    /// It said that the password is wrong, or the account locked.
    Denied,
    /// The password was sent, and no answer to it came.
    Lost,
    /// The password was surely not judged.
    NotSent,
}

impl Fate {
    /// That of a login through the port.
    pub fn of(answer: &Result<LogIn, PortError>) -> Self {
        match answer {
            Ok(LogIn::Accepted(_)) => Self::Accepted,
            Ok(LogIn::Rejected { .. } | LogIn::Locked { .. }) => Self::Denied,
            Err(PortError::Unknown { .. }) => Self::Lost,
            Err(PortError::Throttled { .. } | PortError::Refused { .. }) => Self::NotSent,
        }
    }
}

impl Tries {
    /// Until when nobody tries this version, if so.
    fn wait(&self, version: u64, now: Timestamp) -> Option<Timestamp> {
        let last = self.tried_at.filter(|_| version <= self.version)?;
        let wait = match self.unanswered {
            0 => return None,
            1..UNANSWERED_MAX => ANSWER_WAIT,
            UNANSWERED_MAX.. => PAUSE,
        };
        let until = last.saturating_add(wait).ok()?;
        // A try of the future is of another clock, and tells nothing.
        (last <= now && now < until).then_some(until)
    }

    /// One more try of this version is made, or was.
    fn count(&mut self, version: u64, by: &str, at: Timestamp) {
        if version > self.version {
            *self = Self {
                version,
                ..Self::default()
            };
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.tried_at = Some(at);
        by.clone_into(&mut self.by);
    }

    fn answer(&mut self, accepted: bool) {
        *self = Self {
            version: self.version,
            accepted,
            ..Self::default()
        };
    }

    fn settle(&mut self, tried: &Try, fate: Fate) {
        // Whether an older version lets us in says nothing of the newest.
        let is_newest = self.version == tried.version;
        match fate {
            Fate::Accepted if is_newest => self.answer(true),
            Fate::Denied if is_newest => self.answer(false),
            Fate::Lost if tried.is_counted => {}
            Fate::Lost => self.count(tried.version, &tried.by, tried.at),
            Fate::Accepted | Fate::Denied | Fate::NotSent if tried.is_counted => self.uncount(),
            Fate::Accepted | Fate::Denied | Fate::NotSent => {}
        }
    }

    /// The answer to one of the tries is known, or it was not made.
    fn uncount(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.unanswered == 0 {
            self.answer(self.accepted);
        }
    }
}

/// Asks whether this version of the password may be tried now. Where nobody knows that it is right, the try is counted
/// before it is made; else nothing is written.
///
/// # Errors
/// The table's: who cannot count does not try.
pub async fn begin<T: ControlTable>(
    table: &T,
    version: u64,
    by: &str,
    now: Timestamp,
) -> Result<Begun, PortError> {
    let mut tries: Memory<Tries> = Memory::load(table, TRIES).await?;
    if let Some(until) = tries.value.wait(version, now) {
        let by = tries.value.by;
        return Ok(Begun::Wait(Wait { until, by }));
    }
    let is_right = tries.value.accepted && tries.value.unanswered == 0 && version <= tries.value.version;
    if !is_right {
        tries.value.count(version, by, now);
        if tries.save(table).await? == Put::Stale {
            let until = now.saturating_add(ANSWER_WAIT).unwrap_or(Timestamp::MAX);
            let by = "another program at the same moment".to_owned();
            return Ok(Begun::Wait(Wait { until, by }));
        }
    }
    Ok(Begun::Try(Try {
        version,
        by: by.to_owned(),
        at: now,
        is_counted: !is_right,
    }))
}

/// Tells everybody what came of a try.
///
/// # Errors
/// The table's; then the try counts as one whose answer was lost, if it was counted.
pub async fn settle<T: ControlTable>(table: &T, tried: Try, fate: Fate) -> Result<(), PortError> {
    if !tried.is_counted && matches!(fate, Fate::Accepted | Fate::NotSent) {
        return Ok(());
    }
    for _ in 0..WRITES_MAX {
        let mut tries: Memory<Tries> = Memory::load(table, TRIES).await?;
        tries.value.settle(&tried, fate);
        if tries.save(table).await? == Put::Written {
            return Ok(());
        }
    }
    Err(control::contended(TRIES))
}
