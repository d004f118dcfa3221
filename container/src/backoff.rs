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
    at_once: bool,
    failures: u32,
    random: SmallRng,
}

impl Backoff {
    /// Delays from about `first` up to `max`.
    pub(crate) fn new(first: Duration, max: Duration, seed: u64) -> Self {
        Self {
            first,
            max,
            at_once: false,
            failures: 0,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// The same, but the first delay is zero: one hiccup costs no time.
    pub(crate) fn at_once_then(first: Duration, max: Duration, seed: u64) -> Self {
        Self {
            at_once: true,
            ..Self::new(first, max, seed)
        }
    }

    /// The delay after one more failure; never longer than `max`.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        let exponent = match (self.at_once, failures) {
            (true, 0) => return Duration::ZERO,
            (true, later) => later - 1,
            (false, any) => any,
        };
        let whole = self
            .first
            .saturating_mul(2_u32.saturating_pow(exponent))
            .min(self.max);
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
    fn the_first_reconnect_is_at_once() {
        let mut backoff = Backoff::at_once_then(FIRST, MAX, 1);
        assert_eq!(backoff.next_delay(), Duration::ZERO);
        assert!(backoff.next_delay() >= FIRST / 2);
        backoff.reset();
        assert_eq!(backoff.next_delay(), Duration::ZERO);
    }

    proptest! {
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
