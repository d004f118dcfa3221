//! Which frames of a playback fill the hole, and what time each has by our clock. No I/O, no clock.
//!
//! - Frames are held back until one is recognised: then *our time = media time + offset*.
//! - Without anything to recognise, or when nothing was recognised before the hole, the device's own clock has to do:
//!   what its sender reports say if that is near what was asked for, else the time that was asked for.
//! - What is kept begins with the first picture that the archive does not have, and ends where the archive goes on,
//!   or, if the hole goes on, before the first key frame after what was asked for.
//! - The first picture may be one that needs others to be decoded: those since its key frame are its *lead-in*. Where
//!   nothing is recognised, or the pictures are to be encoded anew, it is a key frame.

use super::footprint::Footprint;
use crate::media::frame::{Frame, MediaTime, Track};
use crate::media::mark::{Nal, mark};
use crate::media::segmenter::LEAD_IN_MAX;
use domain::ports::Playback;
use domain::settings::Video;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;

/// Where frames are not recognised, times are compared to half a picture at 25 a second.
const TOLERANCE: SignedDuration = SignedDuration::from_millis(20);
/// A device's sender reports are believed if they are so near to what was asked for; others tell the time of day.
const REPORT_NEAR: SignedDuration = SignedDuration::from_mins(1);
/// For so long, on the media's clock, a sender report is waited for.
const REPORT_WITHIN: SignedDuration = SignedDuration::from_secs(1);
/// Pictures are further apart than this (up to 200 a second), and a picture that is seen again is nearer to itself.
const APART: SignedDuration = SignedDuration::from_millis(5);
/// A playback that ends so near to the end of what was asked for has come to it: devices round the times of their files,
/// and begin with a key frame, before or after the moment that was asked for.
const END_NEAR: SignedDuration = SignedDuration::from_secs(5);
/// Frames held back at most: some seconds of pictures and sound at any rate.
const HELD_MAX: usize = 4_096;

/// Dates one playback.
#[derive(Debug)]
pub(super) struct Dating {
    nal: Nal,
    before: Footprint,
    after: Footprint,
    asked_from: Timestamp,
    asked_to: Timestamp,
    missing_from: Timestamp,
    missing_to: Timestamp,
    goes_on: bool,
    /// Pictures are stored as they come.
    is_copy: bool,
    /// Our clock minus the media's, and how it is known.
    offset: Option<SignedDuration>,
    recognised: bool,
    /// The pictures since the last key frame, while nothing is kept yet.
    lead_in: Vec<Frame>,
    /// The device's clock minus the media's, by its sender reports.
    reported: Option<SignedDuration>,
    /// The first frame's time and the last's, on the media's clock.
    played: Option<(SignedDuration, SignedDuration)>,
    held: VecDeque<Frame>,
    ready: VecDeque<Frame>,
    is_filling: bool,
    is_over: bool,
}

impl Dating {
    /// Begins a playback between what the archive has before and after the hole.
    pub(super) fn new(playback: &Playback, nal: Nal, before: Footprint, after: Footprint) -> Self {
        Self {
            nal,
            before,
            after,
            asked_from: playback.asked.start,
            asked_to: playback.asked.end,
            missing_from: playback.missing.start,
            missing_to: playback.missing.end,
            goes_on: playback.goes_on,
            is_copy: playback.settings.video == Video::Copy,
            offset: None,
            recognised: false,
            lead_in: Vec::new(),
            reported: None,
            played: None,
            held: VecDeque::new(),
            ready: VecDeque::new(),
            is_filling: false,
            is_over: false,
        }
    }

    /// The stream is encoded like this from now on.
    pub(super) fn encoded(&mut self, nal: Nal) {
        self.nal = nal;
        self.lead_in.clear();
    }

    /// What the device says the time was.
    pub(super) fn report(&mut self, camera: Timestamp, time: MediaTime) {
        if camera.duration_since(self.asked_from).abs() <= REPORT_NEAR {
            self.reported = Some(offset(camera, time));
        }
    }

    /// Takes a frame as it comes.
    pub(super) fn take(&mut self, frame: Frame) {
        if self.is_over {
            return;
        }
        let now = frame.time.since_start();
        let (first, last) = self.played.unwrap_or((now, now));
        self.played = Some((first, last.max(now)));
        if let Some(seen) = self.recognise(&frame) {
            self.offset = Some(seen);
            self.recognised = true;
        }
        self.held.push_back(frame);
        if self.offset.is_none() && self.gives_up_waiting() {
            self.offset = Some(self.by_the_device());
        }
        self.judge_held();
    }

    /// Nothing more will come.
    pub(super) fn end(&mut self) {
        if self.offset.is_none() {
            self.offset = Some(self.by_the_device());
        }
        self.judge_held();
    }

