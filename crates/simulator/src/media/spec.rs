//! What a loop of video is asked to be.

use super::Rhythm;
use anyhow::ensure;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A video codec the simulator can stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
}

/// A loop of video. Streams with equal specs share one encode and show the same frame at the same time.
/// The default is small enough to be encoded in a few seconds and long enough (164 s) that a frame's index
/// and a rough time tell which frame it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoopSpec {
    /// The codec.
    pub codec: Codec,
    /// Pixels across, even.
    pub width: u32,
    /// Pixels down, even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Frames from one key frame to the next.
    pub gop_frames: u32,
    /// The bit rate the encoder aims at, in kbit/s.
    pub bit_rate_kbps: u32,
    /// Frames until the loop repeats; a multiple of `gop_frames`, so that key frames keep their rhythm.
    pub frames: u32,
}

impl Default for LoopSpec {
    fn default() -> Self {
        Self {
            codec: Codec::H264,
            width: 320,
            height: 180,
            fps: 25,
            gop_frames: 25,
            bit_rate_kbps: 100,
            frames: 4_100,
        }
    }
}

/// The most frames the 16-bit index in the picture can tell apart.
const FRAMES_MAX: u32 = 1 << 16;

impl LoopSpec {
    /// A 1080p loop of 30 s at 2 Mbit/s, as a usual camera's main stream.
    pub fn full_hd(codec: Codec) -> Self {
        Self {
            codec,
            width: 1_920,
            height: 1_080,
            bit_rate_kbps: 2_000,
            frames: 750,
            ..Self::default()
        }
    }

    /// Checks the bounds within which encoding is sure to work and to stay readable.
    ///
    /// # Errors
    /// Names the field that is out of bounds.
    pub fn validate(&self) -> anyhow::Result<()> {
        let Self { width, height, .. } = *self;
        ensure!(
            width % 2 == 0 && (64..=3_840).contains(&width),
            "a width of {width} is not even and within 64 to 3840"
        );
        ensure!(
            height % 2 == 0 && (48..=2_160).contains(&height),
            "a height of {height} is not even and within 48 to 2160"
        );
        ensure!(
            (1..=60).contains(&self.fps),
            "{} fps are not within 1 to 60",
            self.fps
        );
        ensure!(
            (1..=600).contains(&self.gop_frames),
            "{} frames between key frames are not within 1 to 600",
            self.gop_frames
        );
        ensure!(
            (16..=20_000).contains(&self.bit_rate_kbps),
            "{} kbit/s are not within 16 to 20000",
            self.bit_rate_kbps
        );
        ensure!(
            (1..=FRAMES_MAX).contains(&self.frames) && self.frames.is_multiple_of(self.gop_frames),
            "{} frames are not a multiple of {} within 1 to {FRAMES_MAX}",
            self.frames,
            self.gop_frames
        );
        Ok(())
    }

    /// When the loop's frames are on air.
    pub fn rhythm(&self) -> Rhythm {
        Rhythm::new(1, self.fps)
    }

    /// The absolute number of the frame on air at `at`, counted from the Unix epoch.
    pub fn on_air(&self, at: Timestamp) -> u64 {
        self.rhythm().on_air(at)
    }

    /// The index that is drawn into the frame with absolute number `number`.
    pub fn index_of(&self, number: u64) -> u32 {
        (number % u64::from(self.frames)) as u32
    }

    /// Whether the frame with absolute number `number` is a key frame.
    pub fn is_key(&self, number: u64) -> bool {
        number.is_multiple_of(u64::from(self.gop_frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specs_on_offer_are_valid() {
        LoopSpec::default().validate().unwrap();
        LoopSpec::full_hd(Codec::H265).validate().unwrap();
    }

    #[test]
    fn a_loop_that_would_break_the_rhythm_of_key_frames_is_refused() {
        let spec = LoopSpec {
            frames: 4_096,
            ..LoopSpec::default()
        };
        let message = spec.validate().unwrap_err().to_string();
        assert_eq!(message, "4096 frames are not a multiple of 25 within 1 to 65536");
    }
}
