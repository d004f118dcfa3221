//! A tone, as AAC-LC (encoded once by ffmpeg) or as G.711 (computed here).

use super::{Rhythm, encode};
use anyhow::{Context, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// An audio codec the simulator can stream, always mono.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudioCodec {
    /// AAC-LC (ISO/IEC 14496-3) at 16 kHz, as the vendor's cameras offer it.
    Aac,
    /// G.711 µ-law at 8 kHz.
    PcmMu,
    /// G.711 A-law at 8 kHz.
    PcmA,
}

/// Samples per second of the AAC tone.
pub(crate) const AAC_RATE: u32 = 16_000;
/// Samples in an AAC frame (ISO/IEC 14496-3).
const AAC_FRAME: u32 = 1_024;
/// Samples per second of G.711.
const G711_RATE: u32 = 8_000;
/// Samples in a packet of G.711: 40 ms.
const G711_PACKET: u32 = 320;
/// The tone. A whole number of periods fits every unit, so that units join without a click.
const TONE_HZ: u32 = 1_000;
/// AAC frames in the loop: 4.1 s.
const AAC_UNITS: usize = 64;
/// AAC frames at the start in which the encoder is still swinging in.
const AAC_LEAD: usize = 4;
/// An AAC frame must fit one RTP packet; at 32 kbit/s it is a tenth of this.
const AAC_UNIT_MAX: usize = 1_200;

impl AudioCodec {
    /// Samples per second, which is also the RTP clock rate.
    pub fn rate(self) -> u32 {
        match self {
            Self::Aac => AAC_RATE,
            Self::PcmMu | Self::PcmA => G711_RATE,
        }
    }

    /// When this codec's units are on air.
    pub fn rhythm(self) -> Rhythm {
        match self {
            Self::Aac => Rhythm::new(AAC_FRAME, AAC_RATE),
            Self::PcmMu | Self::PcmA => Rhythm::new(G711_PACKET, G711_RATE),
        }
    }
}

/// A closed loop of encoded audio.
#[derive(Debug)]
pub struct AudioLoop {
    codec: AudioCodec,
    units: Vec<Bytes>,
}

impl AudioLoop {
    /// Makes the loop. Blocks.
    ///
    /// # Errors
    /// When ffmpeg, needed for AAC, is missing or fails.
    pub(super) fn make(codec: AudioCodec) -> anyhow::Result<Self> {
        let units = match codec {
            AudioCodec::Aac => make_aac()?,
            AudioCodec::PcmMu => vec![tone(G711_RATE, G711_PACKET).map(mu_law).collect()],
            AudioCodec::PcmA => vec![tone(G711_RATE, G711_PACKET).map(a_law).collect()],
        };
        Ok(Self { codec, units })
    }

    /// The codec.
    pub fn codec(&self) -> AudioCodec {
        self.codec
    }

    /// The unit with absolute number `number`.
    pub fn unit(&self, number: u64) -> &Bytes {
        let index = (number % self.units.len() as u64) as usize;
        &self.units[index]
    }
}

fn make_aac() -> anyhow::Result<Vec<Bytes>> {
    let frames = AAC_UNITS + 2 * AAC_LEAD;
    let samples: Vec<u8> = tone(AAC_RATE, AAC_FRAME * frames as u32)
        .flat_map(i16::to_le_bytes)
        .collect();
    let units = split_adts(&encode::aac(&samples)?)?;
    let units = units
        .get(AAC_LEAD..AAC_LEAD + AAC_UNITS)
        .context("ffmpeg made too few frames of AAC")?;
    ensure!(
        units.iter().all(|unit| unit.len() <= AAC_UNIT_MAX),
        "an AAC frame does not fit a packet"
    );
    Ok(units.to_vec())
}

fn tone(rate: u32, samples: u32) -> impl Iterator<Item = i16> {
    let step = std::f64::consts::TAU * f64::from(TONE_HZ) / f64::from(rate);
    (0..samples).map(move |sample| (8_000.0 * (f64::from(sample) * step).sin()) as i16)
}

/// Takes the frames out of an ADTS stream (ISO/IEC 13818-7, 6.2).
fn split_adts(stream: &Bytes) -> anyhow::Result<Vec<Bytes>> {
    let mut units = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        let header = stream.get(at..at + 7).context("ADTS is cut off in a header")?;
        ensure!(
            header[0] == 0xff && header[1] & 0xf6 == 0xf0,
            "ADTS lost its sync word"
        );
        let header_length = if header[1] & 1 == 1 { 7 } else { 9 };
        let length =
            usize::from(header[3] & 3) << 11 | usize::from(header[4]) << 3 | usize::from(header[5] >> 5);
        ensure!(
            length > header_length && at + length <= stream.len(),
            "an ADTS frame of {length} bytes is impossible"
        );
        units.push(stream.slice(at + header_length..at + length));
        at += length;
    }
    Ok(units)
}

/// ITU-T G.711, table 2: sign, segment and step of a 14-bit sample, inverted.
fn mu_law(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    let segment = (magnitude >> 7).ilog2();
    let step = (magnitude >> (segment + 3)) & 0x0f;
    !(sign | (segment << 4) as u8 | step as u8)
}

/// ITU-T G.711, table 1: sign, segment and step of a 13-bit sample, even bits inverted.
fn a_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    let magnitude = if sample < 0 { !sample } else { sample } >> 4;
    let code = if magnitude < 16 {
        magnitude as u8
    } else {
        let segment = magnitude.ilog2() - 3;
        let step = (magnitude >> (segment - 1)) & 0x0f;
        (segment << 4) as u8 | step as u8
    };
    (sign | code) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_has_the_values_of_the_recommendation() {
        let cases = [
            (0, 0xff),
            (-1, 0x7f),
            (32_767, 0x80),
            (-32_768, 0x00),
            (1_000, 0xce),
            (-8_000, 0x20),
        ];
        for (sample, code) in cases {
            assert_eq!(mu_law(sample), code, "{sample}");
        }
    }

    #[test]
    fn a_law_has_the_values_of_the_recommendation() {
        let cases = [
            (0, 0xd5),
            (-1, 0x55),
            (32_767, 0xaa),
            (-32_768, 0x2a),
            (1_000, 0xfa),
            (-8_000, 0x0a),
        ];
        for (sample, code) in cases {
            assert_eq!(a_law(sample), code, "{sample}");
        }
    }

    #[test]
    fn damaged_adts_is_an_error() {
        for bytes in [
            &[0xff, 0xf1][..],
            &[0; 16],
            &[0xff, 0xf1, 0, 0, 0, 0, 0, 0],
            &[0xff, 0xf1, 0, 3, 0xff, 0xff, 0],
        ] {
            assert!(split_adts(&Bytes::copy_from_slice(bytes)).is_err());
        }
    }
}
