//! Pre-encoded, machine-readable video and a tone, shared by every stream that asks for the same.
//!
//! The one idea: a [`Loop`] is encoded once and played for ever, and *which* of its frames is on air is a
//! function of the wall clock alone (see [`Rhythm`]). Every frame carries its index in the loop, drawn as
//! blocks that survive compression ([`code`]), so whoever decodes a recording can say exactly which frames
//! of which second are in it, without having talked to the simulator.
//!
//! ```text
//!   picture ──frames──▶ ffmpeg ──Annex B──▶ annexb ──access units──▶ Loop ──▶ rtsp
//!                         │ cached on disk, by a hash of the spec
//! ```

pub(crate) mod annexb;
pub(crate) mod audio;
pub(crate) mod code;
mod encode;
pub(crate) mod ffmpeg;
mod library;
mod picture;
mod rhythm;
mod spec;

pub use annexb::{AccessUnit, ParameterSets};
pub use audio::{AudioCodec, AudioLoop};
pub use library::Library;
pub use rhythm::Rhythm;
pub use spec::{Codec, LoopSpec};

use anyhow::{Context, ensure};
use bytes::Bytes;

/// A closed loop of encoded video: after its last frame comes its first, which is a key frame.
#[derive(Debug)]
pub struct Loop {
    spec: LoopSpec,
    units: Vec<AccessUnit>,
    parameter_sets: ParameterSets,
}

impl Loop {
    /// Splits an Annex B byte stream and checks that it is the loop `spec` asks for: as many frames, and
    /// key frames exactly where a group of pictures begins.
    fn from_annexb(spec: LoopSpec, stream: &Bytes) -> anyhow::Result<Self> {
        let units = annexb::split(spec.codec, stream);
        ensure!(
            units.len() == spec.frames as usize,
            "the encoder made {} frames of {}",
            units.len(),
            spec.frames
        );
        for (index, unit) in units.iter().enumerate() {
            let wanted = spec.is_key(index as u64);
            ensure!(
                unit.key == wanted,
                "frame {index} is key frame: {}, not {wanted}",
                unit.key
            );
        }
        let first = units.first().context("the loop is empty")?;
        let parameter_sets =
            ParameterSets::of(spec.codec, first).context("the first frame lacks parameter sets")?;
        Ok(Self {
            spec,
            units,
            parameter_sets,
        })
    }

    /// What was asked for.
    pub fn spec(&self) -> &LoopSpec {
        &self.spec
    }

    /// The frame with absolute number `number`.
    pub fn unit(&self, number: u64) -> &AccessUnit {
        let index = (number % self.units.len() as u64) as usize;
        &self.units[index]
    }

    /// The parameter sets every key frame repeats.
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.parameter_sets
    }
}
