//! RTCP from the sender's side (RFC 3550 section 6): reports that tie RTP time to a clock, and goodbyes.

use super::packet::put_interleaved;
use bytes::{BufMut, BytesMut};
use jiff::Timestamp;

/// Packet types (RFC 3550 section 12.1).
const SENDER_REPORT: u8 = 200;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
/// The item of a source description that names the participant; shared by its tracks, it lets a client
/// synchronise them.
const CNAME: u8 = 1;
const NAME: &[u8; 10] = b"camera@sim";
/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_TO_UNIX_SECONDS: i64 = 2_208_988_800;

/// One moment of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    /// The source.
    pub(super) ssrc: u32,
    /// The sender's clock.
    pub(super) clock: Timestamp,
    /// The RTP time of the same moment.
    pub(super) rtp: u32,
    /// RTP packets sent so far.
    pub(super) packets: u32,
    /// Bytes of payload sent so far.
    pub(super) octets: u32,
}

/// Bytes of a sender report without report blocks.
const SENDER_REPORT_LENGTH: usize = 28;
/// Bytes of the description: header, source, item (2 bytes and the name), end, padded to 32 bits.
const DESCRIPTION_LENGTH: usize = (4 + 4 + 2 + NAME.len() + 1).next_multiple_of(4);
/// Bytes of a goodbye from one source.
const GOODBYE_LENGTH: usize = 8;

/// Appends a sender report with the source's description.
pub(super) fn put_report(out: &mut BytesMut, channel: u8, report: Report) {
    put_interleaved(out, channel, SENDER_REPORT_LENGTH + DESCRIPTION_LENGTH);
    put_sender_report(out, report);
    put_header(out, 1, SOURCE_DESCRIPTION, DESCRIPTION_LENGTH);
    out.put_u32(report.ssrc);
    out.put_slice(&[CNAME, NAME.len() as u8]);
    out.put_slice(NAME);
    out.put_bytes(0, DESCRIPTION_LENGTH - 10 - NAME.len());
}

/// Appends a last sender report and a goodbye.
pub(super) fn put_goodbye(out: &mut BytesMut, channel: u8, report: Report) {
    put_interleaved(out, channel, SENDER_REPORT_LENGTH + GOODBYE_LENGTH);
    put_sender_report(out, report);
    put_header(out, 1, GOODBYE, GOODBYE_LENGTH);
    out.put_u32(report.ssrc);
}

fn put_sender_report(out: &mut BytesMut, report: Report) {
    put_header(out, 0, SENDER_REPORT, SENDER_REPORT_LENGTH);
    out.put_u32(report.ssrc);
    out.put_u64(ntp(report.clock));
    out.put_u32(report.rtp);
    out.put_u32(report.packets);
    out.put_u32(report.octets);
}

/// Version 2, a count, the type, and the length in 32-bit words less one.
fn put_header(out: &mut BytesMut, count: u8, kind: u8, length: usize) {
    out.put_u8(0x80 | count);
    out.put_u8(kind);
    out.put_u16((length / 4 - 1) as u16);
}

/// A time as NTP has it: seconds modulo 2^32 and their binary fraction.
fn ntp(at: Timestamp) -> u64 {
    let nanos = at.as_nanosecond();
    let seconds = (nanos.div_euclid(1_000_000_000) as i64).wrapping_add(NTP_TO_UNIX_SECONDS);
    let fraction = (nanos.rem_euclid(1_000_000_000) << 32) / 1_000_000_000;
    u64::from(seconds as u32) << 32 | fraction as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_counts_from_1900_in_binary_fractions() {
        assert_eq!(ntp(Timestamp::UNIX_EPOCH), 2_208_988_800 << 32);
        let half_past = "1970-01-01T00:00:01.5Z".parse().unwrap();
        assert_eq!(ntp(half_past), 2_208_988_801 << 32 | 1 << 31);
    }

    #[test]
    fn every_part_of_a_compound_packet_has_the_length_it_claims() {
        let report = Report {
            ssrc: 1,
            clock: Timestamp::UNIX_EPOCH,
            rtp: 2,
            packets: 3,
            octets: 4,
        };
        let mut out = BytesMut::new();
        put_report(&mut out, 1, report);
        put_goodbye(&mut out, 3, report);
        let mut kinds = Vec::new();
        let mut rest = &out[..];
        while let [b'$', channel, high, low, tail @ ..] = rest {
            let (mut compound, tail) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            while let [_, kind, high, low, ..] = compound {
                kinds.push((*channel, *kind));
                compound = &compound[4 * (usize::from(u16::from_be_bytes([*high, *low])) + 1)..];
            }
            rest = tail;
        }
        assert_eq!(kinds, [(1, 200), (1, 202), (3, 200), (3, 203)]);
    }
}
