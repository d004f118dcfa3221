//! Planned moves: the old recorder records until the new one does, and only then goes.

use super::{assigned, at, channel, fixture, leaves, live, packed, planned};
use domain::dispatch::{Action, DispatchPolicy, Left, Placement, Plan, dispatch};
use domain::ports::TasksTable;
use domain::succession::{FoundBy, Standing, Succession, find, not_covered, standing};
use domain::task::{AssignmentRow, LiveTask};
use domain::{FirstPicture, Generation, Heartbeat, PictureMark, Predecessor, TaskArn};
use futures::executor::block_on;
use jiff::SignedDuration;
use proptest::prelude::*;

fn outdated(arn: &str) -> LiveTask {
    LiveTask {
        outdated: true,
        ..live(arn, -600)
    }
}

fn picture(second: i64, mark: u64) -> FirstPicture {
    FirstPicture {
        at: at(second),
        mark: PictureMark(mark),
    }
}

/// `device`, moved from `from` to `to`, whose first picture is on disk or not yet.
fn moved(device: &str, from: &str, to: &str, first_picture: Option<FirstPicture>) -> AssignmentRow {
    let mut row = assigned(device, to, -20, Some(-5));
    row.assignment.predecessor = Some(Predecessor {
        task: TaskArn::new(from),
        generation: Generation(2),
        until: at(-5),
    });
    row.heartbeat.first_picture = first_picture;
    row
}

fn placements(plan: &Plan) -> Vec<Placement> {
    let of = |action: &Action| match action {
        Action::Adopt { placements, .. } | Action::Start { placements, .. } => placements.clone(),
        Action::Forget { .. } | Action::Update(_) | Action::Stop { .. } => vec![],
    };
    plan.actions.iter().flat_map(of).collect()
}

#[test]
fn the_channels_of_an_outdated_recorder_move_and_it_is_not_stopped_yet() {
    let row = assigned("A", "t1", -600, Some(-5));
    let plan = planned(&packed(1), &[channel("A")], &[row], &[outdated("t1")]);
    insta::assert_snapshot!(plan, @"start Copy for A/1 generation 4 (TaskOutdated)");
    let notice = DispatchPolicy::default().move_notice.as_secs();
    let predecessor = placements(&plan).remove(0).assignment.predecessor;
    let expected = Predecessor {
        task: TaskArn::new("t1"),
        generation: Generation(3),
        until: at(notice),
    };
    assert_eq!(predecessor, Some(expected));
}

#[test]
fn the_old_recorder_is_stopped_once_the_new_one_has_a_picture() {
    let tasks = [outdated("t1"), live("t2", -20)];
    let wait = moved("A", "t1", "t2", None);
    assert_eq!(
        planned(&packed(1), &[channel("A")], &[wait], &tasks),
        leaves(Left::RecordsOn, 1)
    );
    let done = moved("A", "t1", "t2", Some(picture(-3, 7)));
    insta::assert_snapshot!(planned(&packed(1), &[channel("A")], &[done], &tasks), @"stop t1: it has no channel");
}

#[test]
fn a_recorder_that_was_told_to_end_gets_a_successor_and_nothing_new_to_record() {
    let mut leaving = assigned("A", "t1", -600, Some(-5));
    leaving.heartbeat.ends_at = Some(at(60));
    let rows = [channel("A"), channel("B")];
    // Also when the host has left it out already.
    for tasks in [vec![live("t1", -600)], vec![]] {
        let plan = planned(&packed(2), &rows, &[leaving.clone()], &tasks);
        insta::allow_duplicates! {
            insta::assert_snapshot!(plan, @"start Copy for A/1 generation 4 (TaskLeaves), B/1 generation 1 (First)");
        }
    }
    let told_by_the_host = LiveTask {
        stopping: true,
        ..live("t1", -600)
    };
    let row = assigned("A", "t1", -600, Some(-5));
    insta::assert_snapshot!(planned(&packed(1), &rows[..1], &[row], &[told_by_the_host]), @"start Copy for A/1 generation 4 (TaskLeaves)");
}

