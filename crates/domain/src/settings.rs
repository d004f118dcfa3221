//! How a channel is recorded.

use crate::control;
use crate::id::ChannelKey;
use crate::ports::{ControlTable, PortError, Put};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// Settings of one channel. The default copies the stream as it comes, in segments of 30 s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecordingSettings {
    /// The length a segment aims at; it ends at the key frame nearest to it.
    pub segment_seconds: NonZeroU32,
    /// What happens to the pictures.
    pub video: Video,
    /// What happens to the sound.
    pub audio: Audio,
    /// A JPEG beside the video every so many seconds.
    pub stills_every_seconds: Option<NonZeroU32>,
    /// How many days of 24 h the archive keeps what no episode covers; 0 keeps all. Not written when 0, so that
    /// programs that do not know of it read such rows.
    #[serde(skip_serializing_if = "is_zero")]
    pub retention_days: u32,
    /// Whether holes are filled from the device's own storage. Not written when off, for the same reason.
    #[serde(skip_serializing_if = "is_off")]
    pub backfill: bool,
}

fn is_off(on: &bool) -> bool {
    !*on
}

fn is_zero(days: &u32) -> bool {
    *days == 0
}

/// The 2020 system's default segment length in seconds (`Segment 30`).
pub const SEGMENT_SECONDS_DEFAULT: NonZeroU32 = NonZeroU32::new(30).expect("30 is not zero");

impl Default for RecordingSettings {
    fn default() -> Self {
        Self {
            segment_seconds: SEGMENT_SECONDS_DEFAULT,
            video: Video::Copy,
            audio: Audio::Copy,
            stills_every_seconds: None,
            retention_days: 0,
            backfill: false,
        }
    }
}

impl RecordingSettings {
    /// Whether recording needs an ffmpeg child: only when pixels or sound must change.
    pub fn needs_transform(&self) -> bool {
        self.video != Video::Copy || self.audio == Audio::Aac || self.stills_every_seconds.is_some()
    }
}

/// What happens to the pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Video {
    /// Stored as received.
    #[default]
    Copy,
    /// Decoded and encoded anew.
    Transcode(Transcode),
}

/// A new encoding of the pictures; what is absent stays as received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Transcode {
    /// The codec to encode with.
    pub codec: VideoCodec,
    /// The bit rate to aim at, in kbit/s; the encoder's default quality when absent.
    pub bit_rate_kbps: Option<NonZeroU32>,
    /// The size of the picture; as received when absent.
    pub size: Option<PictureSize>,
    /// Frames per second; as received when absent.
    pub frame_rate: Option<NonZeroU32>,
}

/// A video codec Millrace can encode with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
}

/// Width and height in pixels, both even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSize {
    /// Pixels across.
    pub width: NonZeroU32,
    /// Pixels down.
    pub height: NonZeroU32,
}

/// What happens to the sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audio {
    /// Left out.
    Off,
    /// AAC is stored as received. G.711 has no sample entry in ISO-BMFF that browsers play, so it is left
    /// out, and the segment's metadata says so; ask for [`Audio::Aac`] to keep it.
    #[default]
    Copy,
    /// Encoded as AAC, whatever it was.
    Aac,
}

/// What people said of one channel's settings, and no more: where it is silent, the settings of all channels hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OwnSettings {
    /// See [`RecordingSettings::segment_seconds`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_seconds: Option<NonZeroU32>,
    /// See [`RecordingSettings::video`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<Video>,
    /// See [`RecordingSettings::audio`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<Audio>,
    /// See [`RecordingSettings::stills_every_seconds`]; 0 takes none, though other channels have some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stills_every_seconds: Option<u32>,
    /// See [`RecordingSettings::retention_days`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// See [`RecordingSettings::backfill`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backfill: Option<bool>,
}

impl OwnSettings {
    /// What was said before, and over it what is said now.
    #[must_use]
    pub fn and(self, now: Self) -> Self {
        Self {
            segment_seconds: now.segment_seconds.or(self.segment_seconds),
            video: now.video.or(self.video),
            audio: now.audio.or(self.audio),
            stills_every_seconds: now.stills_every_seconds.or(self.stills_every_seconds),
            retention_days: now.retention_days.or(self.retention_days),
            backfill: now.backfill.or(self.backfill),
        }
    }

    /// The settings of all channels, and over them what was said of this one.
    #[must_use]
    pub fn over(&self, all: &RecordingSettings) -> RecordingSettings {
        RecordingSettings {
            segment_seconds: self.segment_seconds.unwrap_or(all.segment_seconds),
            video: self.video.as_ref().unwrap_or(&all.video).clone(),
            audio: self.audio.unwrap_or(all.audio),
            stills_every_seconds: self
                .stills_every_seconds
                .map_or(all.stills_every_seconds, NonZeroU32::new),
            retention_days: self.retention_days.unwrap_or(all.retention_days),
            backfill: self.backfill.unwrap_or(all.backfill),
        }
    }

    /// Takes one setting back, by the name it is written with; `false` when no setting has this name.
    pub fn forget(&mut self, name: &str) -> bool {
        match name {
            "segment-seconds" => self.segment_seconds = None,
            "video" => self.video = None,
            "audio" => self.audio = None,
            "stills-every-seconds" => self.stills_every_seconds = None,
            "retention-days" => self.retention_days = None,
            "backfill" => self.backfill = None,
            _ => return false,
        }
        true
    }
}

/// The name of the control item that holds [`Overrides`].
const OVERRIDES: &str = "settings";

/// What people said of single channels' settings. It outlives a channel's row, which goes when its device does; every
/// poll lays it over the settings of all channels.
///
/// Programs before this one stored all of a channel's settings at once: what such a row holds counts as said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overrides(BTreeMap<String, OwnSettings>);

impl Overrides {
    /// What was said of a channel.
    pub fn said(&self, key: &ChannelKey) -> OwnSettings {
        self.0.get(&key.prefix()).cloned().unwrap_or_default()
    }

    /// The settings in force for a channel, where `all` are those of all channels.
    pub fn settings(&self, key: &ChannelKey, all: &RecordingSettings) -> RecordingSettings {
        self.0
            .get(&key.prefix())
            .map_or_else(|| all.clone(), |said| said.over(all))
    }

    /// Replaces what was said of a channel; what says nothing is not kept.
    pub fn set(&mut self, key: &ChannelKey, said: OwnSettings) {
        if said == OwnSettings::default() {
            self.0.remove(&key.prefix());
        } else {
            self.0.insert(key.prefix(), said);
        }
    }

    /// Reads the stored overrides, with the version to hand to [`Overrides::store`].
    ///
    /// # Errors
    /// The table's; an item that is not overrides is [`PortError::Refused`].
    pub async fn load(table: &impl ControlTable) -> Result<(Self, Option<u64>), PortError> {
        let (overrides, version) = control::read::<_, Self>(table, OVERRIDES).await?;
        Ok((overrides.unwrap_or_default(), version))
    }

    /// Stores the overrides if they are still at the version they were loaded at.
    ///
    /// # Errors
    /// The table's.
    pub async fn store(&self, table: &impl ControlTable, loaded: Option<u64>) -> Result<Put, PortError> {
        control::write(table, OVERRIDES, self, loaded).await
    }
}
