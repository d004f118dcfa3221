//! The loop over fakes, a round at a time.

use super::{at, beat_all, channel, fixture, packed, planned};
use domain::channel::{DeviceState, Revision};
use domain::credentials::{self, Rejection};
use domain::dispatch::{Action, Replaced};
use domain::ports::{ChannelsTable, Put, Tasks, TasksTable};
use domain::task::{Assignment, Heartbeat};
use domain::{Generation, Severity};
use futures::executor::block_on;
use std::collections::BTreeMap;

#[test]
fn a_start_whose_assignment_was_lost_is_adopted_not_repeated() {
    let world = fixture(&["A"]);
    let Action::Start { launch, .. } = planned(&packed(1), &[channel("A")], &[], &[]).actions.remove(0)
    else {
        panic!("expected a start")
    };
    let task = block_on(world.tasks.start_task(&launch)).unwrap();
    world.dispatch(1);
    assert_eq!(world.tasks.started(), 1);
    assert_eq!(world.tables.assignments()[0].assignment.task, Some(task));
}

#[test]
fn a_refused_start_is_told_once_and_backs_off_until_it_is_allowed() {
    let world = fixture(&["A", "B"]);
    world.tasks.refuse(true);
    let writes: Vec<_> = (0..60)
        .map(|n| {
            world.dispatch(n * 10);
            world.tables.writes()
        })
        .collect();
    assert!(writes[59] < 40, "600 s of refusals made {} writes", writes[59]);
    assert_eq!(
        world
            .alerts
            .told()
            .iter()
            .map(|alert| alert.severity)
            .collect::<Vec<_>>(),
        [Severity::Critical]
    );
    world.tasks.refuse(false);
    for n in 60..120 {
        world.dispatch(n * 10);
    }
    assert_eq!(world.tasks.truth().len(), 2);
    assert_eq!(
        world.alerts.told().last().map(|alert| alert.severity),
        Some(Severity::Resolved)
    );
}

#[test]
fn a_late_report_of_a_replaced_recorder_changes_nothing() {
    let world = fixture(&["A"]);
    world.dispatch(0);
    let first = world.tables.assignments()[0].assignment.clone();
    let task = first.task.clone().unwrap();
    world.tasks.end(&task);
    world.dispatch(200);
    let beat = Heartbeat {
        heartbeat_at: Some(at(201)),
        ..Heartbeat::default()
    };
    let put = block_on(world.tables.heartbeat(&first.key, &task, first.generation, &beat)).unwrap();
    assert_eq!(put, Put::Stale);
    assert_eq!(world.tables.assignments()[0].assignment.generation, Generation(2));
}

#[test]
fn a_report_says_why_channels_are_placed_and_recorders_stopped() {
    let world = fixture(&["A", "B"]);
    assert_eq!(world.dispatch(0).placed, BTreeMap::from([(Replaced::First, 2)]));
    let task = world.tables.assignments()[0].assignment.task.clone().unwrap();
    world.tasks.end(&task);
    beat_all(&world, 195);
    assert_eq!(
        world.dispatch(200).placed,
        BTreeMap::from([(Replaced::TaskGone, 1)])
    );
    let row = world.tables.channels().remove(1);
    let gone = block_on(world.tables.delete_channel(&row.key, row.revision)).unwrap();
    assert_eq!(gone, Put::Written);
    beat_all(&world, 295);
    assert_eq!(
        world.dispatch(300).stops,
        BTreeMap::from([("it has no channel", 1)])
    );
}

fn rejected() -> Rejection {
    Rejection {
        version: None,
        since: at(0),
        by: "recorder".into(),
        locked_until: None,
    }
}

#[test]
fn no_recorder_is_started_while_the_password_is_rejected_and_the_running_ones_go_on() {
    let world = fixture(&["A"]);
    world.dispatch(0);
    beat_all(&world, 50);
    assert_eq!(
        block_on(world.tables.put_channel(&channel("B"), None)).unwrap(),
        Put::Written
    );
    block_on(credentials::reject(&world.tables, &rejected())).unwrap();

    let report = world.dispatch(60);
    assert!(
        report
            .credentials_rejected
            .unwrap()
            .contains("rejects our password")
    );
    assert_eq!(
        (report.started, report.launches_left, world.tasks.truth().len()),
        (0, 1, 1)
    );

    block_on(credentials::accept(&world.tables, &rejected())).unwrap();
    assert_eq!(world.dispatch(70).started, 1);
}

#[test]
fn a_lock_of_the_account_holds_starts_until_the_poll_had_time_to_try_and_no_longer() {
    let world = fixture(&["A"]);
    let locked = Rejection {
        version: Some(3),
        locked_until: Some(at(1800)),
        ..rejected()
    };
    block_on(credentials::reject(&world.tables, &locked)).unwrap();
    for second in [0, 1799, 1801] {
        let report = world.dispatch(second);
        assert!(report.credentials_rejected.unwrap().contains("locked our user"));
        assert_eq!(report.started, 0, "{second} s");
    }
    let report = world.dispatch(1800 + 600);
    assert_eq!((report.started, report.credentials_rejected), (1, None));
}

#[test]
fn a_channel_is_recorded_while_its_heartbeat_is_fresh_and_says_no_trouble() {
    let world = fixture(&["A", "B", "C", "D"]);
    let mut away = channel("D");
    away.state = DeviceState::Missing {
        since: at(0),
        missed_polls: 1,
        hint: None,
    };
    away.revision = Revision(2);
    assert_eq!(
        block_on(world.tables.put_channel(&away, Some(Revision(1)))).unwrap(),
        Put::Written
    );
    world.dispatch(0);
    for (row, last_error) in world
        .tables
        .assignments()
        .into_iter()
        .zip([None, Some("no frame")])
    {
        let beat = Heartbeat {
            heartbeat_at: Some(at(5)),
            last_error: last_error.map(str::to_owned),
            ..Heartbeat::default()
        };
        let Assignment {
            key,
            task,
            generation,
            ..
        } = row.assignment;
        _ = block_on(world.tables.heartbeat(&key, &task.unwrap(), generation, &beat)).unwrap();
    }
    let report = world.dispatch(10);
    assert_eq!(
        (report.channels, report.recording, report.not_recording),
        (4, 1, 2)
    );
}
