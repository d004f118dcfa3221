//! The row of a known channel: what the poll keeps and the dispatcher reads.

use crate::device::OfflineHint;
use crate::id::ChannelKey;
use crate::settings::RecordingSettings;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Counts the writes of a row; every write names the revision it read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// One known channel. It exists while the channel is wanted: from its device's first sighting online until
/// the device has been missing for the grace period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRow {
    /// Which channel.
    pub key: ChannelKey,
    /// RTSP URL of the live stream, without credentials.
    pub media_url: String,
    /// The device's name at the gateway.
    pub device_name: String,
    /// The channel's name at the gateway.
    pub channel_name: String,
    /// What the last good look at the gateway said of the device.
    pub state: DeviceState,
    /// How many video inputs the device list gave the device when its channels were last looked up: another
    /// number is a reason to look again.
    pub device_channels: u32,
    /// How many channels the device's channel list had then: fewer known ones are a reason to look again.
    pub listed_channels: u32,
    /// When the channel became wanted: the row's own birth, so a channel that left and came back is told apart.
    pub wanted_since: Timestamp,
    /// How the channel is recorded.
    pub settings: RecordingSettings,
    /// Counts writes of this row.
    pub revision: Revision,
}

/// The device behind a channel, as polls have seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum DeviceState {
    /// Seen online (or asleep) at the last good poll.
    Present,
    /// Offline at, or gone from, the last `missed_polls` good polls.
    #[serde(rename_all = "camelCase")]
    Missing {
        /// The first of these polls.
        since: Timestamp,
        /// How many good polls in a row have missed it.
        missed_polls: u32,
        /// The gateway's hint; `None` when the device is no longer listed.
        hint: Option<OfflineHint>,
    },
}
