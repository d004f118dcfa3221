//! Which bytes of a session are due. Sans-I/O: time goes in, bytes come out.

use super::catalog::Media;
use super::timeline::{Speed, Timeline};
use super::track::{Channels, Track, Wire};
use super::{Kind, StreamFault, rtcp};
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
        let spec = &media.spec.video;
        let rhythm = spec.rhythm();
        let (first, end) = match media.spec.kind {
            Kind::Live => (rhythm.first_from(now), None),
            Kind::Playback { start, end } => {
                let first = rhythm.first_from(start);
                let first = first - first % u64::from(spec.gop_frames);
                // What is not yet on air cannot be played.
                (first, Some(end.min(now).max(rhythm.start_of(first))))
            }
        };
        let base = rhythm.start_of(first);
        let (started, speed) = match media.spec.kind {
            Kind::Live => (base, Speed::NORMAL),
            Kind::Playback { .. } => (now, speed),
        };
        let timeline = Timeline {
            base,
            started,
            speed,
            clock: media.spec.clock,
            clock_set_at,
        };
        let wire = |_channels| Wire::random(media.spec.rtp_start);
        let (video, audio) = (chosen.video.map(wire), chosen.audio.map(wire));
        let mut tracks = Vec::new();
        if let (Some(channels), Some(wire)) = (chosen.video, video) {
            tracks.push(Track::video(media.video.clone(), first, channels, wire));
        }
        if let (Some(channels), Some(wire), Some(audio)) = (chosen.audio, audio, &media.audio) {
            tracks.push(Track::audio(audio.clone(), base, channels, wire));
        }
        let begin = |wire: Wire| (wire.sequence, wire.rtp_start);
        let begin = Begin {
            video: video.map(begin),
            audio: audio.map(begin),
            from: base,
            until: end,
        };
        let player = Self {
            tracks,
            timeline,
            end,
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
        for _ in 0..UNITS_AT_ONCE {
            let Some(track) = earliest(&mut self.tracks, self.end) else {
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
        Next::At(self.wake())
    }

    /// When something will be due: a unit, a report, or the end.
    fn wake(&mut self) -> Timestamp {
        let unit = earliest(&mut self.tracks, self.end).map(|track| track.next_at());
        unit.or(self.end)
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

/// The track whose unit is next; none when all have reached the end.
fn earliest(tracks: &mut [Track], end: Option<Timestamp>) -> Option<&mut Track> {
    tracks
        .iter_mut()
        .filter(|track| end.is_none_or(|end| track.next_at() < end))
        .min_by_key(|track| track.next_at())
}
