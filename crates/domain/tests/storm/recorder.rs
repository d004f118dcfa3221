//! One recorder, modelled: it pulls, records, reports, is fenced, hands channels over, leaves, and crashes, hangs, loses the
//! table or the archive.
//!
//! What it decides it decides by [`domain::recorder`] and [`domain::succession`], as the real one does. What is left to the
//! model is what a line and a disk do: in each step of ten seconds a stream that is there is connected to and recorded.

use super::door::Door;
use super::drive::drive;
use super::ledger::Keeper;
use super::recorders::{Scene, Step};
use super::recording::{Recording, tick};
use domain::ports::{GapsTable, Put, TasksTable};
use domain::recorder::{Action, Cleared, End, Roster, Verdict};
use domain::{Assignment, AssignmentRow, ChannelKey, Generation, Heartbeat, SegmentKey, TaskArn};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// A recorder without a channel ends after this (the default of `MILLRACE_ORPHAN_GRACE`).
const ORPHAN_GRACE: Duration = Duration::from_mins(2);
/// A recorder that was told to end waits so long for successors (`MILLRACE_HAND_OVER_WITHIN` of the template) ...
const HAND_OVER_WITHIN: SignedDuration = SignedDuration::from_secs(70);
/// ... and then for the archive (`MILLRACE_STOP_DEADLINE`).
const STOP_DEADLINE: SignedDuration = SignedDuration::from_secs(40);

/// What the clock of a recorder's machine is off by: a fifth of a second, or of one in three two seconds.
fn clock_off(task: &TaskArn) -> SignedDuration {
    let seed: i64 = task.as_str().bytes().map(i64::from).sum();
    let most = if seed % 3 == 0 { 2_000 } else { 200 };
    SignedDuration::from_millis(seed * seed * 787 % (2 * most + 1) - most)
}

/// One running program.
#[derive(Debug)]
pub(super) struct Recorder {
    task: TaskArn,
    /// What its clock is off by.
    clock_off: SignedDuration,
    roster: Roster,
    held: BTreeMap<ChannelKey, Recording>,
    door: Door,
    /// It does nothing until then.
    hung_until: Option<Timestamp>,
    /// When it last came out of that.
    woke_at: Option<Timestamp>,
    blind_until: Option<Timestamp>,
    /// It leaves, and will have ended by then.
    ends_at: Option<Timestamp>,
    /// It records no more, and waits for the archive until then.
    drains_until: Option<Timestamp>,
    spool: Vec<SegmentKey>,
}

impl Recorder {
    pub(super) fn new(task: TaskArn, now: Timestamp) -> Self {
        Self {
            clock_off: clock_off(&task),
            roster: Roster::new(task.clone(), tick(now)),
            held: BTreeMap::new(),
            door: Door::new(&task),
            hung_until: None,
            woke_at: None,
            blind_until: None,
            ends_at: None,
            drains_until: None,
            spool: Vec::new(),
            task,
        }
    }

    pub(super) fn hang(&mut self, until: Timestamp) {
        self.hung_until = self.hung_until.max(Some(until));
    }

    fn is_hung(&self, now: Timestamp) -> bool {
        self.hung_until.is_some_and(|until| now < until)
    }

    /// It hung until now. Its streams ended meanwhile.
    fn wake(&mut self, now: Timestamp, step: &mut Step) {
        step.reached.push("hangs for a while");
        self.hung_until = None;
        self.woke_at = Some(now);
        for recording in self.held.values_mut() {
            recording.break_off(self.clock_off, &mut self.spool);
        }
    }

    pub(super) fn blind(&mut self, until: Timestamp) {
        self.blind_until = Some(until);
    }

    pub(super) fn is_told_to_leave(&mut self, now: Timestamp) {
        self.leave(now, Some(now + HAND_OVER_WITHIN));
    }

    fn leave(&mut self, now: Timestamp, by: Option<Timestamp>) {
        self.roster.leave(by.map(tick));
        self.ends_at.get_or_insert(now + HAND_OVER_WITHIN + STOP_DEADLINE);
    }

    fn is_blind(&self, scene: &Scene<'_>) -> bool {
        self.blind_until.is_some_and(|until| scene.now < until)
    }

    /// Nothing but what is being recorded is on its way, and no channel is being handed over.
    pub(super) fn is_settled(&self) -> bool {
        self.spool.is_empty() && self.held.values().all(|recording| !recording.is_succeeded())
    }

