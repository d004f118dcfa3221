//! What is known of a channel's coverage: how far it is recorded, and the hole that is open now.
//!
//! The one idea: a hole begins where the recorded frames end and ends where they begin again, in the frames' own
//! time. Failures only say *why*; they never say *when*.

use domain::coverage::JOIN;
use domain::{Assignment, ChannelKey, DeviceState, Gap, GapCause, Heartbeat};
use jiff::{SignedDuration, Timestamp};

/// A hole that lasts is written down once it is this old; until then it may be a hiccup.
pub(crate) const OPEN_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// The coverage of one channel by one recorder, from the decision to record on.
#[derive(Debug)]
pub(crate) struct Coverage {
    key: ChannelKey,
    /// Since when this assignment wants it recorded.
    wanted_since: Timestamp,
    /// Before it everything is recorded or has a row: the end of the last recorded frame while there is a hole.
    covered_to: Timestamp,
    /// The first frame this recorder has recorded.
    first: Option<Timestamp>,
    device: DeviceState,
    hole: Option<Hole>,
    /// Rows of earlier recorders have been looked for: what this one writes will not repeat them.
    looked: bool,
    /// The first hole, ended by a frame that came before the look.
    early: Option<(Hole, Timestamp)>,
    /// Until the first frame a predecessor records, and writes what rows there are to write.
    succeeding: bool,
}

#[derive(Debug)]
struct Hole {
    start: Timestamp,
    /// Why, by what the recorder itself has seen.
    seen: GapCause,
    /// The cause of the row as last written; `None` while there is no row.
    written: Option<GapCause>,
}

impl Hole {
    fn new(start: Timestamp, seen: GapCause) -> Self {
        Self {
            start,
            seen,
            written: None,
        }
    }
}

impl Coverage {
    /// Begins with a hole: since the end of what earlier recorders are known to have recorded, or since the
    /// assignment. `on_disk` is the end of the newest recording of the channel in this machine's spool.
    pub(crate) fn new(assignment: &Assignment, heartbeat: &Heartbeat, on_disk: Option<Timestamp>) -> Self {
        let (start, cause) = first_hole(assignment, heartbeat, on_disk);
        Self {
            key: assignment.key.clone(),
            wanted_since: assignment.started_at,
            covered_to: start,
            first: None,
            device: assignment.device_state,
            hole: Some(Hole::new(start, cause)),
            looked: false,
            early: None,
            succeeding: is_move(assignment),
        }
    }

    /// The end of what this recorder has recorded, while it does not record.
    pub(crate) fn recorded_to(&self) -> Option<Timestamp> {
        self.first
            .filter(|_| self.hole.is_some())
            .map(|_| self.covered_to)
    }

    /// Frames are recorded from `at` on. Returns the row that the hole before them needs, if it was long enough to
    /// matter or has a row already.
    pub(crate) fn started(&mut self, at: Timestamp) -> Option<Gap> {
        let hole = self.hole.take()?;
        self.first.get_or_insert(at);
        self.covered_to = self.covered_to.max(at);
        if std::mem::take(&mut self.succeeding) && hole.written.is_none() {
            return None;
        }
        if !self.looked && self.early.is_none() {
            self.early = Some((hole, at));
            return None;
        }
        self.closing_row(&hole, at)
    }

    /// The recorded frames end at `at`; the hole that begins there has this cause until a better one is known.
    pub(crate) fn stopped(&mut self, at: Timestamp, cause: GapCause) {
        if self.hole.is_none() {
            self.covered_to = at;
            self.hole = Some(Hole::new(at, cause));
        }
    }

    /// Something went wrong: if it explains the hole better than what is known so far, it is the cause.
    pub(crate) fn failed(&mut self, cause: GapCause) {
        if let Some(hole) = &mut self.hole
            && weight(cause) >= weight(hole.seen)
        {
            hole.seen = cause;
        }
    }

    /// What the poll says of the device: the reason for silence when it is missing.
    pub(crate) fn device(&mut self, state: DeviceState) {
        self.device = state;
    }

    /// The rows that are known of the time since the first hole began, and all that are open. Returns the rows to
    /// write about what earlier recorders left: their open rows end where what this one knows begins, and what
    /// lies between their closed rows is explained too. No row of theirs is ever written over with another reason.
    pub(crate) fn known(&mut self, mut rows: Vec<Gap>) -> Vec<Gap> {
        self.looked = true;
        rows.sort_by_key(|row| row.start);
        if let Some((hole, at)) = self.early.take() {
            let now = self.hole.replace(hole);
            let mut out: Vec<Gap> = rows.into_iter().filter_map(|row| self.take(row)).collect();
            let hole = std::mem::replace(&mut self.hole, now);
            out.extend(hole.and_then(|hole| self.closing_row(&hole, at)));
            return out;
        }
        match self.first {
            None => rows.into_iter().filter_map(|row| self.take(row)).collect(),
            Some(first) => {
                let left = rows
                    .into_iter()
                    .filter(|row| row.end.is_none() && row.start < first);
                left.map(|row| ended(row, first)).collect()
            }
        }
    }

