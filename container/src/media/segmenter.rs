//! Where one segment ends and the next begins.
//!
//! The one idea: frames go in, [`Step`]s for the spool come out, and nothing else happens here: no I/O, no clock
//! but the [`SessionClock`] that is passed in.
//!
//! - A segment begins with a key frame and ends at the key frame nearest the asked length, at a change of
//!   parameters, or when told to. The last picture lasts until the next segment's first, so segments abut
//!   exactly; before a break it lasts as long as the one before it did. The first of a session may begin with
//!   another picture when it is given a lead-in: what must be decoded before.
//! - Sound belongs to the segment in whose time it begins. Cameras interleave loosely, so a segment that is cut
//!   stays open until its sound is complete ([`SOUND_WAIT`] of pictures at most) while the next is written already.
//! - A session's frames come in decode order with presentation times (RFC 6184 section 5.1). Decode times are
//!   made from them: the presentation time, or one tick after the decode time before, so pictures that are shown
//!   out of order (B-frames) keep their exact presentation time as a negative composition offset.

use crate::media::clock::{SessionClock, Span};
use crate::media::frame::{Frame, MediaTime, StreamParams, Track};
use crate::media::mux::{MuxError, Patch};
use bytes::Bytes;
use domain::PictureMark;
use jiff::{SignedDuration, Timestamp};
pub use lead_in::LEAD_IN_MAX;
use lead_in::LeadIn;
use open::Open;
use std::collections::VecDeque;
use std::time::Duration;

mod lead_in;
mod open;

/// How long, in pictures, a segment that was cut waits for its last sound.
const SOUND_WAIT: SignedDuration = SignedDuration::from_secs(2);
/// Sound that no picture has caught up with is kept up to this many access units (20 ms to 128 ms each).
const SOUND_AHEAD_MAX: usize = 512;
/// A stream without key frames is recorded for so long ...
pub const GOP_MAX: SignedDuration = SignedDuration::from_mins(10);
/// ... or so many bytes, then it is given up: none of it can be cut, and all of it would be lost with one fault.
const GOP_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// A segment is cut at the next key frame when it is this large, whatever its length.
const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Why a stream cannot be cut into segments.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The stream's parameters cannot be stored.
    #[error("while laying out a segment")]
    Mux(#[from] MuxError),
    /// No key frame for [`GOP_MAX`] or [`GOP_BYTES_MAX`].
    #[error("no key frame for {seconds} s")]
    NoKeyFrame {
        /// Since the last one, in seconds.
        seconds: i64,
    },
}

/// Names an open segment within a [`Segmenter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentId(u64);

/// What the spool has to do next, in this order.
#[derive(Debug)]
pub enum Step {
    /// Create a file.
    Open {
        /// Which.
        id: SegmentId,
        /// UTC of its first frame; provisional in the first segment of a session.
        start: Timestamp,
        /// Its first bytes.
        bytes: Bytes,
        /// Its first picture.
        opens_with: PictureMark,
    },
    /// Append a fragment.
    Append {
        /// To which.
        id: SegmentId,
        /// The bytes, in pieces.
        chunks: Vec<Bytes>,
    },
    /// Append, patch, and close.
    Close(Closing),
}

/// A segment that is complete.
#[derive(Debug)]
pub struct Closing {
    /// Which.
    pub id: SegmentId,
    /// Its last fragment, in pieces.
    pub fragment: Vec<Bytes>,
    /// What changes at its front.
    pub patches: Vec<Patch>,
    /// Its first picture.
    pub opens_with: PictureMark,
    /// What it covers.
    pub span: Span,
    /// RFC 6381 codecs, comma-separated, video first.
    pub codecs: String,
    /// What a reader should know.
    pub note: Option<String>,
}

/// Cuts the frames of one channel into segments.
#[derive(Debug)]
pub struct Segmenter {
    target: SignedDuration,
    params: StreamParams,
    pictures_changed: bool,
    sound_changed: bool,
    lead_in: LeadIn,
    at_every_key: bool,
    current: Option<Open>,
    /// Cut, and waiting for its sound.
    cut: Option<(Open, Span)>,
    sound: VecDeque<Frame>,
    /// Where the first segment after a break began: sound before it has no pictures.
    sound_from: Option<MediaTime>,
    sound_late: u64,
    waiting_for_key: u64,
    next_id: u64,
    steps: VecDeque<Step>,
}

