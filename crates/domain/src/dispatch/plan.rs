//! The dispatcher's plan: a pure function of one look.

use super::DispatchPolicy;
use super::launch::launch;
use crate::channel::ChannelRow;
use crate::id::{ChannelKey, Generation, TaskArn};
use crate::task::{Assignment, AssignmentRow, Launch, LiveTask, TaskKind};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One possibly stale look at the world.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The wanted channels.
    pub rows: &'a [ChannelRow],
    /// Who records what, as decided so far.
    pub assignments: &'a [AssignmentRow],
    /// The recorders that run, as the host lists them.
    pub live: &'a [LiveTask],
}

/// What to do, in the order it is to be done, and what has to wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Idempotent one by one: forget, update, adopt, start, stop.
    pub actions: Vec<Action>,
    /// Channels whose next assignment is due later: they failed too often too quickly.
    pub waiting: BTreeMap<ChannelKey, Timestamp>,
    /// Starts left for the next run because this one has its fill.
    pub launches_left: usize,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Delete the assignment of a channel nobody wants any more; its recorder sees that at its next pull.
    Forget {
        /// Which channel.
        key: ChannelKey,
        /// The generation the plan is based on.
        expected: Generation,
    },
    /// Hand the running recorder another URL, other settings or another device state.
    Update(Box<Assignment>),
    /// Give channels to a recorder that runs already and has room.
    Adopt {
        /// Which recorder.
        task: TaskArn,
        /// The channels.
        placements: Vec<Placement>,
    },
    /// Start a recorder for channels.
    Start {
        /// What to start.
        launch: Launch,
        /// The channels.
        placements: Vec<Placement>,
    },
    /// Stop a recorder that has no channel left.
    Stop {
        /// Which recorder.
        task: TaskArn,
        /// Why, for people.
        reason: &'static str,
    },
}

/// A new assignment of a channel; its task is filled in when it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The assignment to store.
    pub assignment: Assignment,
    /// The generation the plan is based on; `None` when the channel had none.
    pub expected: Option<Generation>,
    /// Since when the channel has been wanted.
    pub wanted_since: Timestamp,
    /// Why it is placed anew.
    pub why: Replaced,
}

/// Why a channel needs a new assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replaced {
    /// It had none.
    First,
    /// No task could be started for the last one.
    NotStarted,
    /// Its task is gone, or stopping.
    TaskGone,
    /// Its task runs but reports nothing.
    TaskHung,
    /// Its settings need the other build of the recorder.
    OtherKind,
}

/// Plans one dispatch. Total and deterministic: any observation gives a plan, the same one each time.
pub fn plan(policy: &DispatchPolicy, observed: &Observed<'_>, now: Timestamp) -> Plan {
    let assigned: BTreeMap<&ChannelKey, &AssignmentRow> = observed
        .assignments
        .iter()
        .map(|row| (&row.assignment.key, row))
        .collect();
    let mut fleet = Fleet::new(policy, observed, now);
    let mut plan = Plan {
        actions: forgets(observed),
        ..Plan::default()
    };
    let mut needs = Vec::new();
    for row in observed.rows {
        match fleet.decide(row, assigned.get(&row.key).copied()) {
            Decision::Keep(task, update) => {
                fleet.load(&task);
                plan.actions
                    .extend(update.map(|assignment| Action::Update(Box::new(assignment))));
            }
            Decision::Place(placement) => needs.push(*placement),
            Decision::Wait(until) => _ = plan.waiting.insert(row.key.clone(), until),
        }
    }
    place(policy, &mut fleet, needs, &mut plan);
    plan.actions.extend(fleet.stops());
    plan
}

fn forgets(observed: &Observed<'_>) -> Vec<Action> {
    let wanted: BTreeSet<&ChannelKey> = observed.rows.iter().map(|row| &row.key).collect();
    observed
        .assignments
        .iter()
        .map(|row| &row.assignment)
        .filter(|assignment| !wanted.contains(&assignment.key))
        .map(|assignment| Action::Forget {
            key: assignment.key.clone(),
            expected: assignment.generation,
        })
        .collect()
}

enum Decision {
    Keep(TaskArn, Option<Assignment>),
    Place(Box<Placement>),
    Wait(Timestamp),
}

