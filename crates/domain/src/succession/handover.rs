//! The old recorder's part of a move: what it holds back, when it is over, and what of it is kept.

use super::{FoundBy, Succession, find, not_covered};
use crate::task::FirstPicture;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The two clocks, and the ways from the gateway, may differ by so much: parts begin earlier than the successor.
const PARTS_BEFORE: SignedDuration = SignedDuration::from_secs(2);
/// What the successor began with is here, too, so long after it was reported, unless this line lags ...
const HERE_AFTER: Duration = Duration::from_secs(2);
/// ... which is waited for: more than any buffer on the way holds.
const LAG_MAX: Duration = Duration::from_secs(30);
/// A picture is recorded here, too, when recording has come so much further.
const PASSED_BY: SignedDuration = SignedDuration::from_secs(1);
/// A successor has what follows its first picture for so long, as far as that picture tells: more than passes in a handover
/// between the picture and the old recorder's end, unless a table is out of reach.
const VOUCHED_FOR: SignedDuration = SignedDuration::from_secs(60);
/// Parts are held back for so long while no picture of the successor is known: more than passes between its time and the
/// word of its first picture, its connection and a table's delay included. One that takes longer may never come (its image
/// crashes, or the gateway refuses it a second stream), and until it does the archive shall have what is recorded. What it has
/// of these parts, too, is kept twice.
const HELD_BACK_MAX: SignedDuration = SignedDuration::from_secs(60);

/// What is known of the successor, and the parts of the recording that are held back for it. Ticks are the time since
/// any one moment, by a clock that nobody sets.
#[derive(Debug)]
pub struct Handover<P> {
    succession: Succession,
    in_parts: bool,
    parts: Vec<(FirstPicture, P)>,
    /// When the successor's first picture became known.
    reported_at: Option<Duration>,
}

/// The held parts, told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled<P> {
    /// They are the archive's.
    pub ours: Vec<P>,
    /// The successor has what is in them.
    pub theirs: Vec<P>,
    /// By what its first picture was found among them.
    pub found: Option<FoundBy>,
}

impl<P> Handover<P> {
    /// There is a successor.
    pub fn new(succession: Succession, tick: Duration) -> Self {
        Self {
            succession,
            in_parts: false,
            parts: Vec::new(),
            reported_at: succession.first_picture.map(|_| tick),
        }
    }

    /// The newest word of it.
    pub fn learn(&mut self, succession: Succession, tick: Duration) {
        self.succession = succession;
        self.reported_at = succession.first_picture.and(self.reported_at.or(Some(tick)));
    }

    /// True once, when it is time to record in parts.
    pub fn begins_parts(&mut self, now: Timestamp) -> bool {
        let until = self.succession.until.duration_since(now);
        let begins = !self.in_parts && until <= PARTS_BEFORE;
        self.in_parts |= begins;
        begins
    }

    /// Holds a part back, if it may be the successor's; else it is the archive's, and returned.
    pub fn hold(&mut self, first: FirstPicture, part: P) -> Option<P> {
        if !self.in_parts {
            return Some(part);
        }
        self.parts.push((first, part));
        None
    }

    /// The parts that are held back no longer: nothing is known of a picture of the successor, and they are old. They are the
    /// archive's.
    pub fn overdue(&mut self, now: Timestamp) -> Vec<P> {
        if self.is_done() {
            return Vec::new();
        }
        let is_old = |(first, _): &&(FirstPicture, P)| now.duration_since(first.at) > HELD_BACK_MAX;
        let old = self.parts.iter().take_while(is_old).count();
        self.parts.drain(..old).map(|(_, part)| part).collect()
    }

    /// Whether nothing more need be recorded: the successor has what follows, or this recorder has nothing to lose.
    pub fn is_over(&self, recording: bool, recorded_to: Option<Timestamp>, tick: Duration) -> bool {
        let Some((first, reported_at)) = self.succession.first_picture.zip(self.reported_at) else {
            return self.succession.alive && !recording;
        };
        let waited = tick.saturating_sub(reported_at);
        let passed = recorded_to.is_some_and(|to| to.duration_since(first.at) >= PASSED_BY);
        !recording
            || find(&self.firsts(), first).is_some()
            || waited >= HERE_AFTER && passed
            || waited >= LAG_MAX
    }

    /// Whether the successor records, so that what this recorder misses is none of its business any more.
    pub fn is_done(&self) -> bool {
        self.succession.first_picture.is_some()
    }

    /// Tells what the successor has from the rest. A recorder that hears of it late keeps what it recorded meanwhile: the first
    /// picture says that the successor began, and not that it went on.
    pub fn settle(self) -> Settled<P> {
        let firsts = self.firsts();
        let first = self.succession.first_picture;
        let found = first.and_then(|first| find(&firsts, first)).map(|(_, by)| by);
        let theirs = match first {
            Some(first) => {
                let vouched = |part: &FirstPicture| part.at.duration_since(first.at) <= VOUCHED_FOR;
                let from = not_covered(&firsts, first);
                from..firsts
                    .iter()
                    .rposition(vouched)
                    .map_or(from, |last| from.max(last + 1))
            }
            None => 0..0,
        };
        let mut ours: Vec<P> = self.parts.into_iter().map(|(_, part)| part).collect();
        let theirs = ours.drain(theirs).collect();
        Settled { ours, theirs, found }
    }

    fn firsts(&self) -> Vec<FirstPicture> {
        self.parts.iter().map(|(first, _)| *first).collect()
    }
}
