//! Repacking: sparse recorders are emptied into others, whole ones only, and then it is over.

use super::{assigned, at, channel, live, packed, planned};
use domain::channel::ChannelRow;
use domain::dispatch::{Action, DispatchPolicy, Left, Observed, Plan, plan};
use domain::settings::{Audio, RecordingSettings};
use domain::task::{AssignmentRow, LiveTask, TaskKind};
use domain::{ChannelKey, FirstPicture, Generation, PictureMark, Predecessor, TaskArn};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A fleet in which every order is carried out at once, and every recorder has pictures at once.
#[derive(Debug, Clone, Default)]
struct Fleet {
    policy: DispatchPolicy,
    rows: Vec<ChannelRow>,
    assignments: BTreeMap<ChannelKey, AssignmentRow>,
    live: Vec<LiveTask>,
}

impl Fleet {
    /// So many channels on each task, which have been there for an hour.
    fn packed(channels_per_task: usize, tasks: &[(TaskKind, usize)]) -> Self {
        let mut fleet = Self {
            policy: packed(channels_per_task),
            ..Self::default()
        };
        for (n, (kind, channels)) in tasks.iter().enumerate() {
            let task = format!("t{n:03}");
            fleet.live.push(LiveTask {
                kind: *kind,
                ..live(&task, -3_600)
            });
            for m in 0..*channels {
                fleet.record(&format!("c{n:03}-{m:02}"), &task, *kind);
            }
        }
        fleet
    }

    fn record(&mut self, device: &str, task: &str, kind: TaskKind) {
        let mut row = assigned(device, task, -3_600, Some(-5));
        let mut wanted = channel(device);
        if kind == TaskKind::Transform {
            wanted.settings = RecordingSettings {
                audio: Audio::Aac,
                ..RecordingSettings::default()
            };
        }
        row.assignment.settings = wanted.settings.clone();
        self.assignments.insert(wanted.key.clone(), row);
        self.rows.push(wanted);
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let assignments: Vec<_> = self.assignments.values().cloned().collect();
        let observed = Observed {
            rows: &self.rows,
            assignments: &assignments,
            live: &self.live,
        };
        plan(&self.policy, &observed, now)
    }

    fn load(&self) -> BTreeMap<TaskArn, usize> {
        let mut load = BTreeMap::new();
        for row in self.assignments.values() {
            *load.entry(row.assignment.task.clone().unwrap()).or_default() += 1;
        }
        load
    }

    /// Does what is planned, and reports on everything.
    fn obey(&mut self, plan: &Plan, now: Timestamp) {
        for action in &plan.actions {
            match action {
                Action::Adopt { task, placements } => {
                    for placement in placements {
                        let row = self.assignments.get_mut(&placement.assignment.key).unwrap();
                        row.assignment = placement.assignment.clone();
                        row.assignment.task = Some(task.clone());
                        let mark = PictureMark(1);
                        row.heartbeat.first_picture = Some(FirstPicture { at: now, mark });
                    }
                }
                Action::Stop { task, .. } => self.live.retain(|live| live.arn != *task),
                Action::Forget { .. } | Action::Update(_) | Action::Start { .. } => panic!("{plan}"),
            }
        }
        for row in self.assignments.values_mut() {
            row.heartbeat.heartbeat_at = Some(now);
        }
    }
}

fn copies(loads: &[usize]) -> Vec<(TaskKind, usize)> {
    loads.iter().map(|load| (TaskKind::Copy, *load)).collect()
}

#[test]
fn the_emptiest_recorder_goes_and_its_channels_fill_up_the_fullest() {
    let fleet = Fleet::packed(4, &copies(&[2, 1, 3]));
    insta::assert_snapshot!(fleet.plan(at(0)), @"give t002 c001-00/1 generation 4 (TaskSparse)");
    let Action::Adopt { placements, .. } = fleet.plan(at(0)).actions.remove(0) else {
        panic!("it is given to a recorder that runs")
    };
    let notice = fleet.policy.move_notice.as_secs();
    let expected = Predecessor {
        task: TaskArn::new("t001"),
        generation: Generation(3),
        until: at(notice),
    };
    assert_eq!(placements[0].assignment.predecessor, Some(expected));
}