/// The recorders as this look shows them, with the channels that stay on each.
struct Fleet<'a> {
    policy: &'a DispatchPolicy,
    now: Timestamp,
    live: BTreeMap<&'a TaskArn, &'a LiveTask>,
    hung: BTreeSet<&'a TaskArn>,
    load: BTreeMap<TaskArn, usize>,
}

impl<'a> Fleet<'a> {
    fn new(policy: &'a DispatchPolicy, observed: &Observed<'a>, now: Timestamp) -> Self {
        let live: BTreeMap<_, _> = observed
            .live
            .iter()
            .filter(|task| !task.stopping)
            .map(|task| (&task.arn, task))
            .collect();
        let hung = hung(policy, observed.assignments, &live, now);
        Self {
            policy,
            now,
            live,
            hung,
            load: BTreeMap::new(),
        }
    }

    fn load(&mut self, task: &TaskArn) {
        *self.load.entry(task.clone()).or_default() += 1;
    }

    fn decide(&self, row: &ChannelRow, before: Option<&AssignmentRow>) -> Decision {
        let Some(before) = before else {
            return Decision::Place(Box::new(self.placement(row, None, 0, Replaced::First)));
        };
        let why = match &before.assignment.task {
            None => Replaced::NotStarted,
            Some(task) => match self.replace_reason(row, task, &before.assignment) {
                None => return Decision::Keep(task.clone(), update(row, &before.assignment)),
                Some(why) => why,
            },
        };
        let attempts = self.attempts_after(before, why);
        let due = before
            .assignment
            .started_at
            .saturating_add(self.policy.backoff(attempts));
        match due {
            Ok(due) if due > self.now => Decision::Wait(due),
            Ok(_) | Err(_) => Decision::Place(Box::new(self.placement(
                row,
                Some(&before.assignment),
                attempts,
                why,
            ))),
        }
    }

    fn replace_reason(&self, row: &ChannelRow, task: &TaskArn, assignment: &Assignment) -> Option<Replaced> {
        let Some(live) = self.live.get(task) else {
            let just_started = self.now.duration_since(assignment.started_at) < self.policy.launch_grace;
            return (!just_started).then_some(Replaced::TaskGone);
        };
        if self.hung.contains(task) {
            return Some(Replaced::TaskHung);
        }
        (TaskKind::for_settings(&row.settings) == TaskKind::Transform && live.kind == TaskKind::Copy)
            .then_some(Replaced::OtherKind)
    }

    fn attempts_after(&self, before: &AssignmentRow, why: Replaced) -> u32 {
        let assignment = &before.assignment;
        let proven = is_proven(self.policy, before);
        match why {
            Replaced::NotStarted => assignment.attempts,
            Replaced::First | Replaced::OtherKind => 0,
            Replaced::TaskGone | Replaced::TaskHung if proven => 0,
            Replaced::TaskGone | Replaced::TaskHung => assignment.attempts.saturating_add(1),
        }
    }

    fn placement(
        &self,
        row: &ChannelRow,
        before: Option<&Assignment>,
        attempts: u32,
        why: Replaced,
    ) -> Placement {
        let expected = before.map(|assignment| assignment.generation);
        let assignment = Assignment {
            key: row.key.clone(),
            task: None,
            generation: expected.unwrap_or_default().next(),
            media_url: row.media_url.clone(),
            settings: row.settings.clone(),
            device_state: row.state,
            started_at: self.now,
            attempts,
        };
        Placement {
            assignment,
            expected,
            wanted_since: row.wanted_since,
            why,
        }
    }

    /// Live recorders of a kind with room, the fullest first.
    fn room(&self, kind: TaskKind) -> Vec<(TaskArn, usize)> {
        let mut tasks: Vec<(TaskArn, usize)> = self
            .live
            .values()
            .filter(|task| task.kind == kind && !self.hung.contains(&task.arn))
            .map(|task| {
                let load = self.load.get(&task.arn).copied().unwrap_or(0);
                (
                    task.arn.clone(),
                    self.policy.channels_per_task.saturating_sub(load),
                )
            })
            .filter(|(_, room)| *room > 0)
            .collect();
        tasks.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        tasks
    }

    fn stops(&self) -> Vec<Action> {
        self.live
            .values()
            .filter(|task| !self.load.contains_key(&task.arn))
            .filter(|task| self.now.duration_since(task.started_at) >= self.policy.launch_grace)
            .map(|task| Action::Stop {
                task: task.arn.clone(),
                reason: if self.hung.contains(&task.arn) {
                    "it reports nothing"
                } else {
                    "it has no channel"
                },
            })
            .collect()
    }
}

