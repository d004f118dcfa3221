//! Splits an encoder's byte stream (ITU-T H.264 and H.265, Annex B) into access units.
//!
//! The encoder is told to write access unit delimiters; here they are where a unit begins, and are then left
//! out, as are the encoder's messages (SEI): cameras send neither as a rule.

use super::Codec;
use bytes::Bytes;

/// One encoded frame: its NAL units, without start codes, sharing the loop's memory.
#[derive(Debug, Clone, Default)]
pub struct AccessUnit {
    /// The NAL units in order; a key frame's begin with the parameter sets.
    pub nals: Vec<Bytes>,
    /// Whether decoding can begin here (IDR).
    pub key: bool,
}

/// The parameter sets an RTSP description and an MP4 sample entry hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSets {
    /// Video parameter set; H.265 has one, H.264 none.
    pub vps: Option<Bytes>,
    /// Sequence parameter set.
    pub sps: Bytes,
    /// Picture parameter set.
    pub pps: Bytes,
}

impl ParameterSets {
    /// Takes the parameter sets from a key frame; `None` when one is missing.
    pub(super) fn of(codec: Codec, unit: &AccessUnit) -> Option<Self> {
        let find = |kind| unit.nals.iter().find(|nal| kind_of(codec, nal) == kind).cloned();
        Some(Self {
            vps: match codec {
                Codec::H264 => None,
                Codec::H265 => Some(find(Kind::Vps)?),
            },
            sps: find(Kind::Sps)?,
            pps: find(Kind::Pps)?,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vps,
    Sps,
    Pps,
    Delimiter,
    Message,
    KeySlice,
    Slice,
}

/// H.264 table 7-1 and H.265 table 7-1; our encoders write no other kinds, so the rest counts as slices.
fn kind_of(codec: Codec, nal: &[u8]) -> Kind {
    let first = nal.first().copied().unwrap_or(0);
    match codec {
        Codec::H264 => match first & 0x1f {
            5 => Kind::KeySlice,
            6 => Kind::Message,
            7 => Kind::Sps,
            8 => Kind::Pps,
            9 => Kind::Delimiter,
            _ => Kind::Slice,
        },
        Codec::H265 => match (first >> 1) & 0x3f {
            19 | 20 => Kind::KeySlice,
            32 => Kind::Vps,
            33 => Kind::Sps,
            34 => Kind::Pps,
            35 => Kind::Delimiter,
            39 | 40 => Kind::Message,
            _ => Kind::Slice,
        },
    }
}

/// Splits a stream at its access unit delimiters. What precedes the first delimiter is dropped.
pub(super) fn split(codec: Codec, stream: &Bytes) -> Vec<AccessUnit> {
    let mut units: Vec<AccessUnit> = Vec::new();
    for nal in nals(stream) {
        let kind = kind_of(codec, &nal);
        if kind == Kind::Delimiter {
            units.push(AccessUnit::default());
            continue;
        }
        let Some(unit) = units.last_mut() else { continue };
        if kind != Kind::Message {
            unit.key |= kind == Kind::KeySlice;
            unit.nals.push(nal);
        }
    }
    units
}

/// The NAL units between start codes (Annex B: `00 00 01`, with zero bytes allowed before it).
fn nals(stream: &Bytes) -> Vec<Bytes> {
    let starts: Vec<usize> = stream
        .windows(3)
        .enumerate()
        .filter(|(_, window)| *window == [0, 0, 1])
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let body = &stream[start + 3..end];
            let zeros = body.iter().rev().take_while(|byte| **byte == 0).count();
            stream.slice(start + 3..end - zeros)
        })
        .filter(|nal| !nal.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_split_at_delimiters_and_lose_them() {
        let stream = Bytes::from_static(&[
            0, 0, 0, 1, 0x09, 0x10, 0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x06, 5, 0, 0, 1,
            0x65, 9, 9, 0, 0, 0, 1, 0x09, 0x30, 0, 0, 1, 0x41, 7, 0, 0, 1, 0x41, 8,
        ]);
        let units = split(Codec::H264, &stream);
        let nals: Vec<Vec<&[u8]>> = units
            .iter()
            .map(|unit| unit.nals.iter().map(AsRef::as_ref).collect())
            .collect();
        assert_eq!(
            nals,
            [
                vec![&[0x67, 1][..], &[0x68, 2], &[0x65, 9, 9]],
                vec![&[0x41, 7][..], &[0x41, 8]]
            ]
        );
        assert_eq!(
            units.iter().map(|unit| unit.key).collect::<Vec<_>>(),
            [true, false]
        );
        let sets = ParameterSets::of(Codec::H264, &units[0]).unwrap();
        assert_eq!(
            (sets.vps, &sets.sps[..], &sets.pps[..]),
            (None, &[0x67, 1][..], &[0x68, 2][..])
        );
        assert_eq!(ParameterSets::of(Codec::H264, &units[1]), None);
    }

    #[test]
    fn a_stream_that_is_no_stream_has_no_units() {
        for bytes in [&b""[..], b"\0\0", b"\0\0\x01", b"garbage", b"\0\0\x01\x67\x01"] {
            assert!(split(Codec::H264, &Bytes::copy_from_slice(bytes)).is_empty());
        }
    }
}