    fn judge_held(&mut self) {
        let Some(offset) = self.offset else {
            return;
        };
        while let Some(frame) = self.held.pop_front() {
            self.judge(frame, offset);
        }
    }

    /// The next frame that fills the hole; it says that it arrived when, by our clock, it was taken.
    pub(super) fn next_frame(&mut self) -> Option<Frame> {
        self.ready.pop_front()
    }

    /// What must be decoded before the first frame that is kept, from a key frame on; asked for when there is one.
    pub(super) fn take_lead_in(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.lead_in)
    }

    /// Whether all that is missing has come.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the device has played all that it was asked for, or all that is missing of it.
    pub(super) fn is_played(&self) -> bool {
        let asked = self.asked_to.duration_since(self.asked_from);
        let reaches_end = |(first, last): (SignedDuration, SignedDuration)| last - first >= asked - END_NEAR;
        self.is_over || self.played.is_some_and(reaches_end)
    }

    /// Whether times are ours, by a frame that was recognised, and not the device's.
    pub(super) fn is_recognised(&self) -> bool {
        self.recognised
    }

    fn recognise(&self, frame: &Frame) -> Option<SignedDuration> {
        if frame.track != Track::Video || self.is_filling {
            return None;
        }
        let at = self.before.only(mark(self.nal, &frame.data))?;
        Some(offset(at, frame.time))
    }

    /// Nothing was recognised, and nothing will be.
    fn gives_up_waiting(&self) -> bool {
        let (Some(first), Some(last)) = (self.held.front(), self.held.back()) else {
            return false;
        };
        if self.held.len() >= HELD_MAX {
            return true;
        }
        if self.before.is_empty() {
            let waited = last.time.since_start() - first.time.since_start();
            return self.reported.is_some() || waited >= REPORT_WITHIN;
        }
        // As far beyond the beginning of the hole as was asked for before it: clocks may differ by that.
        let margin = self.missing_from.duration_since(self.asked_from);
        let device = at(last.time, self.by_the_device());
        device.duration_since(self.missing_from) >= margin
    }

    /// The offset by the device's clock.
    fn by_the_device(&self) -> SignedDuration {
        let first = self.held.front().map(|frame| frame.time);
        let asked = first.map(|time| offset(self.asked_from, time));
        self.reported.or(asked).unwrap_or_default()
    }

    fn judge(&mut self, frame: Frame, offset: SignedDuration) {
        if self.is_over {
            return;
        }
        let time = at(frame.time, offset);
        match frame.track {
            Track::Video => self.judge_picture(&frame, time),
            Track::Audio => {}
        }
        let fits = time < self.missing_to || self.goes_on;
        if self.is_filling && !self.is_over && fits {
            self.ready.push_back(Frame {
                arrived_at: time,
                ..frame
            });
        }
    }

    fn judge_picture(&mut self, frame: &Frame, time: Timestamp) {
        let mark = mark(self.nal, &frame.data);
        let is_past_end = time.duration_since(self.missing_to) >= -TOLERANCE;
        if !self.is_filling {
            if frame.key {
                self.lead_in.clear();
            }
            self.is_filling = self.begins(frame, mark, time);
            if !self.is_filling && self.is_copy {
                self.note_lead_in(frame);
            }
        }
        self.is_over = if self.goes_on {
            is_past_end && frame.key
        } else {
            is_past_end || (frame.key && self.after.has(mark, time))
        };
    }
}

impl Dating {
    /// Whether a picture is the first that is kept.
    fn begins(&self, frame: &Frame, mark: u64, time: Timestamp) -> bool {
        if time.duration_since(self.missing_from) < -TOLERANCE {
            return false;
        }
        if frame.key {
            return !self.before.has(mark, time);
        }
        // Pictures of a scene without motion are alike, so that times tell what follows; they are exact by now.
        let follows = |last: Timestamp| time.duration_since(last) > APART;
        self.recognised && !self.lead_in.is_empty() && self.before.last().is_some_and(follows)
    }

    /// Notes a picture that the first one kept may need.
    fn note_lead_in(&mut self, frame: &Frame) {
        let is_decodable = frame.key || !self.lead_in.is_empty();
        if self.lead_in.len() == LEAD_IN_MAX {
            self.lead_in.clear();
        } else if is_decodable {
            self.lead_in.push(frame.clone());
        }
    }
}

fn offset(utc: Timestamp, time: MediaTime) -> SignedDuration {
    utc.duration_since(Timestamp::UNIX_EPOCH) - time.since_start()
}

fn at(time: MediaTime, offset: SignedDuration) -> Timestamp {
    let since = offset.saturating_add(time.since_start());
    Timestamp::UNIX_EPOCH
        .saturating_add(since)
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
