//! Recorders, modelled: they pull, record, report, are fenced, hand channels over, and crash, hang, lose the table or
//! the archive.
//!
//! What they decide about a move they decide by [`domain::succession`], as the real ones do. The rest of their own decisions
//! is tested where it is made, in the recorder; here they are what the loops have to live with.

use super::drive::drive;
use super::ledger::{Keeper, Ledger};
use super::recording::{Recording, Settlement};
use domain::fakes::FakeTables;
use domain::ports::{Put, TasksTable};
use domain::succession::{Standing, standing};
use domain::{Assignment, AssignmentRow, ChannelKey, Heartbeat, SegmentKey, TaskArn};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A recorder without a channel ends after this.
const ORPHAN_GRACE: SignedDuration = SignedDuration::from_secs(120);
/// A recorder that was told to end waits so long for successors (`MILLRACE_HAND_OVER_WITHIN` of the template).
const HAND_OVER_WITHIN: SignedDuration = SignedDuration::from_secs(70);

/// What is to be had, and by whom, in one step.
pub(crate) struct Scene<'a> {
    pub(crate) tables: &'a FakeTables,
    pub(crate) now: Timestamp,
    /// The channels of devices that are online, each with the URL it can be had under.
    pub(crate) streams: BTreeMap<ChannelKey, String>,
    /// The gateway lets nobody in who is not in.
    pub(crate) refusing: bool,
    /// The archive takes nothing.
    pub(crate) archive_down: bool,
    /// Channels whose rows people deleted.
    pub(crate) meddled_with: &'a BTreeSet<ChannelKey>,
}

/// One running program.
#[derive(Debug)]
struct Recorder {
    task: TaskArn,
    /// What its clock is off by.
    clock_off: SignedDuration,
    held: BTreeMap<ChannelKey, Recording>,
    idle_since: Option<Timestamp>,
    hung: bool,
    /// It was told to end, and waits for successors until then.
    leaves_by: Option<Timestamp>,
    blind_until: Option<Timestamp>,
    spool: Vec<SegmentKey>,
}

/// What a step came to.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The channels of which there is video of this step, and who records it.
    pub(crate) recorded: BTreeMap<ChannelKey, BTreeSet<Keeper>>,
    /// The recorders that came to their end by themselves.
    pub(crate) ended: Vec<TaskArn>,
    /// How often each thing happened.
    pub(crate) reached: Vec<&'static str>,
    /// The handovers that came to their end.
    pub(super) settled: Vec<Settlement>,
}

/// All programs that run, and what they have brought to the archive.
#[derive(Debug, Default)]
pub(crate) struct Recorders {
    running: BTreeMap<TaskArn, Recorder>,
    pub(crate) archive: BTreeMap<ChannelKey, Vec<SegmentKey>>,
    ledger: Ledger,
    /// The handovers that came to their end in the last step.
    settled: Vec<Settlement>,
}

impl Recorders {
    fn at(&mut self, task: &TaskArn) -> &mut Recorder {
        let begins = || Recorder::new(task.clone());
        self.running.entry(task.clone()).or_insert_with(begins)
    }

    /// From now on it does nothing and never ends.
    pub(crate) fn hang(&mut self, task: &TaskArn) {
        self.at(task).hung = true;
    }

    /// It is told to end (SIGTERM): it records on until its successors do, or its time is over.
    pub(crate) fn tell_to_leave(&mut self, task: &TaskArn, now: Timestamp) {
        self.at(task).leaves_by.get_or_insert(now + HAND_OVER_WITHIN);
    }

    /// It cannot reach the tables until then.
    pub(crate) fn blind(&mut self, task: &TaskArn, until: Timestamp) {
        self.at(task).blind_until = Some(until);
    }

    /// All can reach the tables again.
    pub(crate) fn see_again(&mut self) {
        self.running
            .values_mut()
            .for_each(|recorder| recorder.blind_until = None);
    }

    /// Nothing but what is being recorded is on its way, and no channel is being handed over.
    pub(crate) fn are_settled(&self) -> bool {
        self.running.values().all(|recorder| {
            recorder.spool.is_empty() && recorder.held.values().all(|recording| !recording.is_succeeded())
        })
    }

