//! The machines a gateway runs on, and their images.

use crate::id::{ImageId, InstanceId};
use jiff::Timestamp;

/// One machine made for a gateway of this stack, as one possibly stale look at the host showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The host's name of it.
    pub id: InstanceId,
    /// Whether it runs.
    pub state: InstanceState,
    /// The host's check of the hardware and network below it.
    pub system: StatusCheck,
    /// The host's check of its operating system.
    pub software: StatusCheck,
    /// Private base URL of the gateway on it, such as `https://10.0.0.5`, once it has an address.
    pub endpoint: Option<String>,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// The token it was launched under; `None` for one that a person made.
    pub token: Option<String>,
}

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceState {
    /// On its way up.
    Starting,
    /// Up, as far as the host can tell.
    Running,
    /// On its way down.
    Stopping,
    /// Down, with its disks kept.
    Stopped,
    /// Terminated: it never comes back.
    Gone,
}

/// One of the host's own checks of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusCheck {
    /// No verdict yet.
    Pending,
    /// Passed.
    Passed,
    /// Failed.
    Failed,
}

impl Instance {
    /// Whether it runs and the host finds nothing wrong with it.
    pub fn is_sound(&self) -> bool {
        self.state == InstanceState::Running
            && self.system == StatusCheck::Passed
            && self.software == StatusCheck::Passed
    }
}

/// A restorable copy of a gateway's instance, all its disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The host's name of it.
    pub id: ImageId,
    /// Whether an instance can be launched from it.
    pub state: ImageState,
    /// The moment it shows.
    pub taken_at: Timestamp,
}

/// Whether an image can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageState {
    /// Still being copied; may stay so for hours.
    Pending,
    /// Complete, with the copies of all disks.
    Usable,
    /// It never will be.
    Failed,
}
