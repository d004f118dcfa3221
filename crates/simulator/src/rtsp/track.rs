//! One track of a session: what is sent next, and how it is numbered on the wire.

use super::packet::{self, Header, Payload};
use super::rtcp::Report;
use super::timeline::Timeline;
use super::{StreamFault, sdp};
use crate::media::{AudioCodec, AudioLoop, Codec, Loop, Rhythm};
use bytes::BytesMut;
use jiff::Timestamp;
use std::sync::Arc;

/// Ticks of RTP time per second of video (RFC 6184 section 8.2.1, RFC 7798 section 7.1).
pub(super) const VIDEO_RATE: u32 = 90_000;

/// The two interleaved channels a client chose for a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Channels {
    /// For RTP.
    pub(super) rtp: u8,
    /// For RTCP.
    pub(super) rtcp: u8,
}

/// What a track plays.
#[derive(Debug, Clone)]
enum Source {
    Video(Arc<Loop>),
    Audio(Arc<AudioLoop>),
}

impl Source {
    fn rhythm(&self) -> Rhythm {
        match self {
            Self::Video(video) => video.spec().rhythm(),
            Self::Audio(audio) => audio.codec().rhythm(),
        }
    }

    fn rate(&self) -> u32 {
        match self {
            Self::Video(_) => VIDEO_RATE,
            Self::Audio(audio) => audio.codec().rate(),
        }
    }

    fn payload_type(&self) -> u8 {
        match self {
            Self::Video(_) => sdp::VIDEO_TYPE,
            Self::Audio(audio) => sdp::audio_type(audio.codec()),
        }
    }

    fn cut<'a>(&'a self, number: u64, mut send: impl FnMut(Payload<'a>)) {
        match self {
            Self::Video(video) => {
                let nals = &video.unit(number).nals;
                match video.spec().codec {
                    Codec::H264 => packet::h264(nals, send),
                    Codec::H265 => packet::h265(nals, send),
                }
            }
            Self::Audio(audio) => {
                let unit = audio.unit(number);
                send(match audio.codec() {
                    AudioCodec::Aac => packet::aac(unit),
                    AudioCodec::PcmMu | AudioCodec::PcmA => packet::g711(unit),
                });
            }
        }
    }
}

/// A loop that takes over with one of its key frames.
#[derive(Debug)]
struct Successor {
    video: Arc<Loop>,
    first: u64,
    from: Timestamp,
}

/// One track of one session.
#[derive(Debug)]
pub(super) struct Track {
    source: Source,
    successor: Option<Successor>,
    next: u64,
    channels: Channels,
    ssrc: u32,
    sequence: u16,
    rtp_start: u32,
    packets: u32,
    octets: u32,
}

impl Track {
    /// Video, from frame `first` on.
    pub(super) fn video(video: Arc<Loop>, first: u64, channels: Channels, wire: Wire) -> Self {
        Self::new(Source::Video(video), first, channels, wire)
    }

    /// Audio, from the first unit that starts at `from` or later.
    pub(super) fn audio(audio: Arc<AudioLoop>, from: Timestamp, channels: Channels, wire: Wire) -> Self {
        let first = audio.codec().rhythm().first_from(from);
        Self::new(Source::Audio(audio), first, channels, wire)
    }

    fn new(source: Source, first: u64, channels: Channels, wire: Wire) -> Self {
        Self {
            source,
            successor: None,
            next: first,
            channels,
            ssrc: wire.ssrc,
            sequence: wire.sequence,
            rtp_start: wire.rtp_start,
            packets: 0,
            octets: 0,
        }
    }

    /// The media time of the next unit.
    pub(super) fn next_at(&self) -> Timestamp {
        self.source.rhythm().start_of(self.next)
    }

