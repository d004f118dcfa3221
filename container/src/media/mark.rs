//! What one coded picture is told from another by.

use sha2::{Digest, Sha256};

/// How a stream's NAL units are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nal {
    /// ITU-T H.264 section 7.4.1.
    H264,
    /// ITU-T H.265 section 7.4.2.2.
    H265,
}

impl Nal {
    /// By the RFC 6381 name of the codec.
    pub(crate) fn of(rfc6381: &str) -> Self {
        if rfc6381.starts_with("avc") {
            Self::H264
        } else {
            Self::H265
        }
    }

    /// Whether it holds part of a picture: what else a device sends between pictures differs from time to time.
    fn is_picture(self, unit: &[u8]) -> bool {
        match (self, unit.first()) {
            (_, None) => false,
            (Self::H264, Some(header)) => (1..=5).contains(&(header & 0x1F)),
            (Self::H265, Some(header)) => (header >> 1) & 0x3F < 32,
        }
    }
}

/// What a picture is recognised by: the first eight bytes of the SHA-256 of its coded slices, the same in every build. `data` are NAL units with four-byte lengths.
pub(crate) fn mark(nal: Nal, data: &[u8]) -> u64 {
    let mut hash = Sha256::new();
    let mut rest = data;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((unit, next)) = after.split_at_checked(length) else {
            break;
        };
        if nal.is_picture(unit) {
            hash.update(unit);
        }
        rest = next;
    }
    let digest = hash.finalize();
    let (first, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length[..], bytes].concat()
    }

    #[test]
    fn only_the_picture_counts_and_nothing_said_beside_it() {
        let slice = unit(&[0x65, 1, 2, 3]);
        let with_sei = [unit(&[0x06, 9, 9]), slice.clone()].concat();
        assert_eq!(mark(Nal::H264, &slice), mark(Nal::H264, &with_sei));
        assert_ne!(mark(Nal::H264, &slice), mark(Nal::H264, &unit(&[0x65, 1, 2, 4])));
        // In H.265, 0x26 is an IDR slice and 0x4E a supplement.
        let slice = unit(&[0x26, 1, 7]);
        let with_sei = [unit(&[0x4E, 1, 9]), slice.clone()].concat();
        assert_eq!(mark(Nal::H265, &slice), mark(Nal::H265, &with_sei));
    }

    #[test]
    fn cut_off_and_hostile_lengths_end_the_reading() {
        for data in [&[0, 0, 0][..], &[0xFF, 0xFF, 0xFF, 0xFF, 1], &[]] {
            assert_eq!(mark(Nal::H264, data), mark(Nal::H264, &[]));
        }
    }
}