    /// Neither hangs nor has had to leave.
    pub(super) fn works(&self, now: Timestamp) -> bool {
        let in_time = self.roster.leaves_by().is_none_or(|by| tick(now) < by);
        !self.is_hung(now) && self.drains_until.is_none() && in_time
    }

    /// The same, and it has not hung since.
    pub(super) fn worked_since(&self, since: Timestamp, now: Timestamp) -> bool {
        self.works(now) && self.woke_at.is_none_or(|at| at < since)
    }

    /// Whether nothing keeps it from recording the channel, if it recorded it a moment ago.
    pub(super) fn goes_on(&self, key: &ChannelKey, scene: &Scene<'_>) -> bool {
        let told_otherwise =
            |recording: &Recording| scene.streams.get(key) != Some(&recording.assignment.media_url);
        self.works(scene.now) && !self.held.get(key).is_some_and(told_otherwise)
    }

    pub(super) fn why_lost(&self, key: &ChannelKey, now: Timestamp) -> &'static str {
        if self.is_hung(now) {
            return "its recorder hangs";
        }
        if self.drains_until.is_some() {
            return "its recorder ends";
        }
        match self.held.get(key) {
            None if self.roster.is_leaving() => "its recorder leaves",
            None if self.blind_until.is_some_and(|until| now < until) => "its recorder has lost the table",
            None => "its recorder does not know of it",
            Some(recording) => recording.why_lost(),
        }
    }

    /// What goes with it when it dies now.
    pub(super) fn loses(&self) -> Vec<&'static str> {
        let is_new = |recording: &Recording| recording.succeeds() && recording.first_picture().is_none();
        let losses = [
            (!self.spool.is_empty(), "spool lost"),
            (
                self.held.values().any(Recording::is_succeeded),
                "predecessor dies",
            ),
            (
                self.held.values().any(is_new),
                "successor dies before its first picture",
            ),
        ];
        let lost = losses.into_iter().filter(|(lost, _)| *lost);
        lost.map(|(_, what)| what).collect()
    }

    /// What is not in the archive.
    pub(super) fn into_unstored(self) -> Vec<SegmentKey> {
        let held = self.held.into_values().flat_map(Recording::into_unstored);
        held.chain(self.spool).collect()
    }

    pub(super) fn step(&mut self, scene: &Scene<'_>, step: &mut Step) {
        if self.is_hung(scene.now) {
            return;
        }
        if self.hung_until.is_some() {
            self.wake(scene.now, step);
        }
        if self.drains_until.is_none() {
            self.door.look_again(self.is_blind(scene));
            self.heed_the_word(scene, step);
            if self.pull(scene, step) {
                // The end of a channel is followed by a pull at once.
                self.pull(scene, step);
            }
            self.record(scene, step);
            self.door.listen(scene);
            self.end(scene, step);
        }
        if !scene.archive_down {
            step.stored.append(&mut self.spool);
        }
        if self
            .drains_until
            .is_some_and(|until| self.spool.is_empty() || until <= scene.now)
        {
            step.ended.push(self.task.clone());
        }
    }

    /// A rejection of the password is over.
    fn heed_the_word(&mut self, scene: &Scene<'_>, step: &mut Step) {
        match self.door.take_cleared() {
            None => {}
            Some(Cleared::Retry) => {
                step.reached.push("tries its password again");
                self.held.values_mut().for_each(Recording::retry);
            }
            Some(Cleared::Leave) => {
                step.reached.push("leaves for another password");
                self.leave(scene.now, None);
            }
        }
    }

    /// True when a channel has ended by it.
    fn pull(&mut self, scene: &Scene<'_>, step: &mut Step) -> bool {
        if self.is_blind(scene) {
            let hands_over = self.held.values().any(Recording::is_succeeded);
            step.reached.push(match hands_over {
                true => "hands over without the table",
                false => "goes on without the table",
            });
            self.roster.not_pulled(tick(scene.now));
            return false;
        }
        let Some(Ok(rows)) = drive(scene.tables.assignments_of(&self.task), None) else {
            self.roster.not_pulled(tick(scene.now));
            return false;
        };
        let mut doubted = Vec::new();
        for action in self.roster.pulled(&rows, tick(scene.now)) {
            match action {
                Action::Start(row) => self.start(row, scene),
                Action::Tell(assignment) => self.tell(assignment),
                Action::Doubt(key, generation) => doubted.push((key, generation)),
            }
        }
        let looked_after = self.roster.looked_after();
        doubted.extend(looked_after.map(|(key, generation)| (key.clone(), generation)));
        let before = self.held.len();
        for (key, generation) in doubted {
            self.doubt(&key, generation, scene, step);
        }
        self.held.len() < before
    }

    fn start(&mut self, row: AssignmentRow, scene: &Scene<'_>) {
        self.roster.started(row.assignment.clone());
        let key = row.assignment.key.clone();
        self.held
            .insert(key, Recording::new(row, scene.now + self.clock_off));
    }

    fn tell(&mut self, assignment: Assignment) {
        if let Some(recording) = self.held.get_mut(&assignment.key)
            && recording.tell(&assignment)
        {
            self.door.reopen();
        }
        self.roster.told(assignment);
    }

    /// A channel that may be somebody else's by now: its own row says.
    fn doubt(&mut self, key: &ChannelKey, generation: Generation, scene: &Scene<'_>, step: &mut Step) {
        let Some(Ok(row)) = drive(scene.tables.assignment(key), None) else {
            return;
        };
        match self.roster.judge(key, generation, row.as_ref()) {
            Verdict::GoOn => {}
            Verdict::HandOver { succession, .. } => {
                let Some(recording) = self.held.get_mut(key) else {
                    return;
                };
                let heir = row.and_then(|row| {
                    let Assignment { task, generation, .. } = row.assignment;
                    Some(Keeper {
                        task: task?,
                        generation,
                    })
                });
                recording.hand_over(succession, heir, scene.now, self.clock_off, step);
            }
            Verdict::Stop => self.close(key, step),
        }
    }

    /// Ends a channel: what is the successor's is dropped, the rest goes to the archive.
    fn close(&mut self, key: &ChannelKey, step: &mut Step) {
        let Some(recording) = self.held.remove(key) else {
            return;
        };
        self.roster.ended(key);
        let settlement = recording.settle(&self.task, self.clock_off);
        self.spool.extend(settlement.ours.iter().cloned());
        step.settled.push(settlement);
    }

    fn record(&mut self, scene: &Scene<'_>, step: &mut Step) {
        let blind = self.is_blind(scene);
        for key in self.held.keys().cloned().collect::<Vec<_>>() {
            let Some(recording) = self.held.get_mut(&key) else {
                continue;
            };
            let error = recording.turn(scene, self.clock_off, &mut self.door, &mut self.spool, step);
            if error.is_none() && recording.is_started() {
                let keeper = Keeper::new(&self.task, recording.assignment.generation);
                step.recorded.entry(key.clone()).or_default().insert(keeper);
            }
            if recording.is_over(scene.now, self.clock_off) {
                step.reached.push("handed over");
                self.close(&key, step);
            } else if !blind && !recording.is_succeeded() {
                self.report(&key, error, scene, step);
            }
        }
    }

    fn report(&mut self, key: &ChannelKey, error: Option<&str>, scene: &Scene<'_>, step: &mut Step) {
        let Some(recording) = self.held.get(key) else {
            return;
        };
        let heartbeat = Heartbeat {
            heartbeat_at: Some(scene.now),
            last_segment_at: recording.last_segment_at(),
            last_error: error.map(str::to_owned),
            first_picture: recording.first_picture(),
            ends_at: self.ends_at,
        };
        let generation = recording.assignment.generation;
        let beat = scene.tables.heartbeat(key, &self.task, generation, &heartbeat);
        if let Some(Ok(Put::Stale)) = drive(beat, None) {
            step.reached.push("fenced");
            self.doubt(key, generation, scene, step);
        }
        self.note(key, error, scene);
    }

    /// Tells the table of a hole that begins or ends.
    fn note(&mut self, key: &ChannelKey, error: Option<&str>, scene: &Scene<'_>) {
        if let Some(recording) = self.held.get_mut(key)
            && let Some(gap) = recording.hole(error, scene.now)
            && let Some(Ok(())) = drive(scene.tables.put_gap(&gap), None)
        {
            recording.noted(gap);
        }
    }

    /// Drains when it has handed over, or waited long enough; or if nobody has given it anything for long.
    fn end(&mut self, scene: &Scene<'_>, step: &mut Step) {
        let Some(end) = self.roster.end(ORPHAN_GRACE, tick(scene.now)) else {
            return;
        };
        if end == End::Orphaned {
            step.reached.push("an orphan ends");
        }
        for key in self.held.keys().cloned().collect::<Vec<_>>() {
            step.reached.push("left without a successor");
            self.close(&key, step);
        }
        self.drains_until = Some(scene.now + STOP_DEADLINE);
    }
}
