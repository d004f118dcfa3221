//! Segments and the keys they have in the archive.

use crate::id::{ChannelKey, Generation};
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The key of an object in the archive, relative to its root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(pub String);

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One media object of a channel, named so that a listing is the timeline:
/// `{deviceIndex}/{channel}/{YYYY}/{MM}/{DD}/{start}_{duration ms}_{generation}.mp4`, the start in UTC as
/// `YYYYMMDDThhmmss.mmmZ`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentKey {
    /// Which channel.
    pub channel: ChannelKey,
    /// UTC of the first frame, whole milliseconds.
    pub start: Timestamp,
    /// From the first frame to the end of the last, whole milliseconds.
    pub duration: SignedDuration,
    /// The assignment that recorded it.
    pub generation: Generation,
}

impl SegmentKey {
    /// Names a segment; times are cut to whole milliseconds.
    pub fn new(
        channel: ChannelKey,
        start: Timestamp,
        duration: SignedDuration,
        generation: Generation,
    ) -> Self {
        Self {
            channel,
            start: Timestamp::from_millisecond(start.as_millisecond()).unwrap_or(start),
            duration: SignedDuration::from_millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
            generation,
        }
    }

    /// The end of the last frame.
    pub fn end(&self) -> Timestamp {
        self.start.saturating_add(self.duration).unwrap_or(Timestamp::MAX)
    }

    /// The object's key in the archive.
    pub fn object_key(&self) -> ObjectKey {
        ObjectKey(self.to_string())
    }

    /// The file name alone: `{start}_{duration ms}_{generation}.mp4`.
    pub fn file_name(&self) -> String {
        format!(
            "{}_{}_{}.mp4",
            format_start(self.start),
            self.duration.as_millis(),
            self.generation
        )
    }

    /// The prefix of all segments of a channel that start on a UTC day, without a trailing slash.
    pub fn day_prefix(channel: &ChannelKey, day: civil::Date) -> String {
        format!(
            "{}/{:04}/{:02}/{:02}",
            channel.prefix(),
            day.year(),
            day.month(),
            day.day()
        )
    }
}

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.start.to_zoned(TimeZone::UTC).date();
        write!(f, "{}/{}", Self::day_prefix(&self.channel, day), self.file_name())
    }
}

/// An object of ours in the archive, as its key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archived {
    /// Video.
    Segment(SegmentKey),
    /// A still picture: `{deviceIndex}/{channel}/{YYYY}/{MM}/{DD}/{taken at}_{generation}.jpg`.
    Still {
        /// Which channel.
        channel: ChannelKey,
        /// UTC of the picture, whole milliseconds.
        taken_at: Timestamp,
    },
}

impl Archived {
    /// Reads a key; `None` for anything that is not exactly a key of ours.
    pub fn parse(key: &ObjectKey) -> Option<Self> {
        if let Ok(segment) = key.0.parse() {
            return Some(Self::Segment(segment));
        }
        let mut parts = key.0.rsplitn(5, '/');
        let (time, generation) = parts.next()?.strip_suffix(".jpg")?.split_once('_')?;
        let channel = ChannelKey::from_prefix(parts.nth(3)?)?;
        let taken_at = parse_start(time)?;
        let still = still_key(&channel, taken_at, Generation(generation.parse().ok()?));
        (still == *key).then_some(Self::Still { channel, taken_at })
    }

    /// Which channel's it is.
    pub fn channel(&self) -> &ChannelKey {
        match self {
            Self::Segment(segment) => &segment.channel,
            Self::Still { channel, .. } => channel,
        }
    }

    /// Its first instant.
    pub fn start(&self) -> Timestamp {
        match self {
            Self::Segment(segment) => segment.start,
            Self::Still { taken_at, .. } => *taken_at,
        }
    }

    /// The end of its last frame.
    pub fn end(&self) -> Timestamp {
        match self {
            Self::Segment(segment) => segment.end(),
            Self::Still { taken_at, .. } => *taken_at,
        }
    }
}

/// The key of a still picture.
pub fn still_key(channel: &ChannelKey, taken_at: Timestamp, generation: Generation) -> ObjectKey {
    let day = SegmentKey::day_prefix(channel, taken_at.to_zoned(TimeZone::UTC).date());
    ObjectKey(format!("{day}/{}_{generation}.jpg", format_start(taken_at)))
}

