use crate::media::{AudioCodec, LoopSpec};
use crate::rtsp::{CameraClock, Kind, StreamSpec};
use anyhow::{Context, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A device registered with the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceSpec {
    /// `devIndex`: letters, digits, dashes.
    pub index: String,
    /// `devName`; any Unicode.
    pub name: String,
    /// `devType`.
    #[serde(rename = "type", default)]
    pub kind: DeviceKind,
    /// `protocolType`. Only ISUP 5.0 devices play back their own footage.
    #[serde(default)]
    pub protocol: Protocol,
    /// `devStatus` at the start.
    #[serde(default)]
    pub status: DeviceStatus,
    /// `offlineHint`, shown while the device is offline.
    #[serde(default)]
    pub offline_hint: Option<u8>,
    /// The video inputs. A door terminal may have none.
    #[serde(default)]
    pub channels: Vec<ChannelSpec>,
    /// The device's own storage holds every channel from this many hours ago until now, in files of
    /// [`DeviceSpec::recorded_file_seconds`].
    #[serde(default)]
    pub recorded_hours: u32,
    /// The length of those files.
    #[serde(default = "file_seconds_default")]
    pub recorded_file_seconds: u32,
    /// Footage besides, file by file.
    #[serde(default)]
    pub recorded: Vec<RecordedSpan>,
}

/// A year of footage.
const HOURS_MAX: u32 = 24 * 366;
/// As many files as a year has of five minutes: every search goes through them.
const FILES_MAX: u64 = 12 * HOURS_MAX as u64;

/// Hikvision recorders close a file after some minutes; five keeps searches short.
fn file_seconds_default() -> u32 {
    300
}

/// One file on a device's own storage, holding every channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecordedSpan {
    /// Its first moment.
    pub start: Timestamp,
    /// The moment after its last.
    pub end: Timestamp,
}

/// One video input of a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChannelSpec {
    /// Its id, written on the wire as it is written here.
    pub id: WireId,
    /// Its name; any Unicode.
    #[serde(default)]
    pub name: String,
    /// What it shows. Channels that show the same share one encode.
    #[serde(default)]
    pub video: LoopSpec,
    /// What it sounds like; none = it is silent.
    #[serde(default)]
    pub audio: Option<AudioCodec>,
    /// How wrong its clock is.
    #[serde(default)]
    pub clock: CameraClock,
}

/// A channel id: a number on most builds, a string on some. The two spellings of one id are the same channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WireId {
    /// `1`
    Number(u32),
    /// `"1"`
    Text(String),
}

/// `devType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// A camera, NVR or DVR.
    #[default]
    #[serde(rename = "encodingDev")]
    Encoder,
    /// A door terminal.
    AccessControl,
}

/// `protocolType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// EHome 2.0.
    #[serde(rename = "ehome")]
    Ehome,
    /// ISUP 5.0.
    #[default]
    #[serde(rename = "ehomeV5")]
    EhomeV5,
    /// ISAPI: the gateway dials the device.
    #[serde(rename = "ISAPI")]
    Isapi,
}

/// `devStatus`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceStatus {
    /// Streams can be had.
    #[default]
    Online,
    /// Unreachable.
    Offline,
    /// Asleep to save power.
    Sleep,
}

impl DeviceSpec {
    /// An online camera, without channels yet.
    pub fn camera(index: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            index: index.into(),
            name: name.into(),
            kind: DeviceKind::default(),
            protocol: Protocol::default(),
            status: DeviceStatus::default(),
            offline_hint: None,
            channels: Vec::new(),
            recorded_hours: 0,
            recorded_file_seconds: file_seconds_default(),
            recorded: Vec::new(),
        }
    }

    /// The same with these channels instead.
    #[must_use]
    pub fn with_channels(mut self, channels: impl IntoIterator<Item = ChannelSpec>) -> Self {
        self.channels = channels.into_iter().collect();
        self
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: DeviceStatus, offline_hint: Option<u8>) -> Self {
        self.status = status;
        self.offline_hint = offline_hint;
        self
    }

    /// The part of a stream's path that names the channel: index and id without a separator.
    pub(crate) fn media_name(&self, channel: &WireId) -> String {
        format!("{}{channel}", self.index)
    }

    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            is_path_safe(&self.index),
            "the device index `{}` must be 1 to 64 letters, digits, dashes",
            self.index
        );
        ensure!(
            self.recorded_file_seconds >= 1,
            "recorded-file-seconds must be at least 1"
        );
        ensure!(
            self.recorded_hours <= HOURS_MAX
                && u64::from(self.recorded_hours) * 3600 / u64::from(self.recorded_file_seconds) <= FILES_MAX,
            "recorded-hours must be at most a year, in at most {FILES_MAX} files"
        );
        for span in &self.recorded {
            ensure!(
                span.start < span.end,
                "a recorded file of `{}` ends before it starts",
                self.index
            );
        }
        for (i, channel) in self.channels.iter().enumerate() {
            channel
                .validate()
                .with_context(|| format!("in channel {} of `{}`", channel.id, self.index))?;
            ensure!(
                self.channels[..i].iter().all(|other| other.id != channel.id),
                "two channels of `{}` have the id {}",
                self.index,
                channel.id
            );
        }
        Ok(())
    }
}

impl ChannelSpec {
    /// A silent channel with the default picture.
    pub fn new(id: impl Into<WireId>) -> Self {
        let id = id.into();
        Self {
            name: format!("Channel {id}"),
            id,
            video: LoopSpec::default(),
            audio: None,
            clock: CameraClock::default(),
        }
    }

    /// The same with another picture.
    #[must_use]
    pub fn with_video(mut self, video: LoopSpec) -> Self {
        self.video = video;
        self
    }

    /// The stream of the channel.
    pub(crate) fn stream(&self, kind: Kind) -> StreamSpec {
        StreamSpec {
            video: self.video.clone(),
            audio: self.audio,
            kind,
            clock: self.clock,
            rtp_start: None,
        }
    }

    fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            is_path_safe(&self.id.to_string()),
            "an id must be 1 to 64 letters, digits, dashes"
        );
        self.stream(Kind::Live).validate()
    }
}

impl fmt::Display for WireId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl PartialEq for WireId {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for WireId {}

impl From<u32> for WireId {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for WireId {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

fn is_path_safe(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
