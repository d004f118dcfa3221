//! Whether an invocation that has dispatched dispatches once more.
//!
//! One run starts a bounded number of recorders, and some of its steps may be throttled. Rather than leave the rest to
//! the next schedule, whoever runs the dispatcher goes on in rounds until nothing is left or its time is over. Each
//! round observes anew, so it does not matter where the last one stopped, nor whether another dispatcher runs at the
//! same time.

use super::Report;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// Time a round needs in good weather: a hundred starts, ten at once, at the pace of the host. A round is not begun
/// with less.
const ROUND: SignedDuration = SignedDuration::from_secs(20);

/// The wait between rounds. The host's adapter paces the launches themselves.
const PAUSE: SignedDuration = SignedDuration::from_secs(2);

/// Rounds without a start that only repeat what failed; the schedule goes on from there.
const RETRIES_MAX: u32 = 3;

/// A channel that is due later than this is left to the schedule.
const DUE_SOON: SignedDuration = SignedDuration::from_secs(20);

/// Rounds of one invocation at most, whatever is left.
const ROUNDS_MAX: u32 = 100;

/// One more round of the same invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// What it is for.
    pub because: Because,
    /// The wait before it.
    pub after: SignedDuration,
}

/// What one more round is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Because {
    /// Recorders were started, and not all that are needed.
    StartsLeft,
    /// Steps failed.
    StepsFailed,
    /// A channel that waits is due soon.
    ChannelDue,
}

/// The next round of this invocation, if there is to be one: `round` counts from 1 and is the one that made the report,
/// `deadline` is when the invocation must have ended.
pub fn again(report: &Report, round: u32, now: Timestamp, deadline: Timestamp) -> Option<Again> {
    let next = wanted(report, round, now)?;
    let ended = now
        .checked_add(next.after)
        .and_then(|begin| begin.checked_add(ROUND));
    let in_time = ended.is_ok_and(|ended| ended <= deadline);
    (in_time && round < ROUNDS_MAX).then_some(next)
}

fn wanted(report: &Report, round: u32, now: Timestamp) -> Option<Again> {
    if report.failure.is_some() || report.credentials_rejected.is_some() {
        return None;
    }
    let after_a_pause = |because| {
        let after = PAUSE;
        Some(Again { because, after })
    };
    let failed = !report.failed.is_empty();
    if report.started > 0 && (report.launches_left > 0 || failed) {
        return after_a_pause(Because::StartsLeft);
    }
    if failed && round <= RETRIES_MAX {
        return after_a_pause(Because::StepsFailed);
    }
    let due = report.next_due?.duration_since(now);
    (due <= DUE_SOON).then(|| Again {
        because: Because::ChannelDue,
        after: due.max(PAUSE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn starting(started: usize, launches_left: usize) -> Report {
        Report {
            started,
            launches_left,
            ..Report::default()
        }
    }

    /// In good time.
    fn next(report: &Report, round: u32) -> Option<(Because, SignedDuration)> {
        let next = again(report, round, at(0), at(300));
        next.map(|next| (next.because, next.after))
    }

    #[test]
    fn launches_go_on_until_none_is_left() {
        assert_eq!(next(&starting(100, 900), 1), Some((Because::StartsLeft, PAUSE)));
        assert_eq!(again(&starting(100, 0), 10, at(0), at(300)), None);
    }

    #[test]
    fn a_round_is_never_begun_that_the_deadline_would_cut() {
        assert_eq!(again(&starting(100, 900), 1, at(279), at(300)), None);
    }

    #[test]
    fn what_fails_again_and_again_is_left_to_the_schedule() {
        let failing = Report {
            failed: vec!["throttled".into()],
            ..Report::default()
        };
        let rounds = (1..).take_while(|round| next(&failing, *round) == Some((Because::StepsFailed, PAUSE)));
        assert_eq!(rounds.count(), RETRIES_MAX as usize);
        assert_eq!(next(&failing, RETRIES_MAX + 1), None);
    }

    #[test]
    fn nothing_is_retried_without_an_observation_or_with_a_rejected_password() {
        for report in [
            Report {
                failure: Some("table".into()),
                ..starting(0, 5)
            },
            Report {
                credentials_rejected: Some("password".into()),
                ..starting(0, 5)
            },
        ] {
            assert_eq!(next(&report, 1), None);
        }
    }

    #[test]
    fn a_channel_that_is_due_soon_is_waited_for() {
        let due = |second| Report {
            next_due: Some(at(second)),
            ..Report::default()
        };
        let ten_seconds = SignedDuration::from_secs(10);
        assert_eq!(next(&due(10), 1), Some((Because::ChannelDue, ten_seconds)));
        assert_eq!(next(&due(-5), 1), Some((Because::ChannelDue, PAUSE)));
        assert_eq!(next(&due(120), 1), None);
    }
}
