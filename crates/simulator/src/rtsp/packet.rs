//! RTP packets (RFC 3550), interleaved in an RTSP connection (RFC 2326 section 10.12), and how each codec is
//! cut into them.

use bytes::{BufMut, Bytes, BytesMut};

/// An RTP packet is at most this long: what cameras use so that it also fits a datagram.
const PACKET_MAX: usize = 1_400;
/// Bytes of an RTP header without extensions (RFC 3550 section 5.1).
const HEADER: usize = 12;
/// Bytes of payload in a packet.
const PAYLOAD_MAX: usize = PACKET_MAX - HEADER;
/// NAL unit types of fragments: RFC 6184 section 5.8 (FU-A) and RFC 7798 section 4.4.3 (FU).
const FU_A: u8 = 28;
const FU_H265: u8 = 49;

/// What a packet says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// The interleaved channel.
    pub(super) channel: u8,
    /// The payload type of the description.
    pub(super) payload_type: u8,
    /// The end of a frame.
    pub(super) marker: bool,
    /// The sequence number.
    pub(super) sequence: u16,
    /// RTP time.
    pub(super) timestamp: u32,
    /// The source.
    pub(super) ssrc: u32,
}

/// Appends a packet whose payload is `prefix` and then `body`.
pub(super) fn put(out: &mut BytesMut, header: Header, prefix: &[u8], body: &[u8]) {
    put_interleaved(out, header.channel, HEADER + prefix.len() + body.len());
    // Version 2, no padding, no extension, no contributing sources.
    out.put_u8(0x80);
    out.put_u8(u8::from(header.marker) << 7 | header.payload_type);
    out.put_u16(header.sequence);
    out.put_u32(header.timestamp);
    out.put_u32(header.ssrc);
    out.put_slice(prefix);
    out.put_slice(body);
}

/// Appends the frame of an interleaved packet of `length` bytes, which must follow.
pub(super) fn put_interleaved(out: &mut BytesMut, channel: u8, length: usize) {
    out.put_u8(b'$');
    out.put_u8(channel);
    out.put_u16(u16::try_from(length).expect("packets are cut to less than 64 KiB"));
}

/// The payload of one packet: a few bytes of its own, and a part of a unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Payload<'a> {
    /// Bytes in front.
    pub(super) prefix: Prefix,
    /// The part of the unit.
    pub(super) body: &'a [u8],
    /// Whether the packet's marker bit is set.
    pub(super) marker: bool,
}

/// Up to four bytes in front of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Nothing: the NAL unit or the samples as they are.
    None,
    /// The indicator and header of an FU-A.
    FuA([u8; 2]),
    /// The payload header and FU header of H.265.
    FuH265([u8; 3]),
    /// The AU header section of RFC 3640.
    AuHeader([u8; 4]),
}

impl Prefix {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::FuA(bytes) => bytes,
            Self::FuH265(bytes) => bytes,
            Self::AuHeader(bytes) => bytes,
        }
    }
}

/// Cuts a frame of H.264 into payloads (RFC 6184, packetization mode 1).
pub(super) fn h264<'a>(nals: &'a [Bytes], send: impl FnMut(Payload<'a>)) {
    cut_nals(nals, send, 1, |nal, edge| {
        Prefix::FuA([nal[0] & 0xe0 | FU_A, edge | nal[0] & 0x1f])
    });
}

/// Cuts a frame of H.265 into payloads (RFC 7798).
pub(super) fn h265<'a>(nals: &'a [Bytes], send: impl FnMut(Payload<'a>)) {
    cut_nals(nals, send, 2, |nal, edge| {
        let kind = nal[0] >> 1 & 0x3f;
        Prefix::FuH265([nal[0] & 0x81 | FU_H265 << 1, nal[1], edge | kind])
    });
}

/// Sends each NAL unit whole when it fits, else without its `header` bytes as fragments, whose prefix is made
/// from the unit and its start and end bits. The last payload of all has the marker.
fn cut_nals<'a>(
    nals: &'a [Bytes],
    mut send: impl FnMut(Payload<'a>),
    header: usize,
    fragment: impl Fn(&[u8], u8) -> Prefix,
) {
    for (at, nal) in nals.iter().enumerate() {
        let last_nal = at + 1 == nals.len();
        if nal.len() <= PAYLOAD_MAX {
            send(Payload {
                prefix: Prefix::None,
                body: nal,
                marker: last_nal,
            });
            continue;
        }
        let mut parts = nal[header..].chunks(PAYLOAD_MAX - header - 1).peekable();
        let mut start = 0x80;
        while let Some(body) = parts.next() {
            let last = parts.peek().is_none();
            let edge = start | u8::from(last) << 6;
            start = 0;
            send(Payload {
                prefix: fragment(nal, edge),
                body,
                marker: last && last_nal,
            });
        }
    }
}