    /// Takes one row into account before the first frame is recorded.
    fn take(&mut self, row: Gap) -> Option<Gap> {
        let hole = self.hole.as_mut().filter(|hole| hole.written.is_none())?;
        if row.end.is_some_and(|end| end <= hole.start) {
            return None;
        }
        let before = Hole::new(hole.start, hole.seen);
        match row.end {
            Some(end) => hole.start = end,
            None if row.start < hole.start => return Some(ended(row, before.start)),
            None if row.cause == GapCause::NotWanted => {
                *hole = Hole::new(self.wanted_since.max(row.start), GapCause::Starting);
                return Some(ended(row, hole.start));
            }
            // It was written by somebody who knew how far the recording went.
            None => {
                *hole = Hole {
                    written: Some(row.cause),
                    ..Hole::new(row.start, row.cause)
                };
                return None;
            }
        }
        let unexplained = row.start.duration_since(before.start) > JOIN && !self.succeeding;
        unexplained.then(|| self.row(before.start, Some(row.start), before.seen))
    }

    /// The row to write at `now`, if the hole is old enough and its row is absent or gives another reason.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Gap> {
        if now < self.due_at()? {
            return None;
        }
        self.open_row()
    }

    /// When [`Coverage::due`] will have something to write, if nothing else happens.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        let hole = self.hole.as_ref().filter(|_| self.looked && !self.succeeding)?;
        if hole.written == Some(best_known(hole.seen, self.device)) {
            return None;
        }
        hole.start.checked_add(OPEN_AFTER).ok()
    }

    /// Nobody goes on recording, because of `cause`. Returns the row to leave open; a hole that is known already
    /// goes on with the row it has, and one that earlier recorders may know better is theirs.
    pub(crate) fn ends(&mut self, cause: GapCause) -> Option<Gap> {
        let ours = (self.looked && !self.succeeding) || self.first.is_some();
        let hole = self.hole.as_mut().filter(|hole| ours && hole.written.is_none())?;
        hole.seen = cause;
        self.open_row()
    }

    fn closing_row(&self, hole: &Hole, at: Timestamp) -> Option<Gap> {
        let matters = hole.written.is_some() || at.duration_since(hole.start) > JOIN;
        let cause = best_known(hole.seen, self.device);
        matters.then(|| self.row(hole.start, Some(at.max(hole.start)), cause))
    }

    fn open_row(&mut self) -> Option<Gap> {
        let device = self.device;
        let hole = self.hole.as_mut()?;
        let (start, cause) = (hole.start, best_known(hole.seen, device));
        hole.written = Some(cause);
        Some(self.row(start, None, cause))
    }

    fn row(&self, start: Timestamp, end: Option<Timestamp>, cause: GapCause) -> Gap {
        Gap {
            key: self.key.clone(),
            start,
            end,
            cause,
        }
    }
}

fn ended(row: Gap, end: Timestamp) -> Gap {
    Gap {
        end: Some(end),
        ..row
    }
}

/// Whether another recorder goes on with the channel until this one has a picture.
fn is_move(assignment: &Assignment) -> bool {
    let until = assignment.predecessor.as_ref().map(|old| old.until);
    until.is_some_and(|until| until > assignment.started_at)
}

/// Where the hole before the first frame begins, and what is known of it before anything is tried.
pub(crate) fn first_hole(
    assignment: &Assignment,
    heartbeat: &Heartbeat,
    on_disk: Option<Timestamp>,
) -> (Timestamp, GapCause) {
    let Some(recorded_to) = on_disk.max(heartbeat.last_segment_at) else {
        return (assignment.started_at, GapCause::Starting);
    };
    // A recorder of this generation has reported, or its spool is here: it was not another machine.
    if on_disk == Some(recorded_to) || heartbeat.heartbeat_at.is_some() {
        return (recorded_to, GapCause::RecorderRestarted);
    }
    (recorded_to, GapCause::RecorderMoved)
}

/// A missing device explains what the stream only showed; it does not explain what the gateway itself refused.
fn best_known(seen: GapCause, device: DeviceState) -> GapCause {
    let DeviceState::Missing { hint, .. } = device else {
        return seen;
    };
    match seen {
        GapCause::Starting
        | GapCause::DeviceOffline(_)
        | GapCause::Network
        | GapCause::StreamStalled
        | GapCause::StreamRefused => GapCause::DeviceOffline(hint),
        GapCause::GatewayDown
        | GapCause::CredentialsRejected
        | GapCause::UnsupportedStream
        | GapCause::TransformFailed
        | GapCause::RecorderRestarted
        | GapCause::RecorderMoved
        | GapCause::SpoolOverflow
        | GapCause::ArchiveRefused
        | GapCause::SpoolDamaged
        | GapCause::NotWanted => seen,
    }
}

/// How much a cause explains: a broken connection says less than the answer to the next attempt.
fn weight(cause: GapCause) -> u8 {
    match cause {
        GapCause::Starting
        | GapCause::RecorderRestarted
        | GapCause::RecorderMoved
        | GapCause::NotWanted
        | GapCause::DeviceOffline(_) => 0,
        GapCause::Network => 1,
        GapCause::StreamStalled => 2,
        GapCause::GatewayDown
        | GapCause::StreamRefused
        | GapCause::CredentialsRejected
        | GapCause::UnsupportedStream
        | GapCause::TransformFailed
        | GapCause::SpoolOverflow
        | GapCause::ArchiveRefused
        | GapCause::SpoolDamaged => 3,
    }
}

#[cfg(test)]
mod tests;
