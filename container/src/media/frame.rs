//! Frames and what one must know to store them: the common language of source, transform and segmenter.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use std::num::NonZeroU32;

/// What a segment's `moov` needs. A change starts a new segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamParams {
    /// The pictures.
    pub video: VideoParams,
    /// The sound, where there is any.
    pub audio: Option<AudioParams>,
}

/// How the pictures are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoParams {
    /// RFC 6381 codec, for example `avc1.64001f`.
    pub rfc6381: String,
    /// Pixels across, cropped (as displayed).
    pub width: u32,
    /// Pixels down, cropped (as displayed).
    pub height: u32,
    /// The complete `avc1` or `hvc1` box (ISO/IEC 14496-15), parameter sets included.
    pub sample_entry: Bytes,
}

/// How the sound is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioParams {
    /// The codec and what it alone needs.
    pub codec: AudioCodec,
    /// Samples a second.
    pub sample_rate: NonZeroU32,
    /// Channels, 1 for nearly every camera.
    pub channels: u16,
}

/// The sound codecs cameras send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioCodec {
    /// AAC, raw access units.
    Aac {
        /// RFC 6381 codec, for example `mp4a.40.2`.
        rfc6381: String,
        /// The complete `mp4a` box (ISO/IEC 14496-14), `esds` included.
        sample_entry: Bytes,
    },
    /// G.711, one byte a sample (RFC 3551 section 4.5.14).
    G711(G711Law),
}

/// The two companding laws of ITU-T G.711.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum G711Law {
    /// A-law: `PCMA`.
    A,
    /// µ-law: `PCMU`.
    Mu,
}

/// Which track of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Track {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// One access unit of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which track.
    pub track: Track,
    /// When it is presented, on the session's media clock.
    pub time: MediaTime,
    /// How long it lasts, in ticks of `time`; known for sound only.
    pub duration: Option<u32>,
    /// Decoding can start here. Always true for sound.
    pub key: bool,
    /// H.264/H.265 NAL units with four-byte lengths and no parameter sets, a raw AAC access unit, or G.711 samples.
    pub data: Bytes,
    /// When its last packet arrived, by our clock.
    pub arrived_at: Timestamp,
}

/// A time on the media clock of an RTSP session: ticks since the session's start, RTP wraps already undone.
/// All tracks of a session share the zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaTime {
    /// Ticks since the session's start; a little below zero at most.
    pub ticks: i64,
    /// Ticks a second (the RTP clock rate).
    pub rate: NonZeroU32,
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

impl MediaTime {
    /// A time in ticks of a clock.
    pub fn new(ticks: i64, rate: NonZeroU32) -> Self {
        Self { ticks, rate }
    }

    /// The time since the session's start, rounded to nanoseconds; saturates after 292 years.
    pub fn since_start(self) -> SignedDuration {
        let nanos = rescale(self.ticks, i128::from(self.rate.get()), NANOS_PER_SECOND);
        SignedDuration::from_nanos(nanos)
    }

    /// The same time in ticks of another clock, rounded to the nearest.
    pub fn ticks_at(self, rate: NonZeroU32) -> i64 {
        if rate == self.rate {
            return self.ticks;
        }
        rescale(self.ticks, i128::from(self.rate.get()), i128::from(rate.get()))
    }
}

/// `value × to / from`, rounded to the nearest, saturating.
fn rescale(value: i64, from: i128, to: i128) -> i64 {
    let scaled = (i128::from(value) * to * 2 + from).div_euclid(from * 2);
    i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: NonZeroU32 = NonZeroU32::new(90_000).unwrap();
    const AUDIO: NonZeroU32 = NonZeroU32::new(8_000).unwrap();

    #[test]
    fn a_time_keeps_its_meaning_on_another_clock() {
        assert_eq!(MediaTime::new(90_000, VIDEO).ticks_at(AUDIO), 8_000);
        assert_eq!(MediaTime::new(-45_000, VIDEO).ticks_at(AUDIO), -4_000);
        assert_eq!(MediaTime::new(6, VIDEO).ticks_at(AUDIO), 1);
        assert_eq!(
            MediaTime::new(3_600, VIDEO).since_start(),
            SignedDuration::from_millis(40)
        );
    }

    #[test]
    fn a_time_no_camera_reaches_saturates() {
        let hz = NonZeroU32::MIN;
        assert_eq!(MediaTime::new(i64::MAX, hz).ticks_at(VIDEO), i64::MAX);
        assert_eq!(MediaTime::new(i64::MIN, hz).ticks_at(VIDEO), i64::MIN);
    }
}
