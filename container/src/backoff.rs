//! Waiting longer after each failure, never all at the same moment.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Jittered exponential delays: the n-th is drawn from the upper half of `first · 2ⁿ`, which is capped at
/// `max`. Randomness comes from the seed alone, so that a test can repeat it.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
    random: SmallRng,
}

impl Backoff {
    /// Delays from about `first` up to `max`.
    pub(crate) fn new(first: Duration, max: Duration, seed: u64) -> Self {
        Self {
            first,
            max,
            failures: 0,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// The delay after one more failure; never longer than `max`.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let whole = self.first.saturating_mul(factor).min(self.max);
        self.random.random_range(whole / 2..=whole)
    }

    /// Forgets the failures: it works again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last reset.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

/// Delays in proportion to how long an outage has lasted: the first try is at once, and later ones are drawn from
/// the upper half of an eighth of the outage, at least `first` and at most `max`. So a try comes soon after any
/// outage ends, measured by the outage.
#[derive(Debug)]
pub(crate) struct Pace {
    first: Duration,
    max: Duration,
    /// When the outage began, on the monotonic clock.
    since: Option<Duration>,
    random: SmallRng,
}

/// A try comes this fraction of the outage after its end, at the latest.
const OUTAGE_PARTS: u32 = 8;

impl Pace {
    /// Delays from about `first` up to `max`, after one that is zero.
    pub(crate) fn new(first: Duration, max: Duration, seed: u64) -> Self {
        Self {
            first,
            max,
            since: None,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// The delay after a failure at `now`; never longer than `max`.
    pub(crate) fn next_delay(&mut self, now: Duration) -> Duration {
        let Some(since) = self.since else {
            self.since = Some(now);
            return Duration::ZERO;
        };
        let outage = now.saturating_sub(since);
        let whole = (outage / OUTAGE_PARTS).clamp(self.first, self.max);
        self.random.random_range(whole / 2..=whole)
    }

    /// The outage is over.
    pub(crate) fn reset(&mut self) {
        self.since = None;
    }
}

/// The longest wait once somebody is in a hurry.
const HURRIED: Duration = Duration::from_secs(1);

/// Waits for `delay`, or less: when `hurry` is cancelled the wait ends, and later waits are short.
pub(crate) async fn pause(delay: Duration, hurry: &CancellationToken) {
    if hurry.is_cancelled() {
        return tokio::time::sleep(delay.min(HURRIED)).await;
    }
    // Elapsed or cancelled, the wait is over.
    let _ = tokio::time::timeout(delay, hurry.cancelled()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(10);

    #[test]
    fn the_first_reconnect_is_at_once_and_again_after_an_outage() {
        let mut pace = Pace::new(FIRST, MAX, 1);
        assert_eq!(pace.next_delay(Duration::ZERO), Duration::ZERO);
        assert!(pace.next_delay(FIRST) >= FIRST / 2);
        pace.reset();
        assert_eq!(pace.next_delay(MAX), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn a_try_comes_soon_after_an_outage_measured_by_it(seed: u64, outage_ms in 0_u64..200_000) {
            let mut pace = Pace::new(FIRST, MAX, seed);
            let outage = Duration::from_millis(outage_ms);
            let mut now = Duration::ZERO;
            let mut tries = 0;
            while now <= outage {
                now += pace.next_delay(now).max(Duration::from_millis(1));
                tries += 1;
            }
            prop_assert!(now - outage <= (outage / OUTAGE_PARTS).clamp(FIRST, MAX));
            prop_assert!(tries <= 80, "{tries} tries in {outage:?}");
        }

        #[test]
        fn delays_grow_to_the_maximum_and_never_beyond(seed: u64, failures in 0_u32..200) {
            let mut backoff = Backoff::new(FIRST, MAX, seed);
            for n in 0..failures {
                let delay = backoff.next_delay();
                prop_assert!(delay <= MAX);
                prop_assert!(delay >= (FIRST / 2).saturating_mul(2_u32.saturating_pow(n)).min(MAX / 2));
            }
        }
    }
}