    /// Lets every task that runs record for one step, and holds them to M1.
    pub(crate) fn step(&mut self, scene: &Scene<'_>, live: &BTreeSet<TaskArn>) -> Step {
        let mut step = Step::default();
        self.bury(live, &mut step);
        for task in live {
            let begins = || Recorder::new(task.clone());
            let recorder = self.running.entry(task.clone()).or_insert_with(begins);
            if recorder.hung {
                continue;
            }
            recorder.pull(scene, &mut step);
            recorder.record(scene, &mut step);
            recorder.leave(scene, &mut step);
            if !scene.archive_down {
                for segment in std::mem::take(&mut recorder.spool) {
                    let archived = self.archive.entry(segment.channel.clone()).or_default();
                    archived.push(segment);
                }
            }
        }
        self.take_down(scene, &mut step);
        step
    }

    /// What died has lost what it had not brought to the archive.
    fn bury(&mut self, live: &BTreeSet<TaskArn>, step: &mut Step) {
        let dead = self.running.extract_if(.., |task, _| !live.contains(task));
        for (task, recorder) in dead {
            if !recorder.spool.is_empty() {
                step.reached.push("spool lost");
            }
            if recorder.held.values().any(Recording::is_succeeded) {
                step.reached.push("predecessor dies");
            }
            let waits = |recording: &Recording| recording.succeeds() && recording.first_picture().is_none();
            if recorder.held.values().any(waits) {
                step.reached.push("successor dies before its first picture");
            }
            for segment in recorder.into_unstored() {
                self.ledger.lose(&task, &segment);
            }
        }
    }

    /// M1, at every step: what is dropped somebody else has, and a channel that somebody records is recorded on.
    fn take_down(&mut self, scene: &Scene<'_>, step: &mut Step) {
        let works = |task: &TaskArn| {
            let recorder = self.running.get(task);
            recorder.is_some_and(|recorder| recorder.works(scene.now))
        };
        self.ledger.enter(scene.now, &step.recorded);
        for settlement in &step.settled {
            self.ledger.settle(settlement, &works);
        }
        let goes_on = |key: &ChannelKey, keeper: &Keeper| {
            let recorder = self.running.get(&keeper.task);
            recorder.is_some_and(|recorder| recorder.goes_on(key, scene))
        };
        let rows = scene.tables.assignments();
        for (key, keeper) in self.ledger.broken_off(scene.now, &goes_on) {
            let row = rows.iter().find(|row| row.assignment.key == key);
            let is_there = |row: &&AssignmentRow| scene.streams.get(&key) == Some(&row.assignment.media_url);
            let Some(row) = row.filter(is_there) else { continue };
            // A step ago with its last picture, or now.
            let mut settled = self.settled.iter().chain(&step.settled);
            let ended = settled.find(|settlement| settlement.is_of(&key, &keeper));
            let heir = ended.and_then(Settlement::heir_that_began);
            let heir_died = heir.is_some_and(|heir| !works(&heir.task));
            // Nobody knew any more that this one had it, and it was given it once more.
            let begins_anew = row.assignment.task.as_ref() == Some(&keeper.task);
            // It went and came back.
            let known_anew = row.assignment.generation <= keeper.generation;
            assert!(
                heir_died || begins_anew || known_anew || scene.meddled_with.contains(&key),
                "M1: {keeper:?} recorded and nobody does now, {}: {row:?}",
                scene.now
            );
        }
        self.settled = std::mem::take(&mut step.settled);
    }
}

impl Recorder {
    fn new(task: TaskArn) -> Self {
        let seed: i64 = task.as_str().bytes().map(i64::from).sum();
        Self {
            task,
            clock_off: SignedDuration::from_millis(seed * 787 % 4_001 - 2_000),
            held: BTreeMap::new(),
            idle_since: None,
            hung: false,
            leaves_by: None,
            blind_until: None,
            spool: Vec::new(),
        }
    }

    fn is_blind(&self, scene: &Scene<'_>) -> bool {
        self.blind_until.is_some_and(|until| scene.now < until)
    }

    /// Neither hangs nor has had to leave.
    fn works(&self, now: Timestamp) -> bool {
        !self.hung && self.leaves_by.is_none_or(|by| now < by)
    }

