//! What the gateway says of a device.

use crate::id::DeviceIndex;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A device as one look at the gateway's list showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The gateway's opaque name of it.
    pub index: DeviceIndex,
    /// The operator's name of it; any Unicode.
    pub name: String,
    /// Camera or recorder, or a door terminal.
    pub kind: DeviceKind,
    /// Whether it can be recorded now.
    pub status: DeviceStatus,
    /// How many video inputs the device list says it has; the channel list is the truth.
    pub video_channels: u32,
}

/// `devType` of the gateway's device list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceKind {
    /// `encodingDev`: a camera, NVR or DVR.
    Encoder,
    /// `AccessControl`: a door terminal, which may have a camera too.
    AccessControl,
    /// A type this version does not know; treated as an encoder when it has video.
    Other(String),
}

/// `devStatus` of the gateway's device list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStatus {
    /// Streams can be had.
    Online,
    /// Unreachable for the gateway.
    Offline(OfflineHint),
    /// Asleep to save power: neither a reason to record nor one to give up.
    Sleep,
}

/// `offlineHint`: why the gateway thinks a device is offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfflineHint {
    /// 0: it has not registered yet.
    Waiting,
    /// 1: it registers with a wrong ISUP key.
    WrongKey,
    /// 2: it speaks another ISUP version.
    VersionMismatch,
    /// 3: the network between device and gateway.
    Network,
    /// No hint, or one this version does not know.
    Unknown,
}

impl fmt::Display for OfflineHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting for it to register",
            Self::WrongKey => "wrong ISUP key",
            Self::VersionMismatch => "ISUP version mismatch",
            Self::Network => "network",
            Self::Unknown => "no hint",
        })
    }
}
