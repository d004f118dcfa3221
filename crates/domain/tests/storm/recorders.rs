//! Recorders, modelled: they pull, record, report, are fenced, and crash, hang, lose the table or the archive.
//!
//! Their own decisions are tested where they are made, in the recorder; here they are what the loops have to live with.

use super::drive::drive;
use domain::credentials::{Rejection, reject};
use domain::fakes::FakeTables;
use domain::ports::{Put, TasksTable};
use domain::{
    Assignment, AssignmentRow, ChannelKey, FirstPicture, Heartbeat, PictureMark, SegmentKey, TaskArn,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The length of a segment (the default of the settings).
const SEGMENT: SignedDuration = SignedDuration::from_secs(30);
/// A recorder without a channel ends after this.
const ORPHAN_GRACE: SignedDuration = SignedDuration::from_secs(120);

/// What is to be had, and by whom, in one step.
pub(crate) struct Scene<'a> {
    pub(crate) tables: &'a FakeTables,
    pub(crate) now: Timestamp,
    pub(crate) step: SignedDuration,
    /// The channels of devices that are online, each with the URL it can be had under.
    pub(crate) streams: BTreeMap<ChannelKey, String>,
    /// The gateway lets nobody in who is not in.
    pub(crate) refusing: bool,
    /// The archive takes nothing.
    pub(crate) archive_down: bool,
}

/// One running program.
#[derive(Debug, Default)]
struct Recorder {
    held: BTreeMap<ChannelKey, Recording>,
    idle_since: Option<Timestamp>,
    hung: bool,
    drained: bool,
    blind_until: Option<Timestamp>,
    spool: Vec<SegmentKey>,
}

#[derive(Debug)]
struct Recording {
    assignment: Assignment,
    open: Option<SegmentKey>,
    last_segment_at: Option<Timestamp>,
    first_picture: Option<FirstPicture>,
    connected: bool,
}

/// What a step came to.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The channels of which there is video of this step.
    pub(crate) recorded: BTreeSet<ChannelKey>,
    /// The recorders that came to their end by themselves.
    pub(crate) ended: Vec<TaskArn>,
    /// How often each thing happened.
    pub(crate) reached: Vec<&'static str>,
}

/// All programs that run, and what they have brought to the archive.
#[derive(Debug, Default)]
pub(crate) struct Recorders {
    running: BTreeMap<TaskArn, Recorder>,
    pub(crate) archive: BTreeMap<ChannelKey, Vec<SegmentKey>>,
}

impl Recorders {
    /// From now on it does nothing and never ends.
    pub(crate) fn hang(&mut self, task: &TaskArn) {
        self.running.entry(task.clone()).or_default().hung = true;
    }

    /// It was told to end soon, and ends its recordings now.
    pub(crate) fn drain(&mut self, task: &TaskArn) {
        self.running.entry(task.clone()).or_default().drained = true;
    }

    /// It cannot reach the tables until then.
    pub(crate) fn blind(&mut self, task: &TaskArn, until: Timestamp) {
        self.running.entry(task.clone()).or_default().blind_until = Some(until);
    }

    /// All can reach the tables again.
    pub(crate) fn see_again(&mut self) {
        self.running
            .values_mut()
            .for_each(|recorder| recorder.blind_until = None);
    }

    /// Nothing but what is being recorded is on its way.
    pub(crate) fn are_spools_empty(&self) -> bool {
        self.running.values().all(|recorder| recorder.spool.is_empty())
    }

    /// Lets every task that runs record for one step.
    pub(crate) fn step(&mut self, scene: &Scene<'_>, live: &BTreeSet<TaskArn>) -> Step {
        let mut step = Step::default();
        self.bury(live, &mut step);
        for task in live {
            let recorder = self.running.entry(task.clone()).or_default();
            if recorder.hung {
                continue;
            }
            recorder.pull(task, scene, &mut step);
            recorder.record(task, scene, &mut step);
            if !scene.archive_down {
                for segment in recorder.spool.drain(..) {
                    self.archive
                        .entry(segment.channel.clone())
                        .or_default()
                        .push(segment);
                }
            }
        }
        step
    }

