//! One channel as one modelled recorder records it: a picture a step, each a key frame that looks like no other, and alike to
//! all who do not encode it anew.

use super::door::Door;
use super::fleet::STEP;
use super::ledger::Keeper;
use super::recorders::{Scene, Step};
use domain::settings::Video;
use domain::succession::{FoundBy, Handover, Settled, Succession, keeps_from};
use domain::{
    Assignment, AssignmentRow, ChannelKey, FirstPicture, Gap, GapCause, PictureMark, SegmentKey, TaskArn,
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The length of a segment (the default of the settings).
const SEGMENT: SignedDuration = SignedDuration::from_secs(30);

/// The device does not give the stream, or not under this URL.
const NO_STREAM: &str = "no stream";

/// A successor that begins so much earlier than its time was told that by a clock that is off.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(4);

#[derive(Debug)]
pub(super) struct Recording {
    pub(super) assignment: Assignment,
    connected: bool,
    /// It was not let in, and knocks no more until somebody changes something.
    barred: Option<&'static str>,
    /// Nothing before is kept, by the recorder's clock.
    keeps_from: Option<Timestamp>,
    open: Option<SegmentKey>,
    /// End of what is recorded, by the true time.
    recorded_to: Option<Timestamp>,
    last_segment_at: Option<Timestamp>,
    first_picture: Option<FirstPicture>,
    /// The hole it is in, as the table knows it.
    gap: Option<Gap>,
    handover: Option<Heir>,
}

/// Who has the channel next.
#[derive(Debug)]
struct Heir {
    name: Option<Keeper>,
    handover: Handover<SegmentKey>,
    began_with: Option<FirstPicture>,
    /// The recorder heard of it before the first picture that the heir may keep, and so records that in a part of its own.
    in_time: bool,
    until: Timestamp,
    in_parts: bool,
}

/// How a recording ended.
#[derive(Debug)]
pub(super) struct Settlement {
    key: ChannelKey,
    pub(super) keeper: Keeper,
    pub(super) heir: Option<Keeper>,
    /// What the heir began with, as far as is known.
    pub(super) began_with: Option<FirstPicture>,
    /// It recorded in parts when the heir began, and knows what that one began with.
    pub(super) in_time: bool,
    /// How it knows which of its parts that is.
    pub(super) found: Option<FoundBy>,
    /// The archive's.
    pub(super) ours: Vec<SegmentKey>,
    /// Removed, as the heir has it.
    pub(super) theirs: Vec<SegmentKey>,
}

impl Settlement {
    pub(super) fn key(&self) -> &ChannelKey {
        &self.key
    }

    /// How its end was found, if the heir is known to have begun.
    pub(super) fn branch(&self) -> Option<&'static str> {
        self.began_with.map(|_| match self.found {
            Some(FoundBy::Looks) => "successor found by its picture",
            Some(FoundBy::Time) => "successor found by its time",
            None => "successor not found",
        })
    }

    pub(super) fn is_of(&self, key: &ChannelKey, keeper: &Keeper) -> bool {
        self.key == *key && self.keeper == *keeper
    }

    /// The heir, and when it began, if that is known.
    pub(super) fn heir_that_began(&self) -> Option<(&Keeper, Timestamp)> {
        self.heir.as_ref().zip(self.began_with.map(|first| first.at))
    }
}

/// The true time, as a clock that nobody sets shows it.
pub(super) fn tick(now: Timestamp) -> Duration {
    Duration::from_secs(now.as_second().unsigned_abs())
}

impl Recording {
    pub(super) fn new(row: AssignmentRow, clock: Timestamp) -> Self {
        Self {
            connected: false,
            barred: None,
            keeps_from: keeps_from(&row.assignment, clock),
            open: None,
            recorded_to: None,
            last_segment_at: row.heartbeat.last_segment_at,
            first_picture: None,
            gap: None,
            handover: None,
            assignment: row.assignment,
        }
    }

