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

/// The name of the control item that holds [`Overrides`].
const OVERRIDES: &str = "settings";

/// Settings people gave to single channels. They outlive the channel's row, which goes when its device does;
/// every poll applies them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overrides(BTreeMap<String, RecordingSettings>);

impl Overrides {
    /// The settings given to a channel, if any.
    pub fn get(&self, key: &ChannelKey) -> Option<&RecordingSettings> {
        self.0.get(&key.prefix())
    }

    /// Gives a channel its own settings.
    pub fn set(&mut self, key: &ChannelKey, settings: RecordingSettings) {
        self.0.insert(key.prefix(), settings);
    }

    /// Returns a channel to the defaults.
    pub fn clear(&mut self, key: &ChannelKey) {
        self.0.remove(&key.prefix());
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