/// The text that is not a segment's key.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the key of a segment")]
pub struct NotASegmentKey(String);

impl FromStr for SegmentKey {
    type Err = NotASegmentKey;

    /// Reads exactly what `Display` writes: a key that differs in any byte is not one of ours.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .filter(|key| key.to_string() == text)
            .ok_or_else(|| NotASegmentKey(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<SegmentKey> {
    let mut parts = text.rsplitn(5, '/');
    let file = parts.next()?;
    let (_day, _month, _year) = (parts.next()?, parts.next()?, parts.next()?);
    let channel = ChannelKey::from_prefix(parts.next()?)?;
    let mut fields = file.strip_suffix(".mp4")?.split('_');
    let start = parse_start(fields.next()?)?;
    let duration = SignedDuration::from_millis(fields.next()?.parse().ok()?);
    let generation = Generation(fields.next()?.parse().ok()?);
    fields.next().is_none().then_some(SegmentKey {
        channel,
        start,
        duration,
        generation,
    })
}

/// Writes a start time as object keys have it: `YYYYMMDDThhmmss.mmmZ`.
pub fn format_start(start: Timestamp) -> String {
    start.strftime("%Y%m%dT%H%M%S.%3fZ").to_string()
}

/// Reads what [`format_start`] wrote.
pub fn parse_start(text: &str) -> Option<Timestamp> {
    let civil = civil::DateTime::strptime("%Y%m%dT%H%M%S.%fZ", text).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// What is kept beside a segment as object metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SegmentMeta {
    /// UTC of the first frame, with the clock model's full precision.
    pub captured_at: Timestamp,
    /// RFC 6381 codecs, comma-separated, video first, for example `avc1.64001f,mp4a.40.2`.
    pub codecs: String,
    /// SHA-256 of the object, lower-case hex.
    pub sha256: String,
    /// Recorded live, or fetched later from the device's own storage.
    pub origin: Origin,
    /// How far the camera's clock (RTP) ran ahead of ours within the recording session, in milliseconds.
    pub clock_drift_ms: i64,
    /// Anything a reader of the object should know, for example that G.711 audio was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where a segment's frames came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The live stream.
    Live,
    /// The live stream, closed after a crash from what was on disk.
    Salvaged,
    /// The device's own storage.
    Backfill,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_reads_as_the_timeline_entry_it_is() {
        let key = SegmentKey::new(
            ChannelKey::new("38941127-49B5", "5"),
            "2026-11-21T09:08:07.0605Z".parse().unwrap(),
            SignedDuration::from_millis(30_040),
            Generation(3),
        );
        insta::assert_snapshot!(key, @"38941127-49B5/5/2026/11/21/20261121T090807.060Z_30040_3.mp4");
    }

    proptest! {
        #[test]
        fn every_key_survives_the_archive(
            device in ".+", channel in ".+", ms in 0_i64..4_000_000_000_000, duration in 0_i64..1_000_000_000, generation: u64
        ) {
            let key = SegmentKey::new(
                ChannelKey::new(device.as_str(), channel.as_str()),
                Timestamp::from_millisecond(ms).unwrap(),
                SignedDuration::from_millis(duration),
                Generation(generation),
            );
            prop_assert_eq!(key.to_string().parse::<SegmentKey>().unwrap(), key);
        }

        #[test]
        fn stills_are_ours_too(device in ".+", channel in ".+", ms in 0_i64..4_000_000_000_000, generation: u64) {
            let channel = ChannelKey::new(device.as_str(), channel.as_str());
            let taken_at = Timestamp::from_millisecond(ms).unwrap();
            let key = still_key(&channel, taken_at, Generation(generation));
            prop_assert_eq!(Archived::parse(&key), Some(Archived::Still { channel, taken_at }));
            prop_assert_eq!(Archived::parse(&ObjectKey(format!("{key}.json"))), None);
        }

        #[test]
        fn keys_that_are_not_ours_are_not_parsed(text in "[a-z0-9/._TZ-]{0,60}") {
            prop_assert!(text.parse::<SegmentKey>().is_err());
        }
    }
}
