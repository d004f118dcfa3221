//! The dispatcher's plan: a pure function of one look.

use super::DispatchPolicy;
use super::fleet::{Decision, Fleet};
use super::launch::launch;
use crate::channel::ChannelRow;
use crate::id::{ChannelKey, Generation, TaskArn};
use crate::task::{Assignment, AssignmentRow, Launch, LiveTask, TaskKind};
use jiff::Timestamp;
use serde::Serialize;
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
    /// How often something was left as it is, by why.
    pub left: BTreeMap<Left, usize>,
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

impl Placement {
    /// Whether this recorder has the channel now, until the next one does. It is not given it back: it would have to end its
    /// recording first.
    fn comes_from(&self, task: &TaskArn) -> bool {
        let predecessor = self.assignment.predecessor.as_ref();
        predecessor.is_some_and(|old| old.task == *task)
    }
}

/// Why a channel needs a new assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// Its task was told to end.
    TaskLeaves,
    /// Its task is not what would be started now.
    TaskOutdated,
    /// Its task is emptier than need be: all of its channels fit into others.
    TaskSparse,
}

impl Replaced {
    /// Whether the channel is recorded all the same, until its new recorder has a picture.
    pub fn is_move(self) -> bool {
        match self {
            Self::OtherKind | Self::TaskLeaves | Self::TaskOutdated | Self::TaskSparse => true,
            Self::First | Self::NotStarted | Self::TaskGone | Self::TaskHung => false,
        }
    }
}

/// Why something is left as it is, although there is a reason to change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Left {
    /// A channel whose task is not listed: it was started just now, and lists lag.
    Launching,
    /// A task that reports nothing, like most of them: it is the table that is out of reach.
    SilentTogether,
    /// An outdated task: as many as may be are moved away from already.
    OutdatedInTurn,
    /// A sparse task, likewise.
    SparseInTurn,
    /// A task that was given away, whole: it gets no channel.
    GivenAway,
    /// A channel that moves away from the task that has room: it is not given it back.
    NotGivenBack,
    /// A task without a channel that is not stopped: its successors have no picture yet.
    RecordsOn,
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
                plan.actions.extend(update.map(Action::Update));
            }
            Decision::Place(placement) => {
                fleet.hold(&placement.assignment);
                needs.push(*placement);
            }
            Decision::Wait(until) => _ = plan.waiting.insert(row.key.clone(), until),
        }
    }
    if needs.is_empty() && plan.actions.is_empty() && plan.waiting.is_empty() {
        needs = fleet.repack(observed.rows, &assigned);
    }
    place(policy, &mut fleet, needs, &mut plan);
    plan.actions.extend(fleet.stops());
    plan.left = fleet.left;
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
        for (task, mut room) in fleet.room(kind) {
            let mut not_given_back = 0;
            let fits = |placement: &mut Placement| {
                let comes_from_it = room > 0 && placement.comes_from(&task);
                let fits = room > 0 && !comes_from_it;
                not_given_back += usize::from(comes_from_it);
                room -= usize::from(fits);
                fits
            };
            let given: Vec<Placement> = placements.extract_if(.., fits).collect();
            fleet.leave(Left::NotGivenBack, not_given_back);
            if !given.is_empty() {
                given.iter().for_each(|_| fleet.load(&task));
                let placements = given;
                plan.actions.push(Action::Adopt { task, placements });
            }
        }
        for group in placements.chunks(policy.per_task(kind)) {
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
