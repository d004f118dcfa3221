use crate::TaskKind;
use jiff::SignedDuration;

/// A recorder that has not reported for this long is not known to live: three heartbeats at their longest interval.
pub const HEARTBEAT_STALE: SignedDuration = SignedDuration::from_secs(180);

/// What the operator decided about recorders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchPolicy {
    /// Channels a task records at most (`ChannelsPerTask`).
    pub channels_per_task: usize,
    /// Channels a task with an ffmpeg for each records at most (`TransformsPerTask`).
    pub transforms_per_task: usize,
    /// Tasks one run starts at most; the rest wait for the next run. AWS refills 20 Fargate launches a second.
    pub launches_max: usize,
    /// Calls to the host and the table under way at once. One start takes some 0.3 s on AWS, so ten at once stay
    /// near what its launch bucket refills.
    pub calls_concurrent: usize,
    /// A started task may be missing from the host's list this long (the ECS API is eventually consistent), and
    /// a task without assignments is left alone this long.
    pub launch_grace: SignedDuration,
    /// A task none of whose channels reported for this long hangs and is replaced.
    pub heartbeat_stale: SignedDuration,
    /// An assignment that lasted this long was healthy: the next one starts at once.
    pub healthy_after: SignedDuration,
    /// From the decision to move a channel to the first picture its new recorder keeps: longer than a recorder waits
    /// between two pulls, so that the old one knows by then.
    pub move_notice: SignedDuration,
    /// Tasks whose channels are moved at once because they are outdated or sparse: the gateway serves these channels twice.
    pub moving_tasks_max: usize,
    /// A task is emptied into others only when it and all of its channels have been where they are for so long: a fleet that
    /// changes every few minutes is left alone.
    pub repack_after: SignedDuration,
    /// Wait before the second unhealthy assignment in a row; doubles with every further one.
    pub backoff_min: SignedDuration,
    /// The wait never exceeds this.
    pub backoff_max: SignedDuration,
}

impl Default for DispatchPolicy {
    fn default() -> Self {
        Self {
            channels_per_task: 20,
            transforms_per_task: 1,
            launches_max: 100,
            calls_concurrent: 10,
            launch_grace: SignedDuration::from_secs(60),
            heartbeat_stale: HEARTBEAT_STALE,
            healthy_after: SignedDuration::from_secs(60),
            move_notice: SignedDuration::from_secs(15),
            moving_tasks_max: 5,
            repack_after: SignedDuration::from_mins(10),
            backoff_min: SignedDuration::from_secs(10),
            backoff_max: SignedDuration::from_mins(5),
        }
    }
}

impl DispatchPolicy {
    /// Channels a task of this kind records at most, one at least.
    pub(super) fn per_task(&self, kind: TaskKind) -> usize {
        match kind {
            TaskKind::Copy => self.channels_per_task,
            TaskKind::Transform => self.transforms_per_task,
        }
        .max(1)
    }

    /// The wait before an assignment after `attempts` unhealthy ones in a row.
    pub fn backoff(&self, attempts: u32) -> SignedDuration {
        match attempts.checked_sub(1) {
            None => SignedDuration::ZERO,
            Some(doublings) => {
                let factor = 1_i32.checked_shl(doublings.min(30)).unwrap_or(i32::MAX);
                self.backoff_min.saturating_mul(factor).min(self.backoff_max)
            }
        }
    }
}
