//! ITU-T G.711 to 16-bit PCM: what ffmpeg is fed, since MP4 has no sample entry for G.711 that both sides know.

use crate::media::frame::G711Law;
use bytes::{BufMut, Bytes, BytesMut};

/// Decodes G.711 to 16-bit little-endian samples.
pub(crate) fn decode(law: G711Law, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() * 2);
    for byte in data {
        out.put_i16_le(match law {
            G711Law::Mu => mu(*byte),
            G711Law::A => a(*byte),
        });
    }
    out.freeze()
}

/// G.711 table 2a: 14 bits, scaled to 16. The bits are sent inverted; the bias is 33 quarter steps.
fn mu(byte: u8) -> i16 {
    let byte = !byte;
    let (segment, step) = ((byte >> 4) & 7, i16::from(byte & 15));
    let magnitude = (((step << 3) + 0x84) << segment) - 0x84;
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// G.711 table 1a: 13 bits, scaled to 16. Even bits are sent inverted.
fn a(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (segment, step) = ((byte >> 4) & 7, i16::from(byte & 15));
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    if byte & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_laws_have_the_values_of_the_recommendation() {
        // Largest, smallest and zero of either law, from the value columns of G.711's tables times 4 and 8.
        assert_eq!([0x80, 0x00, 0xff, 0x7f].map(mu), [32_124, -32_124, 0, 0]);
        assert_eq!([0xaa, 0x2a, 0xd5, 0x55].map(a), [32_256, -32_256, 8, -8]);
    }

    #[test]
    fn louder_is_louder() {
        for law in [mu as fn(u8) -> i16, a] {
            let mut values: Vec<i16> = (0..=255).map(law).collect();
            values.sort_unstable();
            values.dedup();
            assert!(values.len() >= 255, "{} levels", values.len());
        }
    }
}
