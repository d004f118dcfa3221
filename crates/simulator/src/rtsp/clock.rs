//! The true time of the simulated world.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The machine's time when it was made, and since then its monotonic clock: a step of the machine's clock
/// must not make streams jump.
#[derive(Debug, Clone, Copy)]
pub(super) struct WallClock {
    made_at: Timestamp,
    made: Instant,
}

impl WallClock {
    /// A clock that is right now.
    pub(super) fn new() -> Self {
        Self {
            made_at: Timestamp::now(),
            made: Instant::now(),
        }
    }

    /// When it was made.
    pub(super) fn made_at(self) -> Timestamp {
        self.made_at
    }

    /// The time.
    pub(super) fn now(self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.made.elapsed()).unwrap_or(SignedDuration::MAX);
        self.made_at.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// The instant at which it will be `at`; now when that has passed.
    pub(super) fn instant_at(self, at: Timestamp) -> Instant {
        let wait = at.duration_since(self.now()).unsigned_abs();
        if at <= self.now() {
            Instant::now()
        } else {
            Instant::now() + wait
        }
    }
}