impl Segmenter {
    /// A segmenter for a session with these parameters, aiming at segments of `target`.
    pub fn new(target: Duration, params: StreamParams) -> Self {
        Self {
            target: SignedDuration::try_from(target).unwrap_or(SignedDuration::MAX),
            params,
            pictures_changed: false,
            sound_changed: false,
            lead_in: LeadIn::default(),
            at_every_key: false,
            current: None,
            cut: None,
            sound: VecDeque::new(),
            sound_from: None,
            sound_late: 0,
            waiting_for_key: 0,
            next_id: 0,
            steps: VecDeque::new(),
        }
    }

    /// Takes what is to be done; empty when there is nothing.
    pub fn steps(&mut self) -> impl Iterator<Item = Step> {
        self.steps.drain(..)
    }

    /// What to decode before the next picture, from a key frame on, in decode order: the next segment may then begin
    /// with a picture that is none. Stored with it and not shown. More than [`LEAD_IN_MAX`] are of no use.
    pub fn lead_in(&mut self, pictures: Vec<Frame>) {
        self.lead_in = LeadIn::new(pictures);
    }

    /// Other parameters from the next frame on: the open segment ends there and the next begins with a key frame.
    /// Where only the sound is another, the open segment ends at the next key frame.
    pub fn reconfigure(&mut self, params: StreamParams) {
        self.pictures_changed |= params.video != self.params.video;
        self.sound_changed |= params.audio != self.params.audio;
        self.params = params;
    }

    /// Another length from the open segment on.
    pub fn aim_at(&mut self, target: Duration) {
        self.target = SignedDuration::try_from(target).unwrap_or(SignedDuration::MAX);
    }

    /// Cuts at every key frame from now on.
    pub fn cut_at_every_key(&mut self) {
        self.at_every_key = true;
    }

    /// The end of the last picture taken, on the media clock.
    pub fn end(&self) -> Option<MediaTime> {
        self.current.as_ref().map(Open::end)
    }

    /// Takes a frame, in order of arrival.
    ///
    /// # Errors
    /// [`SegmentError`] when the stream cannot be recorded; what was recorded so far is closed by `finish`.
    pub fn push(&mut self, frame: Frame, clock: &mut SessionClock) -> Result<(), SegmentError> {
        match frame.track {
            Track::Video => self.push_picture(frame, clock)?,
            Track::Audio => self.push_sound(frame),
        }
        self.route_sound()?;
        self.close_cut_when_complete()
    }

    /// Ends the open segment after its last frame. The next begins with the next key frame.
    ///
    /// # Errors
    /// [`SegmentError::Mux`] when its end cannot be written; nothing is open any more either way.
    pub fn finish(&mut self, clock: &mut SessionClock) -> Result<(), SegmentError> {
        let routed = self.route_sound();
        self.sound.clear();
        let Some(mut open) = self.current.take() else {
            return self.close_cut().and(routed);
        };
        let end = open.end();
        let due = open.finish_picture(end)?;
        append(&mut self.steps, open.id, due);
        let span = clock.close(end);
        self.close_cut()?;
        self.cut = Some((open, span));
        self.close_cut().and(routed)
    }

    fn push_picture(&mut self, frame: Frame, clock: &mut SessionClock) -> Result<(), SegmentError> {
        if self.current.is_some() && self.is_end(&frame) {
            self.cut_at(frame.time, clock)?;
        }
        let Some(open) = &mut self.current else {
            if !frame.key && self.lead_in.is_empty() {
                self.waiting_for_key += 1;
                return Ok(());
            }
            return self.open_with(frame, clock);
        };
        if frame.key {
            open.last_key = frame.time;
            open.size_at_key = open.movie.size_bytes();
        }
        open.check_gop(&frame)?;
        let due = open.push_picture(frame)?;
        append(&mut self.steps, open.id, due);
        Ok(())
    }

    /// Whether the open segment ends before this picture.
    fn is_end(&self, frame: &Frame) -> bool {
        let Some(open) = &self.current else {
            return false;
        };
        if self.pictures_changed {
            return true;
        }
        if !frame.key {
            return false;
        }
        if self.sound_changed || self.at_every_key {
            return true;
        }
        let time = frame.time.since_start();
        let elapsed = time - open.start.since_start();
        let gop = time - open.last_key.since_start();
        let overshoot = elapsed.saturating_add(gop) - self.target;
        overshoot >= self.target - elapsed || open.movie.size_bytes() >= SEGMENT_BYTES_MAX
    }

