//! Holes: a channel was wanted and not recorded, and why.

use crate::device::OfflineHint;
use crate::id::ChannelKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A hole in a channel's recording. Its key is (channel, start).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Which channel.
    pub key: ChannelKey,
    /// End of the last frame before the hole, or when recording was first wanted.
    pub start: Timestamp,
    /// First frame after the hole; `None` while it lasts.
    pub end: Option<Timestamp>,
    /// The best known reason.
    pub cause: GapCause,
}

/// Why nothing was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// Between the decision to record and the first frame.
    Starting,
    /// The gateway lists the device as offline, asleep or not at all.
    DeviceOffline(Option<OfflineHint>),
    /// The gateway itself could not be reached.
    GatewayDown,
    /// The connection broke.
    Network,
    /// Connected, but no frame came.
    StreamStalled,
    /// The gateway answered the stream request with an error.
    StreamRefused,
    /// The gateway rejected the credentials; nothing is tried until they change.
    CredentialsRejected,
    /// The stream changed in a way that could not be recorded (unknown codec, bad parameters).
    UnsupportedStream,
    /// The transform (ffmpeg) ended and was started again.
    TransformFailed,
    /// The recorder process ended and was started again.
    RecorderRestarted,
    /// Another recorder took the channel over.
    RecorderMoved,
    /// The spool was full, so the oldest segments went.
    SpoolOverflow,
    /// The archive refused the segment for good.
    ArchiveRefused,
    /// The segment was damaged on disk and could not be salvaged.
    SpoolDamaged,
    /// Nobody wanted it recorded.
    NotWanted,
}

impl GapCause {
    /// Whether a gateway in trouble may be why a recorder, alive and connected to everything else, gets no video of a
    /// device that the gateway lists as online.
    pub fn may_be_the_gateways(self) -> bool {
        match self {
            Self::GatewayDown | Self::Network | Self::StreamStalled | Self::StreamRefused => true,
            Self::Starting
            | Self::DeviceOffline(_)
            | Self::CredentialsRejected
            | Self::UnsupportedStream
            | Self::TransformFailed
            | Self::RecorderRestarted
            | Self::RecorderMoved
            | Self::SpoolOverflow
            | Self::ArchiveRefused
            | Self::SpoolDamaged
            | Self::NotWanted => false,
        }
    }
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Starting => "starting",
            Self::DeviceOffline(None) => "device offline (not listed)",
            Self::DeviceOffline(Some(hint)) => return write!(f, "device offline ({hint})"),
            Self::GatewayDown => "gateway down",
            Self::Network => "network",
            Self::StreamStalled => "stream stalled",
            Self::StreamRefused => "stream refused",
            Self::CredentialsRejected => "credentials rejected",
            Self::UnsupportedStream => "unsupported stream",
            Self::TransformFailed => "transform failed",
            Self::RecorderRestarted => "recorder restarted",
            Self::RecorderMoved => "recorder moved",
            Self::SpoolOverflow => "spool overflow",
            Self::ArchiveRefused => "archive refused",
            Self::SpoolDamaged => "spool damaged",
            Self::NotWanted => "not wanted",
        };
        f.write_str(text)
    }
}