    /// Whether nothing keeps it from recording the channel, if it recorded it a moment ago.
    fn goes_on(&self, key: &ChannelKey, scene: &Scene<'_>) -> bool {
        let told_otherwise =
            |recording: &Recording| scene.streams.get(key) != Some(&recording.assignment.media_url);
        self.works(scene.now) && !self.held.get(key).is_some_and(told_otherwise)
    }

    /// What is not in the archive.
    fn into_unstored(self) -> Vec<SegmentKey> {
        let held = self.held.into_values().flat_map(Recording::into_unstored);
        held.chain(self.spool).collect()
    }

    fn pull(&mut self, scene: &Scene<'_>, step: &mut Step) {
        if self.is_blind(scene) {
            let hands_over = self.held.values().any(Recording::is_succeeded);
            step.reached.push(match hands_over {
                true => "hands over without the table",
                false => "goes on without the table",
            });
            return;
        }
        let Some(Ok(rows)) = drive(scene.tables.assignments_of(&self.task), None) else {
            return;
        };
        let rows: BTreeMap<ChannelKey, AssignmentRow> = rows
            .into_iter()
            .map(|row| (row.assignment.key.clone(), row))
            .collect();
        for key in self.held.keys().cloned().collect::<Vec<_>>() {
            self.follow(&key, rows.get(&key), scene, step);
        }
        if self.leaves_by.is_none() {
            for (key, row) in rows {
                let begins = || Recording::new(row, scene.now + self.clock_off);
                self.held.entry(key).or_insert_with(begins);
            }
        }
    }

    /// A channel that it records, and its row in the list.
    fn follow(&mut self, key: &ChannelKey, row: Option<&AssignmentRow>, scene: &Scene<'_>, step: &mut Step) {
        let Some(recording) = self.held.get_mut(key) else {
            return;
        };
        let generation = recording.assignment.generation;
        match row.filter(|row| row.assignment.generation == generation) {
            Some(row) => recording.tell(&row.assignment),
            None => self.doubt(key, scene, step),
        }
        if self.leaves_by.is_some() {
            self.doubt(key, scene, step);
        }
    }

    /// A channel that may be somebody else's by now: its own row says.
    fn doubt(&mut self, key: &ChannelKey, scene: &Scene<'_>, step: &mut Step) {
        let Some(Ok(row)) = drive(scene.tables.assignment(key), None) else {
            return;
        };
        let Some(recording) = self.held.get_mut(key) else {
            return;
        };
        match standing(row.as_ref(), &self.task, recording.assignment.generation) {
            Standing::Ours => {}
            Standing::Succeeded(succession) => {
                let heir = row.and_then(|row| {
                    let Assignment { task, generation, .. } = row.assignment;
                    Some(Keeper {
                        task: task?,
                        generation,
                    })
                });
                recording.hand_over(succession, heir, scene.now, self.clock_off, step);
            }
            Standing::Lost => self.close(key, step),
        }
    }

    /// Ends a channel: what is the successor's is dropped, the rest goes to the archive.
    fn close(&mut self, key: &ChannelKey, step: &mut Step) {
        let Some(recording) = self.held.remove(key) else {
            return;
        };
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
            let error = recording.turn(scene, self.clock_off, &mut self.spool, step);
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
            ends_at: self.leaves_by,
        };
        let generation = recording.assignment.generation;
        let beat = scene.tables.heartbeat(key, &self.task, generation, &heartbeat);
        if let Some(Ok(Put::Stale)) = drive(beat, None) {
            step.reached.push("fenced");
            self.doubt(key, scene, step);
        }
    }

    /// Ends if it was told to and has handed over, or waited long enough; or if nobody has given it anything for long.
    fn leave(&mut self, scene: &Scene<'_>, step: &mut Step) {
        if self.leaves_by.is_some_and(|by| by <= scene.now) {
            for key in self.held.keys().cloned().collect::<Vec<_>>() {
                step.reached.push("left without a successor");
                self.close(&key, step);
            }
        }
        if !self.held.is_empty() {
            self.idle_since = None;
            return;
        }
        let idle_since = *self.idle_since.get_or_insert(scene.now);
        let orphaned = scene.now.duration_since(idle_since) >= ORPHAN_GRACE && !self.is_blind(scene);
        if (orphaned || self.leaves_by.is_some()) && self.spool.is_empty() {
            step.ended.push(self.task.clone());
        }
    }
}
