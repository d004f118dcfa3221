//! The recorders that run, as one look shows them, and what each channel needs by that.

use super::plan::{Action, Left, Observed, Placement, Replaced};
use super::policy::DispatchPolicy;
use super::repack::{Berth, to_empty};
use crate::channel::ChannelRow;
use crate::id::{ChannelKey, TaskArn};
use crate::task::{Assignment, AssignmentRow, LiveTask, Predecessor, TaskKind};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A recorder that was told to end looks at its rows every second: notice enough of its successor.
const LEAVING_NOTICE: SignedDuration = SignedDuration::from_secs(3);

/// What one channel needs.
pub(super) enum Decision {
    Keep(TaskArn, Option<Box<Assignment>>),
    Place(Box<Placement>),
    Wait(Timestamp),
}

/// The recorders as this look shows them, with the channels that stay on each.
pub(super) struct Fleet<'a> {
    policy: &'a DispatchPolicy,
    now: Timestamp,
    live: BTreeMap<&'a TaskArn, &'a LiveTask>,
    hung: BTreeSet<&'a TaskArn>,
    /// Told to end, by their own word or the host's.
    leaving: BTreeSet<&'a TaskArn>,
    /// Outdated, and to be moved away from now.
    moving: BTreeSet<&'a TaskArn>,
    /// Recorders that a channel moves away from, and that record it until the new one does.
    held: BTreeSet<TaskArn>,
    /// Emptied now, as others have room for all of their channels.
    emptied: BTreeSet<TaskArn>,
    load: BTreeMap<TaskArn, usize>,
    pub(super) left: BTreeMap<Left, usize>,
}

impl<'a> Fleet<'a> {
    pub(super) fn new(policy: &'a DispatchPolicy, observed: &Observed<'a>, now: Timestamp) -> Self {
        let live: BTreeMap<_, _> = observed
            .live
            .iter()
            .filter(|task| !task.stopping)
            .map(|task| (&task.arn, task))
            .collect();
        let (hung, silent_together) = hung(policy, observed.assignments, &live, now);
        let held: BTreeSet<TaskArn> = unfinished(observed.assignments)
            .map(|predecessor| predecessor.task.clone())
            .collect();
        let (moving, in_turn) = moving(policy, &live, &held);
        let mut fleet = Self {
            policy,
            now,
            hung,
            leaving: leaving(observed),
            moving,
            live,
            held,
            emptied: BTreeSet::new(),
            load: BTreeMap::new(),
            left: BTreeMap::new(),
        };
        fleet.leave(Left::SilentTogether, silent_together);
        fleet.leave(Left::OutdatedInTurn, in_turn);
        fleet
    }

    pub(super) fn leave(&mut self, why: Left, times: usize) {
        if times > 0 {
            *self.left.entry(why).or_default() += times;
        }
    }

    /// One more channel is this recorder's.
    pub(super) fn load(&mut self, task: &TaskArn) {
        self.leave(Left::Launching, usize::from(!self.live.contains_key(task)));
        *self.load.entry(task.clone()).or_default() += 1;
    }

    /// The recorder that a channel moves away from is not stopped before the new one records.
    pub(super) fn hold(&mut self, assignment: &Assignment) {
        let old = assignment.predecessor.as_ref().map(|old| old.task.clone());
        self.held.extend(old);
    }