#[test]
fn a_successor_that_dies_before_its_first_picture_leaves_the_channel_to_its_predecessor() {
    let mut row = moved("A", "t1", "dead", None);
    row.assignment.started_at = at(-100);
    let old = row.assignment.predecessor.clone();
    let plan = planned(&packed(1), &[channel("A")], &[row], &[outdated("t1")]);
    insta::assert_snapshot!(plan, @"start Copy for A/1 generation 4 (TaskGone)");
    assert_eq!(placements(&plan)[0].assignment.predecessor, old);
}

#[test]
fn a_channel_is_not_given_back_to_the_recorder_it_moves_away_from() {
    let mut row = moved("A", "t1", "dead", None);
    row.assignment.started_at = at(-100);
    let other = assigned("B", "t1", -600, Some(-5));
    let rows = [channel("A"), channel("B")];
    let plan = planned(&packed(2), &rows, &[row, other], &[live("t1", -600)]);
    insta::assert_snapshot!(plan, @"start Copy for A/1 generation 4 (TaskGone)");
}

#[test]
fn a_deploy_moves_a_few_tasks_at_a_time() {
    let names: Vec<String> = (0..20).map(|n| format!("t{n:02}")).collect();
    let rows: Vec<_> = names.iter().map(|name| channel(name)).collect();
    let assignments: Vec<_> = names
        .iter()
        .map(|name| assigned(name, name, -600, Some(-5)))
        .collect();
    let tasks: Vec<_> = names.iter().map(|name| outdated(name)).collect();
    let plan = planned(&packed(1), &rows, &assignments, &tasks);
    assert_eq!(
        plan.actions.len(),
        DispatchPolicy::default().moving_tasks_max,
        "{plan}"
    );
}

#[test]
fn a_refused_start_leaves_a_channel_that_only_moves_where_it_is_recorded() {
    let world = fixture(&["A"]);
    world.dispatch(0);
    let before = world.tables.assignments();
    let [row] = before.as_slice() else {
        panic!("{before:?}")
    };
    let beat = Heartbeat {
        heartbeat_at: Some(at(90)),
        ends_at: Some(at(150)),
        ..Heartbeat::default()
    };
    let task = row.assignment.task.clone().unwrap();
    _ = block_on(
        world
            .tables
            .heartbeat(&row.assignment.key, &task, Generation(1), &beat),
    )
    .unwrap();
    world.tasks.refuse(true);
    world.tasks.set_now(at(91));
    let policy = packed(1);
    let report = block_on(dispatch(
        &policy,
        &world.tables,
        &world.tasks,
        &world.alerts,
        at(91),
    ));
    assert_eq!((report.moves_refused.len(), report.refused.len()), (1, 0));
    let after = world.tables.assignments();
    assert_eq!(after[0].assignment, row.assignment);
}

#[test]
fn a_recorder_stands_to_a_channel_by_its_row() {
    let row = moved("A", "old", "new", Some(picture(-3, 7)));
    let stands =
        |row: Option<&AssignmentRow>, task: &str, n| standing(row, &TaskArn::new(task), Generation(n));
    let succession = Succession {
        until: at(-5),
        alive: true,
        first_picture: Some(picture(-3, 7)),
    };
    assert_eq!(stands(Some(&row), "new", 3), Standing::Ours);
    assert_eq!(stands(Some(&row), "old", 2), Standing::Succeeded(succession));
    assert_eq!(
        stands(Some(&row), "older", 1),
        Standing::Succeeded(succession),
        "it may be the only one that records"
    );
    for (task, generation) in [("new", 2), ("old", 3), ("old", 4), ("other", 3)] {
        assert_eq!(stands(Some(&row), task, generation), Standing::Lost);
    }
    assert_eq!(stands(None, "new", 3), Standing::Lost);
    let mut leaving = row;
    leaving.heartbeat.ends_at = Some(at(60));
    let succession = Succession {
        first_picture: None,
        ..succession
    };
    assert_eq!(
        stands(Some(&leaving), "old", 2),
        Standing::Succeeded(succession),
        "it will not record for long"
    );
}