/// Wraps a frame of AAC (RFC 3640 section 3.3.6, AAC-hbr): a header section of 16 bits, which holds the
/// frame's size in 13 bits and an index of 0.
pub(super) fn aac(unit: &[u8]) -> Payload<'_> {
    let [high, low] = ((unit.len() << 3) as u16).to_be_bytes();
    Payload {
        prefix: Prefix::AuHeader([0, 16, high, low]),
        body: unit,
        marker: true,
    }
}

/// G.711 as it is (RFC 3551 section 4.5.14). The marker would mean the start of a talk spurt.
pub(super) fn g711(unit: &[u8]) -> Payload<'_> {
    Payload {
        prefix: Prefix::None,
        body: unit,
        marker: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long_nal(first: [u8; 2], length: usize) -> Bytes {
        let mut nal: Vec<u8> = (0..length).map(|at| at as u8).collect();
        nal[..2].copy_from_slice(&first);
        nal.into()
    }

    fn collect<'a>(
        nals: &'a [Bytes],
        cut: impl Fn(&'a [Bytes], &mut dyn FnMut(Payload<'a>)),
    ) -> Vec<Payload<'a>> {
        let mut payloads = Vec::new();
        cut(nals, &mut |payload| payloads.push(payload));
        payloads
    }

    #[test]
    fn fragments_of_h264_join_to_the_unit_they_were() {
        for length in [
            PAYLOAD_MAX + 1,
            3 * (PAYLOAD_MAX - 2) + 1,
            3 * (PAYLOAD_MAX - 2) + 2,
            50_000,
        ] {
            let nals = [long_nal([0x65, 1], length)];
            let payloads = collect(&nals, |nals, send| h264(nals, send));
            let mut joined = vec![0x65];
            for (at, payload) in payloads.iter().enumerate() {
                let (first, last) = (at == 0, at + 1 == payloads.len());
                let edge = u8::from(first) << 7 | u8::from(last) << 6;
                assert_eq!(payload.prefix.bytes(), [0x7c, edge | 5]);
                assert_eq!(payload.marker, last);
                assert!(payload.body.len() + 2 <= PAYLOAD_MAX);
                joined.extend_from_slice(payload.body);
            }
            assert_eq!(joined, nals[0]);
        }
    }

    #[test]
    fn fragments_of_h265_join_to_the_unit_they_were() {
        let nals = [long_nal([0x26, 1], 10_000)];
        let payloads = collect(&nals, |nals, send| h265(nals, send));
        let mut joined = vec![0x26, 1];
        for payload in &payloads {
            assert_eq!(payload.prefix.bytes()[..2], [0x62, 1]);
            assert_eq!(payload.prefix.bytes()[2] & 0x3f, 19);
            joined.extend_from_slice(payload.body);
        }
        assert_eq!(joined, nals[0]);
    }

    #[test]
    fn only_the_last_packet_of_a_frame_has_the_marker() {
        let nals = [
            long_nal([0x67, 1], 20),
            long_nal([0x65, 1], 3_000),
            long_nal([0x65, 1], 100),
        ];
        let payloads = collect(&nals, |nals, send| h264(nals, send));
        let markers: Vec<bool> = payloads.iter().map(|payload| payload.marker).collect();
        assert_eq!(markers, [false, false, false, false, true]);
    }

    #[test]
    fn a_packet_is_framed_as_the_specifications_draw_it() {
        let mut out = BytesMut::new();
        let header = Header {
            channel: 2,
            payload_type: 97,
            marker: true,
            sequence: 0x0102,
            timestamp: 0x0304_0506,
            ssrc: 0x0708_090a,
        };
        let payload = aac(&[0xaa; 5]);
        put(&mut out, header, payload.prefix.bytes(), payload.body);
        let expected = [
            b'$', 2, 0, 21, 0x80, 0xe1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 16, 0, 40, 0xaa, 0xaa, 0xaa, 0xaa,
            0xaa,
        ];
        assert_eq!(out[..], expected);
    }
}
