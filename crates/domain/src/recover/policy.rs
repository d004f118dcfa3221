use super::Step;
use jiff::{SignedDuration, Timestamp};

/// What the operator decided about images and replacements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverPolicy {
    /// The newest image shall be no older than this (`RPO`).
    pub rpo: SignedDuration,
    /// A recovery shall take no longer than this (`RTO`); one that does is reported as such.
    pub rto: SignedDuration,
    /// Usable images beyond this number are deleted, oldest first.
    pub images_max: usize,
    /// And those older than this.
    pub image_age_max: SignedDuration,
    /// But never so that fewer than this many good ones remain; at least 1.
    pub images_min: usize,
    /// An image that is not complete by then never will be. The cloud may take hours.
    pub image_completion_max: SignedDuration,
    /// Unfinished images at a time; the cloud allows five a disk.
    pub images_pending_max: usize,
    /// Images one replacement tries before it gives up.
    pub attempts_max: u32,
    /// How long an instance may take to be listed after its launch.
    pub launch_max: SignedDuration,
    /// How long it may take until the host finds it sound. Disks of a restored Windows load lazily.
    pub boot_max: SignedDuration,
    /// How long until the gateway on it answers and is set up.
    pub prove_max: SignedDuration,
    /// How long moving the address may take.
    pub move_max: SignedDuration,
    /// How long until the gateway answers through the address.
    pub verify_max: SignedDuration,
    /// How long the steps after that are tried before the rest is left to later rounds.
    pub finish_max: SignedDuration,
    /// What is seen once may be an old answer: the address elsewhere counts after this long.
    pub confirm: SignedDuration,
    /// Retired instances are kept, stopped, this long for inspection (`QuarantineHours`).
    pub quarantine: SignedDuration,
    /// A request that nobody got to for this long is forgotten.
    pub request_age_max: SignedDuration,
    /// After a replacement that failed, the first launch is tried again this much later.
    pub retry_after: SignedDuration,
    /// How often the configuration of the gateway in office is compared with what is wanted; whole minutes.
    pub setup_interval: SignedDuration,
    /// Moves one invocation makes at most.
    pub rounds_max: u32,
}

impl Default for RecoverPolicy {
    fn default() -> Self {
        Self {
            rpo: SignedDuration::from_hours(24),
            rto: SignedDuration::from_mins(30),
            images_max: 7,
            image_age_max: SignedDuration::from_hours(24 * 30),
            images_min: 2,
            image_completion_max: SignedDuration::from_hours(12),
            images_pending_max: 2,
            attempts_max: 3,
            launch_max: SignedDuration::from_mins(10),
            boot_max: SignedDuration::from_mins(30),
            prove_max: SignedDuration::from_mins(20),
            move_max: SignedDuration::from_mins(10),
            verify_max: SignedDuration::from_mins(10),
            finish_max: SignedDuration::from_mins(10),
            confirm: SignedDuration::from_secs(90),
            quarantine: SignedDuration::from_hours(72),
            request_age_max: SignedDuration::from_hours(1),
            retry_after: SignedDuration::from_mins(30),
            setup_interval: SignedDuration::from_mins(30),
            rounds_max: 16,
        }
    }
}

impl RecoverPolicy {
    /// Whether the gateway in office is looked over in this minute. It needs no memory: a minute that was missed
    /// comes again.
    pub(super) fn is_setup_time(&self, now: Timestamp) -> bool {
        let every = (self.setup_interval.as_secs() / 60).max(1);
        now.as_second().div_euclid(60).rem_euclid(every) == 0
    }

    /// How long a step may take.
    pub fn limit(&self, step: Step) -> SignedDuration {
        match step {
            Step::Launch => self.launch_max,
            Step::Boot => self.boot_max,
            Step::Prove => self.prove_max,
            Step::MoveAddress | Step::GiveBack => self.move_max,
            Step::Verify => self.verify_max,
            Step::Announce | Step::RetireOld | Step::Compare => self.finish_max,
        }
    }
}