    /// What died has lost what it had not brought to the archive.
    fn bury(&mut self, live: &BTreeSet<TaskArn>, step: &mut Step) {
        self.running.retain(|task, recorder| {
            if !live.contains(task) && !recorder.spool.is_empty() {
                step.reached.push("spool lost");
            }
            live.contains(task)
        });
    }
}

impl Recorder {
    fn pull(&mut self, task: &TaskArn, scene: &Scene<'_>, step: &mut Step) {
        if self.blind_until.is_some_and(|until| scene.now < until) {
            step.reached.push("goes on without the table");
            return;
        }
        let Some(Ok(mut rows)) = drive(scene.tables.assignments_of(task), None) else {
            return;
        };
        if self.drained {
            rows.clear();
        }
        self.follow(rows);
        if !self.held.is_empty() {
            self.idle_since = None;
            return;
        }
        let idle_since = *self.idle_since.get_or_insert(scene.now);
        let over = scene.now.duration_since(idle_since) >= ORPHAN_GRACE;
        if over && !self.drained && self.spool.is_empty() {
            step.ended.push(task.clone());
        }
    }

    fn follow(&mut self, rows: Vec<AssignmentRow>) {
        let mut before = std::mem::take(&mut self.held);
        for row in rows {
            let assignment = row.assignment;
            let same = before
                .remove(&assignment.key)
                .filter(|recording| recording.assignment.generation == assignment.generation);
            let mut recording = same.unwrap_or(Recording {
                assignment: assignment.clone(),
                open: None,
                last_segment_at: row.heartbeat.last_segment_at,
                first_picture: None,
                connected: false,
            });
            recording.connected &= recording.assignment.media_url == assignment.media_url;
            recording.assignment = assignment;
            self.held.insert(recording.assignment.key.clone(), recording);
        }
        self.spool
            .extend(before.into_values().filter_map(|recording| recording.open));
    }

    fn record(&mut self, task: &TaskArn, scene: &Scene<'_>, step: &mut Step) {
        let blind = self.blind_until.is_some_and(|until| scene.now < until);
        let mut fenced = Vec::new();
        for (key, recording) in &mut self.held {
            let error = recording.turn(scene, &mut self.spool, step);
            if recording.connected {
                recording.first_picture.get_or_insert(FirstPicture {
                    at: scene.now,
                    mark: PictureMark(0),
                });
            }
            if blind {
                continue;
            }
            let heartbeat = Heartbeat {
                heartbeat_at: Some(scene.now),
                last_segment_at: recording.last_segment_at,
                last_error: error.map(str::to_owned),
                first_picture: recording.first_picture,
                ends_at: None,
            };
            let generation = recording.assignment.generation;
            let beat = scene.tables.heartbeat(key, task, generation, &heartbeat);
            if let Some(Ok(Put::Stale)) = drive(beat, None) {
                fenced.push(key.clone());
            }
        }
        for key in fenced {
            step.reached.push("fenced");
            let recording = self.held.remove(&key).expect("it was held a moment ago");
            self.spool.extend(recording.open);
        }
    }
}

impl Recording {
    /// Records one step, or says why not.
    fn turn(
        &mut self,
        scene: &Scene<'_>,
        spool: &mut Vec<SegmentKey>,
        step: &mut Step,
    ) -> Option<&'static str> {
        let key = &self.assignment.key;
        let there = scene.streams.get(key) == Some(&self.assignment.media_url);
        if there && !self.connected && scene.refusing {
            step.reached.push("password rejected");
            let rejection = Rejection {
                version: None,
                since: scene.now,
                by: format!("the recorder of {key}"),
                locked_until: None,
            };
            let _ = drive(reject(scene.tables, &rejection), None);
            return Some("the password was rejected");
        }
        self.connected = there;
        if !there {
            spool.extend(self.open.take());
            return Some("no stream");
        }
        step.recorded.insert(key.clone());
        let begin = scene.now - scene.step;
        let open = self.open.get_or_insert_with(|| {
            SegmentKey::new(
                key.clone(),
                begin,
                SignedDuration::ZERO,
                self.assignment.generation,
            )
        });
        open.duration += scene.step;
        if open.duration >= SEGMENT {
            self.last_segment_at = Some(open.end());
            spool.extend(self.open.take());
        }
        None
    }
}
