//! All recorders of a fleet, and M1.

use super::ledger::{Keeper, Ledger};
use super::recorder::Recorder;
use super::recording::Settlement;
use domain::fakes::FakeTables;
use domain::{AssignmentRow, ChannelKey, SegmentKey, TaskArn};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

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
    /// What the archive took.
    pub(super) stored: Vec<SegmentKey>,
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
    fn at(&mut self, task: &TaskArn, now: Timestamp) -> &mut Recorder {
        let begins = || Recorder::new(task.clone(), now);
        self.running.entry(task.clone()).or_insert_with(begins)
    }

    /// It does nothing until then, and does not end.
    pub(crate) fn hang(&mut self, task: &TaskArn, now: Timestamp, until: Timestamp) {
        self.at(task, now).hang(until);
    }

    /// It is told to end (SIGTERM): it records on until its successors do, or its time is over.
    pub(crate) fn tell_to_leave(&mut self, task: &TaskArn, now: Timestamp) {
        self.at(task, now).is_told_to_leave(now);
    }

    /// It cannot reach the tables until then.
    pub(crate) fn blind(&mut self, task: &TaskArn, now: Timestamp, until: Timestamp) {
        self.at(task, now).blind(until);
    }

    /// All can reach the tables again.
    pub(crate) fn see_again(&mut self, now: Timestamp) {
        self.running.values_mut().for_each(|recorder| recorder.blind(now));
    }

    /// Nothing but what is being recorded is on its way, and no channel is being handed over.
    pub(crate) fn are_settled(&self) -> bool {
        self.running.values().all(Recorder::is_settled)
    }

    /// Why this task, which runs, does not record a channel that it is assigned and that is there.
    pub(crate) fn why_lost(&self, task: &TaskArn, key: &ChannelKey, now: Timestamp) -> &'static str {
        let recorder = self.running.get(task);
        recorder.map_or("its recorder begins", |recorder| recorder.why_lost(key, now))
    }

    /// Lets every task that runs record for one step, and holds them to M1.
    pub(crate) fn step(&mut self, scene: &Scene<'_>, live: &BTreeSet<TaskArn>) -> Step {
        let mut step = Step::default();
        self.bury(live, &mut step);
        for task in live {
            self.at(task, scene.now).step(scene, &mut step);
        }
        for segment in step.stored.drain(..) {
            let archived = self.archive.entry(segment.channel.clone()).or_default();
            archived.push(segment);
        }
        self.take_down(scene, &mut step);
        step
    }

    /// What died has lost what it had not brought to the archive.
    fn bury(&mut self, live: &BTreeSet<TaskArn>, step: &mut Step) {
        let dead = self.running.extract_if(.., |task, _| !live.contains(task));
        for (task, recorder) in dead {
            step.reached.extend(recorder.loses());
            for segment in recorder.into_unstored() {
                self.ledger.lose(&task, &segment);
            }
        }
    }

    /// M1, at every step: what is dropped somebody else has, and a channel that somebody records is recorded on.
    fn take_down(&mut self, scene: &Scene<'_>, step: &mut Step) {
        let worked_since = |heir: &Keeper, since| {
            let recorder = self.running.get(&heir.task);
            recorder.is_some_and(|recorder| recorder.worked_since(since, scene.now))
        };
        self.ledger.enter(scene.now, &step.recorded);
        for settlement in &step.settled {
            step.reached.extend(settlement.branch());
            let is_left_alone = !scene.meddled_with.contains(settlement.key());
            let goes_on = |heir: &Keeper, since| is_left_alone && worked_since(heir, since);
            self.ledger.settle(settlement, goes_on);
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
            let heir_failed = heir.is_some_and(|(heir, since)| !worked_since(heir, since));
            // Nobody knew any more that this one had it, and it was given it once more.
            let begins_anew = row.assignment.task.as_ref() == Some(&keeper.task);
            // It went and came back.
            let known_anew = row.assignment.generation <= keeper.generation;
            assert!(
                heir_failed || begins_anew || known_anew || scene.meddled_with.contains(&key),
                "M1: {keeper:?} recorded and nobody does now, {}: {row:?}",
                scene.now
            );
        }
        self.settled = std::mem::take(&mut step.settled);
    }
}