    pub(super) fn is_succeeded(&self) -> bool {
        self.handover.is_some()
    }

    pub(super) fn succeeds(&self) -> bool {
        self.assignment.predecessor.is_some()
    }

    /// Whether pictures are being kept.
    pub(super) fn is_started(&self) -> bool {
        self.connected && self.keeps_from.is_none()
    }

    pub(super) fn why_lost(&self) -> &'static str {
        match (self.barred, self.keeps_from) {
            (Some(_), _) => "its recorder was not let in",
            (None, Some(_)) => "its recorder waits for its time",
            (None, None) => "its recorder has another URL",
        }
    }

    pub(super) fn first_picture(&self) -> Option<FirstPicture> {
        self.first_picture
    }

    pub(super) fn last_segment_at(&self) -> Option<Timestamp> {
        self.last_segment_at
    }

    pub(super) fn into_unstored(self) -> Vec<SegmentKey> {
        let parts = self.handover.map(|heir| heir.handover.settle());
        let parts = parts.map_or_else(Vec::new, |Settled { ours, theirs, .. }| [ours, theirs].concat());
        self.open.into_iter().chain(parts).collect()
    }

    /// The row changed, in the same generation; whether that may be why it was not let in.
    pub(super) fn tell(&mut self, assignment: &Assignment) -> bool {
        let moved = self.assignment.media_url != assignment.media_url;
        let reset = self.assignment.settings != assignment.settings;
        self.connected &= !moved;
        self.assignment = assignment.clone();
        if moved || reset {
            self.retry();
        }
        moved || reset
    }

    /// It may knock again.
    pub(super) fn retry(&mut self) {
        self.barred = None;
    }

    /// The newest word of a successor.
    pub(super) fn hand_over(
        &mut self,
        succession: Succession,
        name: Option<Keeper>,
        now: Timestamp,
        clock_off: SignedDuration,
        step: &mut Step,
    ) {
        let Some(heir) = &mut self.handover else {
            self.handover = Some(Heir {
                name,
                handover: Handover::new(succession, tick(now)),
                began_with: succession.first_picture,
                in_time: now + clock_off <= succession.until,
                until: succession.until,
                in_parts: false,
            });
            return;
        };
        if heir.name != name {
            step.reached.push("moved again before it had moved");
            heir.in_time &= now + clock_off <= succession.until;
            heir.until = succession.until;
        }
        heir.name = name;
        heir.began_with = succession.first_picture;
        heir.handover.learn(succession, tick(now));
    }

    /// Records one step, or says why not.
    pub(super) fn turn(
        &mut self,
        scene: &Scene<'_>,
        clock_off: SignedDuration,
        door: &mut Door,
        spool: &mut Vec<SegmentKey>,
        step: &mut Step,
    ) -> Option<&'static str> {
        if let Some(heir) = &mut self.handover {
            let overdue = heir.handover.overdue(scene.now + clock_off);
            if !overdue.is_empty() {
                step.reached.push("held back no longer");
            }
            spool.extend(overdue);
        }
        let key = &self.assignment.key;
        let there = scene.streams.get(key) == Some(&self.assignment.media_url);
        if there && !self.connected {
            self.barred = self.barred.or_else(|| door.knock(scene, step));
            if self.barred.is_some() {
                return self.barred;
            }
        }
        self.connected = there;
        if !there {
            self.cut(clock_off, spool);
            return Some(NO_STREAM);
        }
        self.keep(scene.now, clock_off, spool);
        None
    }

    /// Keeps the picture of this step, unless it is the predecessor's.
    fn keep(&mut self, now: Timestamp, clock_off: SignedDuration, spool: &mut Vec<SegmentKey>) {
        let begin = now - STEP;
        self.keeps_from = self.keeps_from.filter(|from| begin + clock_off < *from);
        if self.keeps_from.is_some() {
            return;
        }
        if let Some(heir) = &mut self.handover
            && heir.handover.begins_parts(now + clock_off)
        {
            heir.in_parts = true;
            self.cut(clock_off, spool);
        }
        self.first_picture = self.first_picture.or_else(|| Some(self.looks(begin, clock_off)));
        let (key, generation) = (&self.assignment.key, self.assignment.generation);
        let open = self
            .open
            .get_or_insert_with(|| SegmentKey::new(key.clone(), begin, SignedDuration::ZERO, generation));
        open.duration += STEP;
        self.recorded_to = Some(now);
        if open.duration >= SEGMENT || self.handover.as_ref().is_some_and(|heir| heir.in_parts) {
            self.cut(clock_off, spool);
        }
    }

    /// What the picture of this moment looks like: the same to all who copy it, and to who encodes it anew like no other.
    fn looks(&self, begin: Timestamp, clock_off: SignedDuration) -> FirstPicture {
        let copied = begin.as_second().unsigned_abs();
        let mark = match self.assignment.settings.video {
            Video::Copy => copied,
            Video::Transcode(_) => (copied << 8) + self.assignment.generation.0,
        };
        FirstPicture {
            at: begin + clock_off,
            mark: PictureMark(mark),
        }
    }

    /// Nothing was received for a while.
    pub(super) fn break_off(&mut self, clock_off: SignedDuration, spool: &mut Vec<SegmentKey>) {
        self.connected = false;
        self.cut(clock_off, spool);
    }

    /// The hole that begins with this error, or ends without one.
    pub(super) fn hole(&self, error: Option<&str>, now: Timestamp) -> Option<Gap> {
        match (error, &self.gap) {
            (None, None) | (Some(_), Some(_)) => None,
            (None, Some(gap)) => Some(Gap {
                end: Some(now - STEP),
                ..gap.clone()
            }),
            (Some(error), None) => Some(Gap {
                key: self.assignment.key.clone(),
                start: self.recorded_to.unwrap_or(now - STEP),
                end: None,
                cause: match error {
                    NO_STREAM => GapCause::Network,
                    _ => GapCause::CredentialsRejected,
                },
            }),
        }
    }

    /// The table knows of it.
    pub(super) fn noted(&mut self, gap: Gap) {
        self.gap = Some(gap).filter(|gap| gap.end.is_none());
    }

    /// Closes the open segment.
    fn cut(&mut self, clock_off: SignedDuration, spool: &mut Vec<SegmentKey>) {
        let Some(segment) = self.open.take() else { return };
        self.last_segment_at = Some(segment.end());
        let first = self.looks(segment.start, clock_off);
        match &mut self.handover {
            Some(heir) => spool.extend(heir.handover.hold(first, segment)),
            None => spool.push(segment),
        }
    }

    pub(super) fn is_over(&self, now: Timestamp, clock_off: SignedDuration) -> bool {
        let recorded_to = self.recorded_to.map(|to| to + clock_off);
        self.handover
            .as_ref()
            .is_some_and(|heir| heir.handover.is_over(self.is_started(), recorded_to, tick(now)))
    }

    /// Ends, and tells apart whose everything is that it held back.
    pub(super) fn settle(mut self, task: &TaskArn, clock_off: SignedDuration) -> Settlement {
        let mut ours = Vec::new();
        self.cut(clock_off, &mut ours);
        let mut settlement = Settlement {
            key: self.assignment.key.clone(),
            keeper: Keeper::new(task, self.assignment.generation),
            heir: None,
            began_with: None,
            in_time: false,
            found: None,
            ours,
            theirs: Vec::new(),
        };
        if let Some(heir) = self.handover {
            settlement.heir = heir.name;
            let as_told = |first: FirstPicture| first.at >= heir.until - CLOCKS_APART;
            settlement.in_time = heir.in_time && heir.began_with.is_some_and(as_told);
            settlement.began_with = heir.began_with;
            let Settled { ours, theirs, found } = heir.handover.settle();
            settlement.ours.extend(ours);
            settlement.theirs = theirs;
            settlement.found = found;
        }
        settlement
    }
}