#[test]
fn a_recorder_that_cannot_be_emptied_whole_is_left_alone() {
    assert_eq!(Fleet::packed(4, &copies(&[3, 3])).plan(at(0)), Plan::default());
}

#[test]
fn channels_only_go_to_recorders_of_the_build_they_need() {
    let fleet = Fleet::packed(4, &[(TaskKind::Copy, 1), (TaskKind::Transform, 1)]);
    assert_eq!(fleet.plan(at(0)), Plan::default());
}

#[test]
fn a_channel_that_needs_no_transform_any_more_goes_home() {
    let mut fleet = Fleet::packed(4, &[(TaskKind::Transform, 1), (TaskKind::Copy, 1)]);
    fleet.rows[0].settings = RecordingSettings::default();
    let row = fleet.assignments.values_mut().next().unwrap();
    row.assignment.settings = RecordingSettings::default();
    insta::assert_snapshot!(fleet.plan(at(0)), @"give t001 c000-00/1 generation 4 (TaskSparse)");
}

#[test]
fn nothing_is_repacked_while_anything_else_is_to_be_done() {
    let mut fleet = Fleet::packed(4, &copies(&[1, 1, 4]));
    let calm = fleet.clone();
    fleet.rows[0].media_url.push('x');
    insta::assert_snapshot!(fleet.plan(at(0)), @"update c000-00/1 from rtsp://gateway/c000-001x");
    let mut fleet = calm;
    fleet.rows.push(channel("new"));
    insta::assert_snapshot!(fleet.plan(at(0)), @"give t000 new/1 generation 1 (First)");
}

/// What keeps a recorder from being emptied, and from being filled up.
#[test]
fn only_recorders_that_are_well_take_part() {
    let sparse = Fleet::packed(4, &copies(&[1, 2]));
    assert_ne!(sparse.plan(at(0)), Plan::default());
    let unwell: [fn(&mut AssignmentRow); 3] = [
        |row| row.assignment.attempts = 1,
        |row| row.heartbeat.heartbeat_at = None,
        |row| row.heartbeat.heartbeat_at = Some(at(-170) - SignedDuration::from_secs(20)),
    ];
    for (ill, change) in (0..2).flat_map(|ill| unwell.map(|change| (ill, change))) {
        let mut fleet = sparse.clone();
        let row = fleet.assignments.values_mut().nth(ill).unwrap();
        row.assignment.started_at = at(-30);
        change(row);
        let moves = fleet.plan(at(0)).to_string().contains("TaskSparse");
        assert!(!moves, "{ill}");
    }
}

#[test]
fn who_was_moved_of_late_is_not_moved_again() {
    let mut fleet = Fleet::packed(4, &copies(&[1, 2]));
    let young = at(0) - fleet.policy.repack_after + SignedDuration::from_secs(1);
    for row in fleet.assignments.values_mut() {
        row.assignment.started_at = young;
    }
    assert_eq!(fleet.plan(at(0)), Plan::default());
    assert_ne!(fleet.plan(at(1)), Plan::default());
}

#[test]
fn no_more_tasks_are_emptied_at_once_than_may_be_moved_at_once() {
    let fleet = Fleet::packed(20, &copies(&[1; 50]));
    let max = fleet.policy.moving_tasks_max;
    let plan = fleet.plan(at(0));
    insta::assert_snapshot!(plan, @"give t005 c000-00/1 generation 4 (TaskSparse), c001-00/1 generation 4 (TaskSparse), c002-00/1 generation 4 (TaskSparse), c003-00/1 generation 4 (TaskSparse), c004-00/1 generation 4 (TaskSparse)");
    let mut begun = fleet.clone();
    begun.obey(&plan, at(0));
    for row in begun.assignments.values_mut() {
        row.heartbeat.first_picture = None;
    }
    let left = begun.plan(at(60));
    assert_eq!(left.actions, [], "{max} are under way");
    assert!(left.left[&Left::SparseInTurn] > 0, "{left:?}");
}

