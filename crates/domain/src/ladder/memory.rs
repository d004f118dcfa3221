use super::Symptom;
use crate::alert::{Alert, Watch};
use crate::id::InstanceId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the ladder remembers between looks. A gateway that is well and of which nothing was tried lately leaves
/// the default, so that nothing is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// The instance all of this is about.
    pub instance: Option<InstanceId>,
    /// Since when it has been ill; `None` when it is well.
    pub ill_since: Option<Timestamp>,
    /// What the last look found.
    pub symptom: Option<Symptom>,
    /// Looks in a row with that symptom.
    pub symptom_looks: u32,
    /// Looks in a row with any symptom.
    pub ill_looks: u32,
    /// Looks in a row without one, while it counts as ill.
    pub well_looks: u32,
    /// When the last look was counted.
    pub looked_at: Option<Timestamp>,
    /// The steps taken, oldest first, as long as they are remembered.
    pub tried: Vec<Try>,
    /// The version of the password that it refused, until everybody could be told.
    pub refused_version: Option<u64>,
    /// What people were told of standing troubles.
    pub watch: Watch,
    /// Alerts not delivered yet.
    pub outbox: Vec<Alert>,
}

/// One step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// Which.
    pub rung: Rung,
    /// When it was decided.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was decided; whether it was taken is not known.
    Decided,
    /// It was taken.
    Taken,
    /// It could not be taken for now: nothing happened.
    Throttled,
    /// It could not be taken, and why.
    Failed(String),
}

/// The steps, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Restart the gateway's software by its API.
    Restart,
    /// Reboot its instance.
    Reboot,
    /// Stop its instance and start it on other hardware.
    StopStart,
    /// Replace its instance.
    Replace,
}

impl Rung {
    /// All of them, mildest first.
    pub const ALL: [Self; 4] = [Self::Restart, Self::Reboot, Self::StopStart, Self::Replace];
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Restart => "restart its software",
            Self::Reboot => "reboot its instance",
            Self::StopStart => "stop its instance and start it on other hardware",
            Self::Replace => "replace its instance",
        })
    }
}

impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.rung, self.at.strftime("%H:%M:%S"))?;
        match &self.outcome {
            Outcome::Decided => f.write_str(", outcome unknown)"),
            Outcome::Taken => f.write_str(")"),
            Outcome::Throttled => f.write_str(", put off)"),
            Outcome::Failed(why) => write!(f, ", failed: {why})"),
        }
    }
}