    pub(super) fn decide(&self, row: &ChannelRow, before: Option<&AssignmentRow>) -> Decision {
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
            Ok(_) | Err(_) => Decision::Place(Box::new(self.placement(row, Some(before), attempts, why))),
        }
    }

    fn replace_reason(&self, row: &ChannelRow, task: &TaskArn, assignment: &Assignment) -> Option<Replaced> {
        if self.leaving.contains(task) {
            return Some(Replaced::TaskLeaves);
        }
        let Some(live) = self.live.get(task) else {
            let just_started = self.now.duration_since(assignment.started_at) < self.policy.launch_grace;
            return (!just_started).then_some(Replaced::TaskGone);
        };
        if self.hung.contains(task) {
            return Some(Replaced::TaskHung);
        }
        if TaskKind::for_settings(&row.settings) == TaskKind::Transform && live.kind == TaskKind::Copy {
            return Some(Replaced::OtherKind);
        }
        self.moving.contains(task).then_some(Replaced::TaskOutdated)
    }

    fn attempts_after(&self, before: &AssignmentRow, why: Replaced) -> u32 {
        let assignment = &before.assignment;
        let proven = is_proven(self.policy, before);
        match why {
            Replaced::NotStarted => assignment.attempts,
            Replaced::First
            | Replaced::OtherKind
            | Replaced::TaskLeaves
            | Replaced::TaskOutdated
            | Replaced::TaskSparse => 0,
            Replaced::TaskGone | Replaced::TaskHung if proven => 0,
            Replaced::TaskGone | Replaced::TaskHung => assignment.attempts.saturating_add(1),
        }
    }

    fn placement(
        &self,
        row: &ChannelRow,
        before: Option<&AssignmentRow>,
        attempts: u32,
        why: Replaced,
    ) -> Placement {
        let expected = before.map(|row| row.assignment.generation);
        let assignment = Assignment {
            key: row.key.clone(),
            task: None,
            generation: expected.unwrap_or_default().next(),
            media_url: row.media_url.clone(),
            settings: row.settings.clone(),
            device_state: row.state,
            started_at: self.now,
            attempts,
            predecessor: before.and_then(|row| self.predecessor(row, why)),
        };
        Placement {
            assignment,
            expected,
            wanted_since: row.wanted_since,
            why,
        }
    }

    /// Who goes on recording until the next recorder has a picture. One that never had any leaves that to its own
    /// predecessor.
    fn predecessor(&self, before: &AssignmentRow, why: Replaced) -> Option<Predecessor> {
        if let Some(older) = unfinished([before]).next() {
            return Some(older.clone());
        }
        let notice = match why {
            Replaced::First | Replaced::NotStarted | Replaced::TaskGone | Replaced::TaskHung => {
                SignedDuration::ZERO
            }
            Replaced::TaskLeaves => LEAVING_NOTICE,
            Replaced::OtherKind | Replaced::TaskOutdated | Replaced::TaskSparse => self.policy.move_notice,
        };
        Some(Predecessor {
            task: before.assignment.task.clone()?,
            generation: before.assignment.generation,
            until: self.now.saturating_add(notice).unwrap_or(self.now),
        })
    }

    /// Live recorders of a kind with room, the fullest first.
    pub(super) fn room(&mut self, kind: TaskKind) -> Vec<(TaskArn, usize)> {
        let (given_away, staying): (Vec<_>, Vec<_>) = self
            .live
            .values()
            .filter(|task| task.kind == kind && self.stays(task))
            .partition(|task| self.is_given_away(&task.arn));
        let mut tasks: Vec<(TaskArn, usize)> = staying
            .into_iter()
            .map(|task: &LiveTask| (task.arn.clone(), self.room_of(task)))
            .filter(|(_, room)| *room > 0)
            .collect();
        tasks.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        self.leave(Left::GivenAway, given_away.len());
        tasks
    }

    fn room_of(&self, task: &LiveTask) -> usize {
        let load = self.load.get(&task.arn).copied().unwrap_or(0);
        self.policy.per_task(task.kind).saturating_sub(load)
    }

    /// All of its channels move away from it.
    fn is_given_away(&self, task: &TaskArn) -> bool {
        self.held.contains(task) && !self.load.contains_key(task)
    }

    /// Whether a recorder works, and is not on its way out.
    fn stays(&self, task: &LiveTask) -> bool {
        !task.outdated
            && !self.hung.contains(&task.arn)
            && !self.leaving.contains(&task.arn)
            && !self.emptied.contains(&task.arn)
    }

    /// Where all is calm: the channels of recorders that are emptier than need be, to be given to others. See
    /// [`super::repack`].
    pub(super) fn repack(
        &mut self,
        rows: &[ChannelRow],
        assigned: &BTreeMap<&ChannelKey, &AssignmentRow>,
    ) -> Vec<Placement> {
        let mut crews: BTreeMap<&TaskArn, Vec<(&ChannelRow, &AssignmentRow)>> = BTreeMap::new();
        for row in rows {
            let before = assigned.get(&row.key).copied();
            if let Some((before, task)) =
                before.and_then(|before| Some((before, before.assignment.task.as_ref()?)))
            {
                crews.entry(task).or_default().push((row, before));
            }
        }
        let berths = crews.iter().filter_map(|(task, crew)| self.berth(task, crew));
        let under_way = self.live.keys().filter(|task| self.held.contains(**task)).count();
        let more = self.policy.moving_tasks_max.saturating_sub(under_way);
        let in_turn;
        (self.emptied, in_turn) = to_empty(berths.collect(), more);
        self.leave(Left::SparseInTurn, in_turn);
        let mut placements = Vec::new();
        for task in &self.emptied {
            self.load.remove(task);
            for (row, before) in crews.remove(task).unwrap_or_default() {
                placements.push(self.placement(row, Some(before), 0, Replaced::TaskSparse));
            }
        }
        placements
            .iter()
            .for_each(|placement| self.hold(&placement.assignment));
        placements
    }

    /// The recorder of these channels as repacking sees it, if it and all of them are well.
    fn berth(&self, task: &TaskArn, crew: &[(&ChannelRow, &AssignmentRow)]) -> Option<Berth> {
        let live = self.live.get(task)?;
        let age = |at: Timestamp| self.now.duration_since(at);
        let is_well = |row: &AssignmentRow| {
            let fresh = |at| age(at) < self.policy.heartbeat_stale;
            let proven = row.assignment.attempts == 0 || is_proven(self.policy, row);
            proven && row.heartbeat.heartbeat_at.is_some_and(fresh)
        };
        if !self.stays(live) || self.held.contains(task) || !crew.iter().all(|(_, row)| is_well(row)) {
            return None;
        }
        let begins = crew.iter().map(|(_, row)| row.assignment.started_at);
        let mut channels = BTreeMap::new();
        for (row, _) in crew {
            *channels.entry(TaskKind::for_settings(&row.settings)).or_default() += 1;
        }
        Some(Berth {
            task: task.clone(),
            kind: live.kind,
            channels,
            room: self.room_of(live),
            settled: begins
                .chain([live.started_at])
                .all(|at| age(at) >= self.policy.repack_after),
        })
    }

    pub(super) fn stops(&mut self) -> Vec<Action> {
        let (record_on, idle): (Vec<_>, Vec<_>) = self
            .live
            .values()
            .filter(|task| !self.load.contains_key(&task.arn) && !self.leaving.contains(&task.arn))
            .filter(|task| self.now.duration_since(task.started_at) >= self.policy.launch_grace)
            .partition(|task| self.held.contains(&task.arn) && !self.hung.contains(&task.arn));
        let stops = idle
            .into_iter()
            .map(|task: &LiveTask| Action::Stop {
                task: task.arn.clone(),
                reason: if self.hung.contains(&task.arn) {
                    "it reports nothing"
                } else {
                    "it has no channel"
                },
            })
            .collect();
        self.leave(Left::RecordsOn, record_on.len());
        stops
    }
}