    /// Lets `video` take over with its first key frame from now on. No effect on audio.
    pub(super) fn succeed(&mut self, video: Arc<Loop>) {
        if let Source::Audio(_) = self.source {
            return;
        }
        let spec = video.spec();
        let gop = u64::from(spec.gop_frames);
        let first = spec.rhythm().first_from(self.next_at()).next_multiple_of(gop);
        let from = spec.rhythm().start_of(first);
        self.successor = Some(Successor { video, first, from });
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let at = self.next_at();
        if let Some(successor) = self.successor.take_if(|successor| successor.from <= at) {
            self.next = successor.first;
            self.source = Source::Video(successor.video);
        }
    }

    /// Appends the next unit, or what `fault` makes of it, and moves on.
    pub(super) fn send(&mut self, out: &mut BytesMut, timeline: &Timeline, fault: Option<StreamFault>) {
        match fault {
            Some(StreamFault::Freeze | StreamFault::Drop) => {}
            Some(StreamFault::GarbageRtp) => put_garbage(out, self.channels.rtp),
            Some(StreamFault::Stutter { loss }) => {
                let lost = rand::random_bool(loss.clamp(0.0, 1.0));
                self.put_unit((!lost).then_some(out), timeline);
            }
            Some(StreamFault::NotFound | StreamFault::Unauthorized | StreamFault::Goodbye { .. }) | None => {
                self.put_unit(Some(out), timeline);
            }
        }
        self.next += 1;
        self.hand_over();
    }

    /// Counts the packets of the next unit, and appends them when there is somewhere to.
    fn put_unit(&mut self, mut out: Option<&mut BytesMut>, timeline: &Timeline) {
        let mut header = Header {
            channel: self.channels.rtp,
            payload_type: self.source.payload_type(),
            marker: false,
            sequence: self.sequence,
            timestamp: self.rtp_at(timeline, self.next_at()),
            ssrc: self.ssrc,
        };
        let (mut packets, mut octets) = (0_u32, 0_u32);
        self.source.cut(self.next, |payload| {
            let prefix = payload.prefix.bytes();
            header.marker = payload.marker;
            if let Some(out) = out.as_deref_mut() {
                packet::put(out, header, prefix, payload.body);
            }
            header.sequence = header.sequence.wrapping_add(1);
            packets += 1;
            octets += (prefix.len() + payload.body.len()) as u32;
        });
        self.sequence = header.sequence;
        self.packets = self.packets.wrapping_add(packets);
        self.octets = self.octets.wrapping_add(octets);
    }

    fn rtp_at(&self, timeline: &Timeline, at: Timestamp) -> u32 {
        self.rtp_start
            .wrapping_add(timeline.ticks(at, self.source.rate()))
    }

    /// The channels.
    pub(super) fn channels(&self) -> Channels {
        self.channels
    }

    /// What a sender report says at media time `at`.
    pub(super) fn report(&self, timeline: &Timeline, at: Timestamp) -> Report {
        Report {
            ssrc: self.ssrc,
            clock: timeline.camera_time(at),
            rtp: self.rtp_at(timeline, at),
            packets: self.packets,
            octets: self.octets,
        }
    }
}

/// The random numbers a track begins with on the wire (RFC 3550 section 5.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    /// The source.
    pub(super) ssrc: u32,
    /// The first sequence number.
    pub(super) sequence: u16,
    /// RTP time at the session's first frame.
    pub(super) rtp_start: u32,
}

impl Wire {
    /// New numbers, except for an RTP time that was asked for.
    pub(super) fn random(rtp_start: Option<u32>) -> Self {
        Self {
            ssrc: rand::random(),
            sequence: rand::random(),
            rtp_start: rtp_start.unwrap_or_else(rand::random),
        }
    }
}

/// Appends a packet of random bytes that cannot be taken for RTP: its version is not 2.
fn put_garbage(out: &mut BytesMut, channel: u8) {
    let mut bytes: [u8; 64] = rand::random();
    bytes[0] &= 0x3f;
    packet::put_interleaved(out, channel, bytes.len());
    out.extend_from_slice(&bytes);
}
