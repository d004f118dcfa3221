//! Which bytes of a session are due. Sans-I/O: time goes in, bytes come out.

use super::catalog::Media;
use super::timeline::{Speed, Timeline};
use super::track::{Channels, Track, Wire};
use super::{Kind, StreamFault, StreamSpec, rtcp};
use bytes::BytesMut;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// From one sender report to the next: the rhythm of the cameras seen, and RFC 3550's minimum (section 6.2).
const REPORT_EVERY: SignedDuration = SignedDuration::from_secs(5);
/// A session that is this far behind is cut: its client does not read. Cameras hold less.
pub(super) const LATE_MAX: SignedDuration = SignedDuration::from_secs(10);
/// Units appended at once, so that a session that must catch up does not fill the memory.
const UNITS_AT_ONCE: usize = 64;

/// What follows after bytes were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// More will be due at this time.
    At(Timestamp),
    /// The playback has ended; goodbyes are among the bytes.
    Finished,
    /// The session is further behind than [`LATE_MAX`] and cannot be continued.
    TooLate,
}

/// The client's choice of channels, by track.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chosen {
    /// For video, if it wants any.
    pub(super) video: Option<Channels>,
    /// For audio, if it wants any.
    pub(super) audio: Option<Channels>,
}

/// A session that plays.
#[derive(Debug)]
pub(super) struct Player {
    tracks: Vec<Track>,
    timeline: Timeline,
    end: Option<Timestamp>,
    next_report: Timestamp,
}

/// What a client is told when it starts to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begin {
    /// Video: sequence number and RTP time of the session's first frame.
    pub(super) video: Option<(u16, u32)>,
    /// Audio: sequence number of the first unit, and RTP time at the session's first frame.
    pub(super) audio: Option<(u16, u32)>,
    /// The media time of the first frame.
    pub(super) from: Timestamp,
    /// The end of a playback.
    pub(super) until: Option<Timestamp>,
}

impl Player {
    /// Starts a session at `now`. The camera's clock was set at `clock_set_at`.
    pub(super) fn start(
        media: &Media,
        chosen: Chosen,
        speed: Speed,
        now: Timestamp,
        clock_set_at: Timestamp,
    ) -> (Self, Begin) {
        let (first, until) = interval(&media.spec, now);
        let from = media.spec.video.rhythm().start_of(first);
        let (started, speed) = match media.spec.kind {
            Kind::Live => (from, Speed::NORMAL),
            Kind::Playback { .. } => (now, speed),
        };
        let timeline = Timeline {
            base: from,
            started,
            speed,
            clock: media.spec.clock,
            clock_set_at,
        };
        let mut begin = Begin {
            video: None,
            audio: None,
            from,
            until,
        };
        let mut tracks = Vec::new();
        if let Some(channels) = chosen.video {
            let wire = Wire::random(media.spec.rtp_start);
            begin.video = Some((wire.sequence, wire.rtp_start));
            tracks.push(Track::video(media.video.clone(), first, channels, wire));
        }
        if let (Some(channels), Some(audio)) = (chosen.audio, &media.audio) {
            let wire = Wire::random(media.spec.rtp_start);
            begin.audio = Some((wire.sequence, wire.rtp_start));
            tracks.push(Track::audio(audio.clone(), from, channels, wire));
        }
        let player = Self {
            tracks,
            timeline,
            end: until,
            next_report: started,
        };
        (player, begin)
    }

    /// Lets another loop of the same codec take over with its next key frame.
    pub(super) fn succeed(&mut self, video: &Arc<crate::media::Loop>) {
        for track in &mut self.tracks {
            track.succeed(video.clone());
        }
    }

    /// Appends what is due at `now`, as `fault` has it, a bounded number of units at once.
    pub(super) fn fill(&mut self, now: Timestamp, fault: Option<StreamFault>, out: &mut BytesMut) -> Next {
        let end = self.end_with(fault);
        for _ in 0..UNITS_AT_ONCE {
            let Some(track) = earliest(&mut self.tracks, end) else {
                self.put_goodbyes(now, out);
                return Next::Finished;
            };
            let due = self.timeline.due(track.next_at());
            if due > now {
                break;
            }
            if now.duration_since(due) > LATE_MAX {
                return Next::TooLate;
            }
            track.send(out, &self.timeline, fault);
        }
        self.put_reports(now, fault, out);
        Next::At(self.wake(end))
    }

    /// The end, if there is one.
    fn end_with(&self, fault: Option<StreamFault>) -> Option<Timestamp> {
        let Some(StreamFault::Goodbye { after_seconds }) = fault else {
            return self.end;
        };
        let after = SignedDuration::from_secs(i64::from(after_seconds));
        let goodbye = self.timeline.base.saturating_add(after).unwrap_or(Timestamp::MAX);
        Some(self.end.map_or(goodbye, |end| end.min(goodbye)))
    }