/// Whether the recorder of an assignment has recorded, or lived long enough to have.
pub(super) fn is_proven(policy: &DispatchPolicy, row: &AssignmentRow) -> bool {
    let started_at = row.assignment.started_at;
    let recorded = row.heartbeat.last_segment_at.is_some_and(|at| at > started_at);
    let lived = |at: Timestamp| at.duration_since(started_at) >= policy.healthy_after;
    recorded || row.heartbeat.heartbeat_at.is_some_and(lived)
}

/// Tasks that run but none of whose channels reported lately. Where most of the fleet is silent at once, it is
/// the table that was out of reach, not the recorders: they get as much time again.
fn hung<'a>(
    policy: &DispatchPolicy,
    assignments: &'a [AssignmentRow],
    live: &BTreeMap<&'a TaskArn, &'a LiveTask>,
    now: Timestamp,
) -> BTreeSet<&'a TaskArn> {
    let mut reported: BTreeMap<&TaskArn, Timestamp> = BTreeMap::new();
    for row in assignments {
        let Some(task) = row
            .assignment
            .task
            .as_ref()
            .filter(|task| live.contains_key(task))
        else {
            continue;
        };
        let at = row.heartbeat.heartbeat_at.unwrap_or(row.assignment.started_at);
        let newest = reported.entry(task).or_insert(at);
        *newest = at.max(*newest);
    }
    let silent_for = |limit| {
        let silent = reported
            .iter()
            .filter(move |(_, at)| now.duration_since(**at) >= limit);
        silent.map(|(task, _)| *task).collect::<BTreeSet<_>>()
    };
    let silent = silent_for(policy.heartbeat_stale);
    if silent.len() > 1 && silent.len() * 2 > reported.len() {
        return silent_for(policy.heartbeat_stale.saturating_mul(2));
    }
    silent
}

fn update(row: &ChannelRow, assignment: &Assignment) -> Option<Assignment> {
    let next = Assignment {
        media_url: row.media_url.clone(),
        settings: row.settings.clone(),
        device_state: row.state,
        ..assignment.clone()
    };
    (next != *assignment).then_some(next)
}

fn place(policy: &DispatchPolicy, fleet: &mut Fleet<'_>, needs: Vec<Placement>, plan: &mut Plan) {
    let mut by_kind: BTreeMap<TaskKind, Vec<Placement>> = BTreeMap::new();
    for placement in needs {
        by_kind
            .entry(TaskKind::for_settings(&placement.assignment.settings))
            .or_default()
            .push(placement);
    }
    let mut launches_left = policy.launches_max;
    for (kind, mut placements) in by_kind {
        for (task, room) in fleet.room(kind) {
            let rest = placements.split_off(room.min(placements.len()));
            if !placements.is_empty() {
                placements.iter().for_each(|_| fleet.load(&task));
                plan.actions.push(Action::Adopt { task, placements });
            }
            placements = rest;
        }
        for group in placements.chunks(policy.channels_per_task.max(1)) {
            if launches_left == 0 {
                plan.launches_left += 1;
                continue;
            }
            launches_left -= 1;
            plan.actions.push(Action::Start {
                launch: launch(kind, group),
                placements: group.to_vec(),
            });
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for action in &self.actions {
            writeln!(f, "{action}")?;
        }
        for (key, until) in &self.waiting {
            writeln!(f, "wait with {key} until {until}")?;
        }
        if self.launches_left > 0 {
            writeln!(f, "leave {} starts for the next run", self.launches_left)?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forget { key, expected } => write!(f, "forget {key} generation {expected}"),
            Self::Update(assignment) => write!(f, "update {} from {}", assignment.key, assignment.media_url),
            Self::Adopt { task, placements } => write!(f, "give {task} {}", Channels(placements)),
            Self::Start { launch, placements } => {
                write!(f, "start {:?} for {}", launch.kind, Channels(placements))
            }
            Self::Stop { task, reason } => write!(f, "stop {task}: {reason}"),
        }
    }
}

struct Channels<'a>(&'a [Placement]);

impl fmt::Display for Channels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, placement) in self.0.iter().enumerate() {
            let Assignment { key, generation, .. } = &placement.assignment;
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{key} generation {generation} ({:?})", placement.why)?;
        }
        Ok(())
    }
}
