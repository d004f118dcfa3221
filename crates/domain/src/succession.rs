//! Handing a channel from one recorder to the next without losing a picture, or keeping one twice.
//!
//! ```text
//!  old  ──────────── segments ───────────┤ parts, held back ┊┊┊┊┊┊┊┊ dropped
//!                                        ▲ until            │
//!  new            (starts, connects)     ├── key frame K ── segments ─────────▶
//!                                             └─ first picture: on disk, in the row
//! ```
//! 1. The dispatcher gives the channel to the new recorder; the row names the old one as its [`Predecessor`].
//! 2. The old one finds a later generation in the row, and records on. From `until` on it cuts at every key
//!    frame and holds back these parts.
//! 3. The new one keeps nothing before `until`, begins with a key frame, and reports it once it is on disk.
//! 4. The old one finds that picture among the beginnings of its parts ([`find`]): what is before goes to the archive, what
//!    follows is dropped, and the channel ends there.
//!
//! Neither waits for the other with pictures in memory, and whatever fails leaves pictures twice, never none: an old
//! one that hears nothing records on, a new one that hears nothing begins all the same.
//!
//! [`Predecessor`]: crate::task::Predecessor

mod handover;

pub use handover::{Handover, Settled};

use crate::id::{Generation, TaskArn};
use crate::task::{Assignment, AssignmentRow, FirstPicture};
use jiff::{SignedDuration, Timestamp};

/// Two recorders date the same picture alike but for their way from the gateway and their machines' clocks.
pub const CLOCKS_APART_MAX: SignedDuration = SignedDuration::from_secs(5);
/// Pictures that do not look alike (one of the two is encoded anew) are taken for the same when they are so near in
/// time: half of the shortest distance between key frames in use.
pub const SAME_WITHIN: SignedDuration = SignedDuration::from_millis(500);
/// A new recorder waits so long for its time to begin; a later one is of a clock that is wrong.
const KEEPS_FROM_MAX: SignedDuration = SignedDuration::from_secs(60);

/// How a recorder stands to a channel that it records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is its own.
    Ours,
    /// It has a successor, and is asked to record on until that one does.
    Succeeded(Succession),
    /// It is nobody's, or somebody else's.
    Lost,
}

/// What an old recorder knows of the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// The new one keeps nothing before this time.
    pub until: Timestamp,
    /// It has reported.
    pub alive: bool,
    /// What it began with, once that is on disk; unless it was told to end, so that it is no successor for long.
    pub first_picture: Option<FirstPicture>,
}

/// How `task`, which records the channel in `generation`, stands by the channel's row. Whoever had the channel earlier records
/// on until somebody later does, named or not: of a recorder that was taken for dead by mistake the row may know nothing any
/// more, and it may be the only one that records.
pub fn standing(row: Option<&AssignmentRow>, task: &TaskArn, generation: Generation) -> Standing {
    let Some(AssignmentRow {
        assignment,
        heartbeat,
    }) = row
    else {
        return Standing::Lost;
    };
    if assignment.task.as_ref() == Some(task) {
        return if assignment.generation == generation {
            Standing::Ours
        } else {
            Standing::Lost
        };
    }
    if assignment.generation <= generation {
        return Standing::Lost;
    }
    let until = assignment.predecessor.as_ref().map(|old| old.until);
    Standing::Succeeded(Succession {
        until: until.unwrap_or(assignment.started_at),
        alive: heartbeat.heartbeat_at.is_some(),
        first_picture: heartbeat.first_picture.filter(|_| heartbeat.ends_at.is_none()),
    })
}

/// The new recorder of this assignment keeps nothing that arrives before this time: its predecessor has that.
pub fn keeps_from(assignment: &Assignment, now: Timestamp) -> Option<Timestamp> {
    let until = assignment.predecessor.as_ref()?.until;
    Some(until.min(now.saturating_add(KEEPS_FROM_MAX).unwrap_or(now)))
}

/// What the successor's first picture was recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    /// It is the same, bit by bit.
    Looks,
    /// One of the two is encoded anew.
    Time,
}

/// Which of the parts begins with the picture that the successor began with; `parts` are the first pictures of the
/// parts, in order.
pub fn find(parts: &[FirstPicture], first: FirstPicture) -> Option<(usize, FoundBy)> {
    let apart = |part: &FirstPicture| part.at.duration_since(first.at).abs();
    let nearest = |same: &dyn Fn(&FirstPicture) -> bool| {
        let candidates = parts.iter().enumerate().filter(|(_, part)| same(part));
        candidates
            .min_by_key(|(_, part)| apart(part))
            .map(|(index, _)| index)
    };
    let by_looks = nearest(&|part| part.mark == first.mark && apart(part) <= CLOCKS_APART_MAX);
    let by_time = || nearest(&|part| apart(part) <= SAME_WITHIN);
    by_looks
        .map(|index| (index, FoundBy::Looks))
        .or_else(|| by_time().map(|index| (index, FoundBy::Time)))
}

/// How many of the parts, from the first on, the successor does not have. Where none begins with its first picture, a part that
/// only reaches into what it has is kept: better twice than not at all.
pub fn not_covered(parts: &[FirstPicture], first: FirstPicture) -> usize {
    let before = || parts.iter().filter(|part| part.at < first.at).count();
    find(parts, first).map_or_else(before, |(index, _)| index)
}
