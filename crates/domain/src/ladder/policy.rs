use super::Rung;
use jiff::SignedDuration;

/// What the operator decided about repairing the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LadderPolicy {
    /// So many looks in a row must find it ill before anything is done.
    pub suspect_looks: u32,
    /// So many when the host itself says what is wrong: hardware, stopped, gone.
    pub confirm_looks: u32,
    /// So many looks in a row must find it well before it counts as well.
    pub recover_looks: u32,
    /// A look that follows sooner is a doubled invocation and does not count.
    pub look_interval_min: SignedDuration,
    /// What a restart of its software is given to help.
    pub restart_cool_down: SignedDuration,
    /// What a reboot is given to help.
    pub reboot_cool_down: SignedDuration,
    /// What a stop and start, or a replacement that was asked for, is given to help.
    pub stop_start_cool_down: SignedDuration,
    /// A step that was taken this recently is not taken again: the next one is.
    pub memory: SignedDuration,
    /// A gateway that was replaced this recently is not replaced again.
    pub replace_cool_down: SignedDuration,
    /// The strongest step that is taken (`RepairUpTo`); `None`: nothing is done but told.
    pub repair_up_to: Option<Rung>,
    /// A step the host or the gateway was too busy for is asked for this often.
    pub throttled_max: usize,
    /// How long an account that is locked without saying for how long is left alone.
    pub lock_wait: SignedDuration,
    /// The model that must answer; `None` for any.
    pub model: Option<String>,
    /// All devices offline is a symptom when there are at least so many.
    pub devices_min: usize,
    /// No wanted channel being recorded is a symptom when there are at least so many.
    pub channels_min: usize,
    /// The version of the password in use: one that was refused is not tried again, see [`credentials`](crate::credentials).
    pub password_version: u64,
}

impl Default for LadderPolicy {
    fn default() -> Self {
        Self {
            suspect_looks: 3,
            confirm_looks: 2,
            recover_looks: 3,
            look_interval_min: SignedDuration::from_secs(30),
            restart_cool_down: SignedDuration::from_mins(4),
            reboot_cool_down: SignedDuration::from_mins(8),
            stop_start_cool_down: SignedDuration::from_mins(15),
            memory: SignedDuration::from_hours(2),
            replace_cool_down: SignedDuration::from_hours(6),
            repair_up_to: Some(Rung::Replace),
            throttled_max: 3,
            lock_wait: SignedDuration::from_mins(30),
            model: None,
            devices_min: 2,
            channels_min: 2,
            password_version: 0,
        }
    }
}

impl LadderPolicy {
    /// Whether the operator lets this step be taken.
    pub fn allows(&self, rung: Rung) -> bool {
        self.repair_up_to.is_some_and(|strongest| rung <= strongest)
    }

    /// What a step is given to help before the next one is taken.
    pub fn cool_down(&self, rung: Rung) -> SignedDuration {
        match rung {
            Rung::Restart => self.restart_cool_down,
            Rung::Reboot => self.reboot_cool_down,
            Rung::StopStart | Rung::Replace => self.stop_start_cool_down,
        }
    }

    /// How long a step stays remembered.
    pub fn remembered(&self, rung: Rung) -> SignedDuration {
        match rung {
            Rung::Restart | Rung::Reboot | Rung::StopStart => self.memory,
            Rung::Replace => self.replace_cool_down,
        }
    }
}
