//! What a stream is, and what can be wrong with it.

use crate::media::{AudioCodec, LoopSpec};
use anyhow::ensure;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One stream at one path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StreamSpec {
    /// The video.
    pub video: LoopSpec,
    /// The sound, if there is any.
    pub audio: Option<AudioCodec>,
    /// Live, or an interval of the past.
    pub kind: Kind,
    /// How wrong the camera's clock is.
    pub clock: CameraClock,
    /// The RTP time of a session's first frame; random, as RFC 3550 section 5.1 asks, when absent. A value
    /// just below 2^32 makes RTP time wrap.
    pub rtp_start: Option<u32>,
}

impl StreamSpec {
    /// Checks the bounds within which the stream can be served.
    ///
    /// # Errors
    /// Names the field that is out of bounds.
    pub fn validate(&self) -> anyhow::Result<()> {
        self.video.validate()?;
        self.clock.validate()?;
        if let Kind::Playback { start, end } = self.kind {
            ensure!(start < end, "a playback from {start} to {end} is empty");
        }
        Ok(())
    }

    /// Whether a session of this stream can go on as `next` without being described anew: only the picture
    /// changes, and the codec stays.
    pub(super) fn continues_as(&self, next: &Self) -> bool {
        self.kind == Kind::Live
            && self.video.codec == next.video.codec
            && *next
                == Self {
                    video: next.video.clone(),
                    ..self.clone()
                }
    }
}

/// Which part of a stream's endless time is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What is on air, from the next frame on, whatever frame that is: as cameras do.
    #[default]
    Live,
    /// What was on air from `start` until before `end`, at first the key frame at or before `start` (the
    /// pictures between could not be decoded), at last what was on air when it is asked for.
    Playback {
        /// The first moment.
        start: Timestamp,
        /// The moment after the last.
        end: Timestamp,
    },
}

/// The clock behind RTP time and the NTP time of sender reports. Frames stay numbered by the true time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CameraClock {
    /// How far the clock is ahead of the true time when the catalog is made, in milliseconds.
    pub offset_ms: i64,
    /// How much faster it runs, in millionths.
    pub drift_ppm: i32,
}

impl CameraClock {
    fn validate(&self) -> anyhow::Result<()> {
        /// Ten years: cameras that have lost their battery start in 1970 or 2000; no more is useful.
        const OFFSET_MAX_MS: u64 = 10 * 366 * 86_400_000;
        /// A tenth; crystals are wrong by a ten-thousandth.
        const DRIFT_MAX_PPM: u32 = 100_000;
        ensure!(
            self.offset_ms.unsigned_abs() <= OFFSET_MAX_MS,
            "a clock offset of {} ms is more than ten years",
            self.offset_ms
        );
        ensure!(
            self.drift_ppm.unsigned_abs() <= DRIFT_MAX_PPM,
            "a clock drift of {} ppm is more than {DRIFT_MAX_PPM}",
            self.drift_ppm
        );
        Ok(())
    }
}

/// What a stream suffers from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamFault {
    /// Sessions stay connected but silent: no RTP, no RTCP. What would have been sent meanwhile is lost.
    Freeze,
    /// Sessions are cut, new ones refused with 503.
    Drop,
    /// New sessions are refused with 404; running ones go on.
    NotFound,
    /// New sessions are refused with 401, whatever they present; running ones go on.
    Unauthorized,
    /// Whole units (frames, packets of sound) are lost before they reach the client. Their sequence numbers
    /// are used up, so that the client can tell.
    Stutter {
        /// The share that is lost, 0 to 1.
        loss: f64,
    },
    /// Sessions end with a goodbye (RTCP BYE) when they have played for so long, whatever is left: a device that has no
    /// time for a playback.
    Goodbye {
        /// For how long, in seconds of what is played.
        after_seconds: u32,
    },
    /// Each unit is replaced by a packet of random bytes.
    GarbageRtp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Codec;

    #[test]
    fn only_another_picture_of_the_same_codec_goes_on_in_band() {
        let old = StreamSpec::default();
        let mut wider = old.clone();
        wider.video.width = 640;
        assert!(old.continues_as(&wider));
        assert!(old.continues_as(&old));

        let mut other_codec = old.clone();
        other_codec.video.codec = Codec::H265;
        let mut with_sound = old.clone();
        with_sound.audio = Some(AudioCodec::Aac);
        let mut past = old.clone();
        past.kind = Kind::Playback {
            start: Timestamp::UNIX_EPOCH,
            end: Timestamp::MAX,
        };
        for next in [&other_codec, &with_sound, &past] {
            assert!(!old.continues_as(next));
        }
        assert!(!past.continues_as(&past));
    }

    #[test]
    fn an_empty_playback_is_refused() {
        let spec = StreamSpec {
            kind: Kind::Playback {
                start: Timestamp::UNIX_EPOCH,
                end: Timestamp::UNIX_EPOCH,
            },
            ..StreamSpec::default()
        };
        assert!(spec.validate().is_err());
    }
}