    fn cut_at(&mut self, time: MediaTime, clock: &mut SessionClock) -> Result<(), SegmentError> {
        self.close_cut()?;
        let Some(mut open) = self.current.take() else {
            return Ok(());
        };
        let due = open.finish_picture(time)?;
        append(&mut self.steps, open.id, due);
        let span = clock.close(time);
        self.cut = Some((open, span));
        Ok(())
    }

    fn open_with(&mut self, frame: Frame, clock: &mut SessionClock) -> Result<(), SegmentError> {
        let id = SegmentId(self.next_id);
        let lead_in = std::mem::take(&mut self.lead_in).needed_by(&frame);
        let (mut open, bytes) = Open::start(id, &self.params, &frame, &lead_in, self.target)?;
        if self.waiting_for_key > 0 {
            open.notes.push(format!(
                "{} pictures before the first key frame left out",
                self.waiting_for_key
            ));
            self.waiting_for_key = 0;
        }
        self.next_id += 1;
        self.pictures_changed = false;
        self.sound_changed = false;
        if self.cut.is_none() {
            self.sound_from = Some(frame.time);
        }
        let start = clock.open(frame.time);
        let opens_with = open.opens_with;
        self.steps.push_back(Step::Open {
            id,
            start,
            bytes,
            opens_with,
        });
        let due = open.push_lead_in(&lead_in)?;
        append(&mut self.steps, id, due);
        let due = open.push_picture(frame)?;
        append(&mut self.steps, id, due);
        self.current = Some(open);
        Ok(())
    }

    fn push_sound(&mut self, frame: Frame) {
        if self.sound.len() >= SOUND_AHEAD_MAX {
            self.sound.pop_front();
            self.sound_late += u64::from(self.current.is_some());
        }
        self.sound.push_back(frame);
    }

    /// Hands sound to the segment in whose time it begins, as far as pictures have come.
    fn route_sound(&mut self) -> Result<(), SegmentError> {
        while let Some(frame) = self.sound.front() {
            let Some(current) = &mut self.current else {
                return Ok(());
            };
            let time = frame.time.since_start();
            if time >= current.end().since_start() {
                return Ok(());
            }
            let has_pictures = self.sound_from.is_some_and(|from| time >= from.since_start());
            let frame = self.sound.pop_front().expect("the front was just looked at");
            let open = if time >= current.start.since_start() {
                Some(current)
            } else {
                self.cut.as_mut().map(|(open, _)| open)
            };
            match open.filter(|open| time >= open.start.since_start()) {
                Some(open) => {
                    let due = open.push_sound(frame)?;
                    append(&mut self.steps, open.id, due);
                }
                None => self.sound_late += u64::from(has_pictures),
            }
        }
        Ok(())
    }

    fn close_cut_when_complete(&mut self) -> Result<(), SegmentError> {
        let Some((cut, _)) = &self.cut else {
            return Ok(());
        };
        let Some(current) = &self.current else {
            return self.close_cut();
        };
        let waited = current.end().since_start() - current.start.since_start();
        let sound_passed = self
            .sound
            .front()
            .is_some_and(|frame| frame.time.since_start() >= current.start.since_start())
            || current.sound.is_some();
        if cut.sound_rate.is_none() || sound_passed || waited >= SOUND_WAIT {
            return self.close_cut();
        }
        Ok(())
    }

    fn close_cut(&mut self) -> Result<(), SegmentError> {
        let Some((mut open, span)) = self.cut.take() else {
            return Ok(());
        };
        let due = open.finish_sound()?;
        append(&mut self.steps, open.id, due);
        if self.sound_late > 0 {
            open.notes
                .push(format!("{} access units of sound came too late", self.sound_late));
            self.sound_late = 0;
        }
        let ending = open.movie.end()?;
        self.steps.push_back(Step::Close(Closing {
            id: open.id,
            fragment: ending.fragment,
            patches: ending.patches,
            opens_with: open.opens_with,
            span,
            codecs: open.codecs,
            note: (!open.notes.is_empty()).then(|| open.notes.join("; ")),
        }));
        Ok(())
    }
}

fn append(steps: &mut VecDeque<Step>, id: SegmentId, due: Option<Vec<Bytes>>) {
    if let Some(chunks) = due {
        steps.push_back(Step::Append { id, chunks });
    }
}