    /// When something will be due: a unit, a report, or the end.
    fn wake(&mut self, end: Option<Timestamp>) -> Timestamp {
        let unit = earliest(&mut self.tracks, end).map(|track| track.next_at());
        unit.or(end)
            .map_or(self.next_report, |at| self.timeline.due(at).min(self.next_report))
    }

    fn put_reports(&mut self, now: Timestamp, fault: Option<StreamFault>, out: &mut BytesMut) {
        if now < self.next_report {
            return;
        }
        self.next_report = now.saturating_add(REPORT_EVERY).unwrap_or(Timestamp::MAX);
        if fault == Some(StreamFault::Freeze) {
            return;
        }
        let position = self.timeline.position(now);
        for track in &self.tracks {
            let report = track.report(&self.timeline, position);
            rtcp::put_report(out, track.channels().rtcp, report);
        }
    }

    fn put_goodbyes(&self, now: Timestamp, out: &mut BytesMut) {
        let position = self.timeline.position(now);
        for track in &self.tracks {
            let report = track.report(&self.timeline, position);
            rtcp::put_goodbye(out, track.channels().rtcp, report);
        }
    }
}

/// The first frame a session plays that starts at `now`, and when a playback ends.
fn interval(spec: &StreamSpec, now: Timestamp) -> (u64, Option<Timestamp>) {
    let rhythm = spec.video.rhythm();
    match spec.kind {
        Kind::Live => (rhythm.first_from(now), None),
        Kind::Playback { start, end } => {
            let first = rhythm.on_air(start);
            let key = first - first % u64::from(spec.video.gop_frames);
            // What is not yet on air cannot be played.
            (key, Some(end.min(now).max(rhythm.start_of(key))))
        }
    }
}