#[test]
fn a_fleet_whose_tasks_may_have_more_channels_is_packed_in_time() {
    let mut fleet = Fleet::packed(20, &copies(&[1; 50]));
    let mut rounds = 0;
    while fleet.live.len() > 3 {
        rounds += 1;
        let now = at(rounds * 60);
        let plan = fleet.plan(now);
        fleet.obey(&plan, now);
    }
    // Five tasks a round, and one more until the last has ended.
    assert_eq!(rounds, 11);
}

fn fleets() -> impl Strategy<Value = Fleet> {
    let kind = prop_oneof![3 => Just(TaskKind::Copy), 1 => Just(TaskKind::Transform)];
    (1_usize..7).prop_flat_map(move |channels_per_task| {
        let tasks = prop::collection::vec((kind.clone(), 1..=channels_per_task), 1..20);
        tasks.prop_map(move |tasks| Fleet::packed(channels_per_task, &tasks))
    })
}

proptest! {
    /// Each round empties whole recorders and starts none; in the end each build has as many tasks as it needs, and nothing moves
    /// any more.
    #[test]
    fn a_calm_fleet_comes_to_as_few_tasks_as_it_needs_and_to_rest(mut fleet in fleets()) {
        for round in 1..80 {
            let now = at(round * 60);
            let (plan, before) = (fleet.plan(now), fleet.load());
            fleet.obey(&plan, now);
            let after = fleet.load();
            let emptied = before.keys().filter(|task| !after.contains_key(*task)).count();
            prop_assert!(emptied <= fleet.policy.moving_tasks_max);
            for (task, load) in &after {
                prop_assert!(*load >= before[task], "{task} was emptied in part: {plan}");
                prop_assert!(*load <= fleet.policy.channels_per_task);
            }
        }
        for kind in [TaskKind::Copy, TaskKind::Transform] {
            let channels = fleet.rows.iter().filter(|row| TaskKind::for_settings(&row.settings) == kind).count();
            let tasks = fleet.live.iter().filter(|task| task.kind == kind).count();
            prop_assert_eq!(tasks, channels.div_ceil(fleet.policy.channels_per_task));
        }
        prop_assert_eq!(fleet.plan(at(10_000)).to_string().contains("TaskSparse"), false);
    }

    /// A fleet in which there is nothing to gain is never touched.
    #[test]
    fn full_tasks_are_left_alone(tasks in 1_usize..10, channels_per_task in 1_usize..6) {
        let fleet = Fleet::packed(channels_per_task, &copies(&vec![channels_per_task; tasks]));
        prop_assert_eq!(fleet.plan(at(0)), Plan::default());
    }
}

/// A lowered number is for what is placed from now on: nobody who records is moved for it.
#[test]
fn a_recorder_that_has_more_channels_than_it_now_may_keeps_them_and_gets_none() {
    let mut fleet = Fleet::packed(4, &copies(&[4]));
    fleet.policy.channels_per_task = 2;
    assert_eq!(fleet.plan(at(0)), Plan::default());
    fleet.rows.push(channel("new"));
    insta::assert_snapshot!(fleet.plan(at(0)), @"start Copy for new/1 generation 1 (First)");
    let outdated = LiveTask {
        outdated: true,
        ..live("t000", -3_600)
    };
    let (rows, assignments) = (
        &fleet.rows[..4],
        fleet.assignments.values().cloned().collect::<Vec<_>>(),
    );
    let deploy = planned(&fleet.policy, rows, &assignments, &[outdated]);
    assert_eq!(deploy.actions.len(), 2, "a deploy spreads them: {deploy}");
}
