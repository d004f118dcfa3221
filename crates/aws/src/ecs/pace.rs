//! Keeping launches under AWS's rate.
//!
//! Fargate allows an account 20 RunTask calls a second in each Region, burst and sustained, and 100 launches at once
//! refilled by 20 a second ("AWS Fargate throttling quotas", Amazon ECS Developer Guide). A call here starts one task,
//! so the calls are what runs out first. Half of them are left to the account's other stacks and people.

use std::time::{Duration, Instant};

/// Launches that need not wait.
const BURST: u32 = 10;

/// Between launches that follow each other for long: ten a second.
const INTERVAL: Duration = Duration::from_millis(100);

/// When the next launches may go: a token bucket, told as the time at which it would be full again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    full_at: Option<Instant>,
}

impl Pace {
    /// Takes the next turn; returns how long to wait for it.
    pub(super) fn reserve(&mut self, now: Instant) -> Duration {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now)) + INTERVAL;
        self.full_at = Some(full_at);
        full_at
            .saturating_duration_since(now)
            .saturating_sub(INTERVAL * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_few_launches_never_wait() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(pace.reserve(now), Duration::ZERO);
        }
        assert_eq!(pace.reserve(now), INTERVAL);
    }

    #[test]
    fn a_run_of_a_hundred_launches_takes_nine_seconds_of_waiting() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let longest = (0..100).map(|_| pace.reserve(now)).max();
        assert_eq!(longest, Some(Duration::from_secs(9)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_account_may_in_any_second(idle_ms in prop::collection::vec(0_u64..400, 1..200)) {
            let (mut pace, mut now) = (Pace::default(), Instant::now());
            let mut turns = Vec::new();
            for idle in idle_ms {
                now += Duration::from_millis(idle);
                turns.push(now + pace.reserve(now));
            }
            for (i, first) in turns.iter().enumerate() {
                let within = turns.iter().skip(i).take_while(|turn| **turn < *first + Duration::from_secs(1));
                prop_assert!(within.count() <= 20);
            }
        }
    }
}