/// The track whose unit is next; none when all have reached the end.
fn earliest(tracks: &mut [Track], end: Option<Timestamp>) -> Option<&mut Track> {
    tracks
        .iter_mut()
        .filter(|track| end.is_none_or(|end| track.next_at() < end))
        .min_by_key(|track| track.next_at())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{AudioCodec, Library, LoopSpec};
    use proptest::prelude::*;

    const VIDEO: Channels = Channels { rtp: 0, rtcp: 1 };
    const AUDIO: Channels = Channels { rtp: 2, rtcp: 3 };

    fn now() -> Timestamp {
        "2026-11-21T09:08:07.001Z".parse().unwrap()
    }

    fn media(kind: Kind) -> Media {
        let spec = StreamSpec {
            video: LoopSpec {
                frames: 25,
                ..LoopSpec::default()
            },
            audio: Some(AudioCodec::PcmMu),
            kind,
            ..StreamSpec::default()
        };
        let library = Library::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            Media {
                video: library.video(&spec.video).await.unwrap(),
                audio: Some(library.audio(AudioCodec::PcmMu).await.unwrap()),
                spec,
            }
        })
    }

    fn start(kind: Kind, speed: Speed) -> (Player, Begin) {
        let chosen = Chosen {
            video: Some(VIDEO),
            audio: Some(AUDIO),
        };
        Player::start(&media(kind), chosen, speed, now(), now())
    }

    /// The interleaved packets of each channel: video, its reports, audio, its reports.
    fn packets(bytes: &[u8]) -> [Vec<Vec<u8>>; 4] {
        let mut packets: [Vec<Vec<u8>>; 4] = Default::default();
        let mut rest = bytes;
        while let [b'$', channel, high, low, tail @ ..] = rest {
            let (packet, tail) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            packets[usize::from(*channel)].push(packet.to_vec());
            rest = tail;
        }
        assert!(rest.is_empty());
        packets
    }

    /// Frames end with the marker.
    fn frames(packets: &[Vec<u8>]) -> usize {
        packets.iter().filter(|packet| packet[1] & 0x80 != 0).count()
    }

    /// Fills at every time the player asks for, until `end`; the bytes of all.
    fn run(player: &mut Player, end: Timestamp, fault: Option<StreamFault>) -> (Next, Vec<u8>) {
        let mut out = BytesMut::new();
        let mut at = now();
        loop {
            let next = player.fill(at, fault, &mut out);
            match next {
                Next::At(later) if later < end => at = later.max(at),
                Next::At(_) | Next::Finished | Next::TooLate => return (next, out.to_vec()),
            }
        }
    }

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_live_session_sends_each_unit_once_and_reports_every_five_seconds() {
        let (mut player, begin) = start(Kind::Live, Speed::NORMAL);
        let (_, bytes) = run(&mut player, begin.from + seconds(12), None);
        let [video, video_reports, audio, audio_reports] = packets(&bytes);
        assert_eq!(frames(&video), 12 * 25);
        assert_eq!(audio.len(), 12 * 25);
        assert_eq!((video_reports.len(), audio_reports.len()), (3, 3));
        for track in [video, audio] {
            let sequence = |packet: &Vec<u8>| u16::from_be_bytes([packet[2], packet[3]]);
            assert!(
                track
                    .windows(2)
                    .all(|pair| sequence(&pair[1]) == sequence(&pair[0]).wrapping_add(1))
            );
        }
    }

    #[test]
    fn nothing_is_sent_before_its_time() {
        let (mut player, begin) = start(Kind::Live, Speed::NORMAL);
        let mut out = BytesMut::new();
        assert_eq!(player.fill(now(), None, &mut out), Next::At(begin.from));
        assert!(out.is_empty());
    }

    #[test]
    fn a_frozen_session_sends_nothing_and_goes_on_with_what_is_on_air_then() {
        let (mut player, begin) = start(Kind::Live, Speed::NORMAL);
        let (_, bytes) = run(&mut player, begin.from + seconds(20), Some(StreamFault::Freeze));
        assert!(bytes.is_empty());
        let mut out = BytesMut::new();
        player.fill(begin.from + seconds(20), None, &mut out);
        let [video, ..] = packets(&out);
        let rtp = u32::from_be_bytes([video[0][4], video[0][5], video[0][6], video[0][7]]);
        let (_, rtp_start) = begin.video.unwrap();
        assert_eq!(rtp.wrapping_sub(rtp_start), 20 * 90_000);
    }

    #[test]
    fn a_session_catches_up_in_bounded_steps_but_not_for_ever() {
        let (mut player, begin) = start(Kind::Live, Speed::NORMAL);
        let late = begin.from + LATE_MAX;
        let mut out = BytesMut::new();
        assert!(matches!(player.fill(late, None, &mut out), Next::At(at) if at <= late));
        let [video, _, audio, _] = packets(&out);
        assert_eq!(frames(&video) + audio.len(), UNITS_AT_ONCE);

        let (mut player, _) = start(Kind::Live, Speed::NORMAL);
        let too_late = late + seconds(1);
        assert_eq!(player.fill(too_late, None, &mut out), Next::TooLate);
    }

    #[test]
    fn a_playback_ends_with_a_goodbye_on_each_track() {
        let kind = Kind::Playback {
            start: now() - seconds(60),
            end: now() - seconds(50),
        };
        let (mut player, begin) = start(kind, Speed::parse("8").unwrap());
        let (next, bytes) = run(&mut player, now() + seconds(3), None);
        assert_eq!(next, Next::Finished);
        let [video, video_reports, audio, audio_reports] = packets(&bytes);
        let length = begin.until.unwrap().duration_since(begin.from).as_millis() as usize;
        assert_eq!(frames(&video), length.div_ceil(40));
        assert_eq!(audio.len(), length.div_ceil(40));
        for reports in [video_reports, audio_reports] {
            let goodbye = reports.last().unwrap();
            assert_eq!(goodbye[28..30], [0x81, 203]);
        }
    }

    #[test]
    fn a_device_without_time_says_goodbye_in_the_middle() {
        let kind = Kind::Playback {
            start: now() - seconds(60),
            end: now() - seconds(50),
        };
        for after_seconds in [0, 3] {
            let (mut player, _) = start(kind, Speed::parse("8").unwrap());
            let goodbye = Some(StreamFault::Goodbye { after_seconds });
            let (next, bytes) = run(&mut player, now() + seconds(3), goodbye);
            assert_eq!(next, Next::Finished);
            let [video, video_reports, ..] = packets(&bytes);
            assert_eq!(frames(&video), after_seconds as usize * 25);
            assert_eq!(video_reports.last().unwrap()[28..30], [0x81, 203]);
        }
    }

    #[test]
    fn what_is_not_yet_on_air_is_not_played() {
        let kind = Kind::Playback {
            start: now() + seconds(3_600),
            end: now() + seconds(7_200),
        };
        let (mut player, begin) = start(kind, Speed::NORMAL);
        assert_eq!(begin.until, Some(begin.from));
        assert_eq!(player.fill(now(), None, &mut BytesMut::new()), Next::Finished);
    }

    proptest! {
        #[test]
        fn every_playback_begins_with_the_key_frame_at_or_before_its_start(offset_ms in 0_i64..10_000_000) {
            let start = now() - seconds(20_000) + SignedDuration::from_millis(offset_ms);
            let spec = StreamSpec {
                kind: Kind::Playback { start, end: start + seconds(10) },
                ..StreamSpec::default()
            };
            let (first, end) = interval(&spec, now());
            let from = spec.video.rhythm().start_of(first);
            prop_assert!(spec.video.is_key(first));
            prop_assert!(from <= start);
            prop_assert!(start.duration_since(from) < seconds(1));
            prop_assert_eq!(end, Some(start + seconds(10)));
        }
    }
}