#[test]
fn a_picture_is_found_by_its_looks_and_else_by_its_time() {
    let parts = [picture(0, 1), picture(2, 2), picture(4, 1), picture(6, 3)];
    let apart = |second: i64, milliseconds: i64, mark| FirstPicture {
        at: at(second) + SignedDuration::from_millis(milliseconds),
        mark: PictureMark(mark),
    };
    assert_eq!(find(&parts, apart(2, 900, 2)), Some((1, FoundBy::Looks)));
    assert_eq!(
        find(&parts, apart(3, 0, 1)),
        Some((2, FoundBy::Looks)),
        "of two alike the nearer"
    );
    assert_eq!(find(&parts, apart(3, 700, 9)), Some((2, FoundBy::Time)));
    assert_eq!(find(&parts, apart(3, 0, 9)), None);
    assert_eq!(
        not_covered(&parts, apart(3, 0, 9)),
        2,
        "rather twice than not at all"
    );
    assert_eq!(not_covered(&parts, apart(20, 0, 9)), 4);
    assert_eq!(not_covered(&[], apart(0, 0, 9)), 0);
}

proptest! {
    /// Pictures by their numbers: whatever the clocks and the delays, what the old one keeps and what the new one has
    /// are all of them, each once.
    #[test]
    fn no_picture_is_lost_or_kept_twice_across_a_move(
        distance_ms in 1_000_i64..10_000,
        parts_from in 0_usize..5,
        starts_at in 5_usize..12,
        apart_ms in -400_i64..400,
        looks_alike in any::<bool>(),
    ) {
        let shown = |n: usize| at(0) + SignedDuration::from_millis(distance_ms * i64::try_from(n).unwrap());
        let part = |n: usize| FirstPicture { at: shown(n), mark: PictureMark(n as u64) };
        let parts: Vec<_> = (parts_from..15).map(part).collect();
        let mark = PictureMark(if looks_alike { starts_at as u64 } else { 1_000 });
        let first = FirstPicture { at: shown(starts_at) + SignedDuration::from_millis(apart_ms), mark };
        prop_assert_eq!(not_covered(&parts, first), starts_at - parts_from);
    }

    /// I2 for moves: whoever a channel waits for is not stopped, unless he is not heard of any more.
    #[test]
    fn never_stops_a_predecessor_that_is_still_needed(
        worlds in prop::collection::vec(("[A-F]", 1_u8..5, 1_u8..5, any::<bool>()), 1..8),
        per_task in 1_usize..4,
    ) {
        let mut rows = std::collections::BTreeMap::new();
        for (device, from, to, done) in worlds {
            if from != to {
                let first = done.then(|| picture(-3, 1));
                rows.insert(device.clone(), moved(&device, &format!("t{from}"), &format!("t{to}"), first));
            }
        }
        let assignments: Vec<_> = rows.values().cloned().collect();
        let channels: Vec<_> = rows.keys().map(|device| channel(device)).collect();
        let tasks: Vec<_> = (1..5).map(|n| if n < 3 { outdated(&format!("t{n}")) } else { live(&format!("t{n}"), -600) }).collect();
        for action in planned(&packed(per_task), &channels, &assignments, &tasks).actions {
            let Action::Stop { task, .. } = action else { continue };
            let needed = assignments.iter().any(|row| {
                row.heartbeat.first_picture.is_none()
                    && row.assignment.predecessor.as_ref().is_some_and(|old| old.task == task)
            });
            prop_assert!(!needed, "{task} is stopped");
        }
    }
}