/// Whether the recorder of an assignment has recorded, or lived long enough to have.
pub(super) fn is_proven(policy: &DispatchPolicy, row: &AssignmentRow) -> bool {
    let started_at = row.assignment.started_at;
    let recorded = row.heartbeat.last_segment_at.is_some_and(|at| at > started_at);
    let lived = |at: Timestamp| at.duration_since(started_at) >= policy.healthy_after;
    recorded || row.heartbeat.heartbeat_at.is_some_and(lived)
}

/// The predecessors of those that have not reported a picture yet.
fn unfinished<'a>(
    rows: impl IntoIterator<Item = &'a AssignmentRow>,
) -> impl Iterator<Item = &'a Predecessor> {
    rows.into_iter()
        .filter(|row| row.heartbeat.first_picture.is_none())
        .filter_map(|row| row.assignment.predecessor.as_ref())
}

fn leaving<'a>(observed: &Observed<'a>) -> BTreeSet<&'a TaskArn> {
    let by_host = observed.live.iter().filter(|task| task.stopping);
    let by_word = observed
        .assignments
        .iter()
        .filter(|row| row.heartbeat.ends_at.is_some());
    by_host
        .map(|task| &task.arn)
        .chain(by_word.filter_map(|row| row.assignment.task.as_ref()))
        .collect()
}

/// Outdated tasks whose channels move now, those that have begun to and the next ones; and how many are left for later.
fn moving<'a>(
    policy: &DispatchPolicy,
    live: &BTreeMap<&'a TaskArn, &'a LiveTask>,
    held: &BTreeSet<TaskArn>,
) -> (BTreeSet<&'a TaskArn>, usize) {
    let outdated = live.values().filter(|task| task.outdated).map(|task| &task.arn);
    let (begun, next): (Vec<_>, Vec<_>) = outdated.partition(|task| held.contains(task));
    let more = policy.moving_tasks_max.saturating_sub(begun.len());
    let in_turn = next.len().saturating_sub(more);
    (
        begun.into_iter().chain(next.into_iter().take(more)).collect(),
        in_turn,
    )
}

/// Tasks that run but none of whose channels reported lately. Where most of the fleet is silent at once, it is
/// the table that was out of reach, not the recorders: they get as much time again. And how many do.
fn hung<'a>(
    policy: &DispatchPolicy,
    assignments: &'a [AssignmentRow],
    live: &BTreeMap<&'a TaskArn, &'a LiveTask>,
    now: Timestamp,
) -> (BTreeSet<&'a TaskArn>, usize) {
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
        let hung = silent_for(policy.heartbeat_stale.saturating_mul(2));
        let silent_together = silent.len() - hung.len();
        return (hung, silent_together);
    }
    (silent, 0)
}

fn update(row: &ChannelRow, assignment: &Assignment) -> Option<Box<Assignment>> {
    let next = Assignment {
        media_url: row.media_url.clone(),
        settings: row.settings.clone(),
        device_state: row.state,
        ..assignment.clone()
    };
    (next != *assignment).then(|| Box::new(next))
}
