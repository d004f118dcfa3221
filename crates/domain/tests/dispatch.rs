//! The dispatcher's promises: named scenarios as snapshots, properties of the planner, and the loop over fakes.
#![allow(clippy::unwrap_used)]

use domain::channel::{ChannelRow, DeviceState, Revision};
use domain::credentials::{self, Rejection};
use domain::dispatch::{Action, DispatchPolicy, Observed, Plan, again, dispatch, plan};
use domain::fakes::{FakeAlerts, FakeTables, FakeTasks, Weather};
use domain::ports::{ChannelsTable, Put, Tasks, TasksTable};
use domain::settings::{Audio, RecordingSettings};
use domain::task::{Assignment, AssignmentRow, Heartbeat, LiveTask, TaskKind};
use domain::{ChannelKey, Generation, Severity, TaskArn};
use futures::executor::block_on;
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn channel(device: &str) -> ChannelRow {
    ChannelRow {
        key: ChannelKey::new(device, "1"),
        media_url: format!("rtsp://gateway/{device}1"),
        device_name: device.into(),
        channel_name: String::new(),
        state: DeviceState::Present,
        device_channels: 1,
        listed_channels: 1,
        wanted_since: at(-9000),
        settings: RecordingSettings::default(),
        revision: Revision(1),
    }
}

/// An assignment that began at `started` and whose recorder last reported at `reported`.
fn assigned(device: &str, task: &str, started: i64, reported: Option<i64>) -> AssignmentRow {
    let channel = channel(device);
    let assignment = Assignment {
        key: channel.key,
        task: Some(TaskArn::new(task)),
        generation: Generation(3),
        media_url: channel.media_url,
        settings: channel.settings,
        device_state: channel.state,
        started_at: at(started),
        attempts: 0,
    };
    AssignmentRow {
        assignment,
        heartbeat: Heartbeat {
            heartbeat_at: reported.map(at),
            ..Heartbeat::default()
        },
    }
}

fn live(arn: &str, started: i64) -> LiveTask {
    LiveTask {
        arn: TaskArn::new(arn),
        started_at: at(started),
        kind: TaskKind::Copy,
        stopping: false,
    }
}

fn planned(
    policy: &DispatchPolicy,
    rows: &[ChannelRow],
    assignments: &[AssignmentRow],
    live: &[LiveTask],
) -> Plan {
    plan(
        policy,
        &Observed {
            rows,
            assignments,
            live,
        },
        at(0),
    )
}

fn packed(channels_per_task: usize) -> DispatchPolicy {
    DispatchPolicy {
        channels_per_task,
        ..DispatchPolicy::default()
    }
}

#[test]
fn channels_are_packed_into_as_few_tasks_as_allowed() {
    let rows = ["A", "B", "C"].map(channel);
    insta::assert_snapshot!(planned(&packed(2), &rows, &[], &[]), @"
    start Copy for A/1 generation 1 (First), B/1 generation 1 (First)
    start Copy for C/1 generation 1 (First)
    ");
}

#[test]
fn a_dead_tasks_channels_go_to_a_task_with_room_first() {
    let rows = ["A", "B", "C"].map(channel);
    let assignments = [
        assigned("A", "t1", -600, Some(-5)),
        assigned("B", "t2", -600, Some(-60)),
        assigned("C", "t2", -600, Some(-60)),
    ];
    insta::assert_snapshot!(planned(&packed(2), &rows, &assignments, &[live("t1", -600)]), @"
    give t1 B/1 generation 4 (TaskGone)
    start Copy for C/1 generation 4 (TaskGone)
    ");
}

#[test]
fn an_orphan_is_adopted_before_anything_is_started() {
    let plan = planned(&packed(1), &[channel("A")], &[], &[live("orphan", -600)]);
    insta::assert_snapshot!(plan, @"give orphan A/1 generation 1 (First)");
}

#[test]
fn an_unwanted_channel_is_forgotten_and_its_task_stopped() {
    let plan = planned(
        &packed(1),
        &[],
        &[assigned("A", "t1", -600, Some(-5))],
        &[live("t1", -600)],
    );
    insta::assert_snapshot!(plan, @"
    forget A/1 generation 3
    stop t1: it has no channel
    ");
}

#[test]
fn a_task_that_just_started_is_neither_missed_nor_stopped() {
    let rows = [channel("A")];
    let assignments = [assigned("A", "t1", -10, None)];
    assert_eq!(planned(&packed(1), &rows, &assignments, &[]), Plan::default());
    assert_eq!(
        planned(&packed(1), &[], &[], &[live("new", -10)]),
        Plan::default()
    );
}

#[test]
fn a_changed_url_updates_the_assignment_and_keeps_the_task() {
    let rows = [ChannelRow {
        media_url: "rtsp://gateway/new".into(),
        ..channel("A")
    }];
    let plan = planned(
        &packed(1),
        &rows,
        &[assigned("A", "t1", -600, Some(-5))],
        &[live("t1", -600)],
    );
    insta::assert_snapshot!(plan, @"update A/1 from rtsp://gateway/new");
}

#[test]
fn a_channel_that_now_needs_ffmpeg_moves_to_a_task_that_has_it() {
    let settings = RecordingSettings {
        audio: Audio::Aac,
        ..RecordingSettings::default()
    };
    let rows = [ChannelRow {
        settings,
        ..channel("A")
    }];
    let plan = planned(
        &packed(1),
        &rows,
        &[assigned("A", "t1", -600, Some(-5))],
        &[live("t1", -600)],
    );
    insta::assert_snapshot!(plan, @"
    start Transform for A/1 generation 4 (OtherKind)
    stop t1: it has no channel
    ");
}

#[test]
fn a_hung_task_is_replaced_but_a_silent_fleet_gets_more_time() {
    let rows = ["A", "B", "C"].map(channel);
    let tasks = ["t1", "t2", "t3"].map(|arn| live(arn, -600));
    let one = [
        assigned("A", "t1", -600, Some(-5)),
        assigned("B", "t2", -600, Some(-5)),
        assigned("C", "t3", -600, Some(-200)),
    ];
    insta::assert_snapshot!(planned(&packed(1), &rows, &one, &tasks), @"
    start Copy for C/1 generation 4 (TaskHung)
    stop t3: it reports nothing
    ");
    let all = ["A", "B", "C"].map(|device| assigned(device, &format!("t{device}"), -600, Some(-200)));
    let tasks = ["tA", "tB", "tC"].map(|arn| live(arn, -600));
    assert_eq!(planned(&packed(1), &rows, &all, &tasks), Plan::default());
}

#[test]
fn a_recorder_that_dies_at_once_is_retried_with_growing_waits() {
    let policy = packed(1);
    let waits: Vec<_> = (0..8)
        .map(|attempts| policy.backoff(attempts).as_secs())
        .collect();
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    let mut row = assigned("A", "t1", -61, None);
    row.assignment.attempts = 3;
    insta::assert_snapshot!(planned(&policy, &[channel("A")], &[row], &[]), @"wait with A/1 until 2027-01-15T08:00:19Z");
}

#[test]
fn a_healthy_recorder_that_dies_is_replaced_at_once() {
    let mut row = assigned("A", "t1", -61, Some(-1));
    row.assignment.attempts = 5;
    row.heartbeat.last_segment_at = Some(at(-2));
    insta::assert_snapshot!(planned(&packed(1), &[channel("A")], &[row], &[]), @"start Copy for A/1 generation 4 (TaskGone)");
}

#[test]
fn the_same_decision_names_the_same_launch_and_another_one_another() {
    let token = |rows: &[ChannelRow], assignments: &[AssignmentRow]| match planned(
        &packed(2),
        rows,
        assignments,
        &[],
    )
    .actions
    .as_slice()
    {
        [Action::Start { launch, .. }] => launch.token.clone(),
        other => panic!("expected one start, got {other:?}"),
    };
    let first = token(&[channel("A")], &[]);
    assert_eq!(first, token(&[channel("A")], &[]));
    let came_back = ChannelRow {
        wanted_since: at(-1),
        ..channel("A")
    };
    let others = [
        token(&[channel("B")], &[]),
        token(&[channel("A"), channel("B")], &[]),
        token(&[channel("A")], &[assigned("A", "gone", -600, Some(-60))]),
        token(&[came_back], &[]),
    ];
    let distinct: BTreeSet<_> = others.iter().chain([&first]).collect();
    assert_eq!(distinct.len(), 5);
    assert!(distinct.iter().all(|token| token.len() <= 64 && token.is_ascii()));
}

type World = (Vec<ChannelRow>, Vec<AssignmentRow>, Vec<LiveTask>);

fn worlds() -> impl Strategy<Value = World> {
    let rows = prop::collection::btree_set("[A-J]", 0..10);
    let assignments = prop::collection::btree_map(
        "[A-J]",
        ("t[1-5]", -900_i64..0, prop::option::of(-300_i64..0)),
        0..10,
    );
    let tasks = prop::collection::btree_map("t[1-5]", -900_i64..0, 0..5);
    (rows, assignments, tasks).prop_map(|(rows, assignments, tasks)| {
        let assignments = assignments.iter().map(|(device, (task, started, reported))| {
            assigned(device, task, *started, reported.map(|at| at.max(*started)))
        });
        let tasks = tasks.iter().map(|(arn, started)| live(arn, *started)).collect();
        (
            rows.iter().map(|device| channel(device)).collect(),
            assignments.collect(),
            tasks,
        )
    })
}

proptest! {
    #[test]
    fn never_stops_the_only_healthy_recorder((rows, assignments, tasks) in worlds(), per_task in 1_usize..4) {
        for action in planned(&packed(per_task), &rows, &assignments, &tasks).actions {
            let Action::Stop { task, .. } = action else { continue };
            for row in assignments.iter().filter(|row| row.assignment.task.as_ref() == Some(&task)) {
                let wanted = rows.iter().any(|channel| channel.key == row.assignment.key);
                let fresh = row.heartbeat.heartbeat_at.is_some_and(|at_| at(0).duration_since(at_) < DispatchPolicy::default().heartbeat_stale);
                prop_assert!(!(wanted && fresh), "stopped {task} of {}", row.assignment.key);
            }
        }
    }

    #[test]
    fn never_packs_more_than_allowed_nor_places_a_channel_twice((rows, assignments, tasks) in worlds(), per_task in 1_usize..4) {
        let mut placed = BTreeSet::new();
        let mut load: BTreeMap<TaskArn, usize> = BTreeMap::new();
        let plan = planned(&packed(per_task), &rows, &assignments, &tasks);
        for action in &plan.actions {
            let (Action::Adopt { placements, .. } | Action::Start { placements, .. }) = action else { continue };
            prop_assert!(placements.len() <= per_task);
            for placement in placements {
                prop_assert!(placed.insert(placement.assignment.key.clone()), "{plan}");
            }
            if let Action::Adopt { task, placements } = action {
                load.insert(task.clone(), placements.len());
            }
        }
        for row in &assignments {
            let (Some(task), key) = (&row.assignment.task, &row.assignment.key) else { continue };
            let stays = rows.iter().any(|channel| channel.key == *key) && !placed.contains(key) && !plan.waiting.contains_key(key);
            if stays && load.contains_key(task) {
                *load.entry(task.clone()).or_default() += 1;
                prop_assert!(load[task] <= per_task, "{plan}");
            }
        }
    }

    #[test]
    fn every_wanted_channel_is_kept_placed_or_waits_for_a_stated_time((rows, assignments, tasks) in worlds()) {
        let plan = planned(&packed(1), &rows, &assignments, &tasks);
        let placed: BTreeSet<_> = plan
            .actions
            .iter()
            .flat_map(|action| match action {
                Action::Adopt { placements, .. } | Action::Start { placements, .. } => placements.as_slice(),
                Action::Forget { .. } | Action::Update(_) | Action::Stop { .. } => &[],
            })
            .map(|placement| &placement.assignment.key)
            .collect();
        for row in &rows {
            let kept = assignments.iter().any(|kept| {
                kept.assignment.key == row.key && !placed.contains(&row.key) && !plan.waiting.contains_key(&row.key)
            });
            prop_assert!(kept || placed.contains(&row.key) || plan.waiting.contains_key(&row.key));
        }
    }
}

struct Fixture {
    weather: Weather,
    tables: FakeTables,
    tasks: FakeTasks,
    alerts: FakeAlerts,
}

fn fixture(devices: &[&str]) -> Fixture {
    let weather = Weather::calm();
    let fixture = Fixture {
        tables: FakeTables::new(weather.clone()),
        tasks: FakeTasks::new(weather.clone()),
        alerts: FakeAlerts::new(weather.clone()),
        weather,
    };
    for device in devices {
        assert_eq!(
            block_on(fixture.tables.put_channel(&channel(device), None)).unwrap(),
            Put::Written
        );
    }
    fixture
}

impl Fixture {
    fn dispatch(&self, second: i64) -> domain::dispatch::Report {
        self.tasks.set_now(at(second));
        block_on(dispatch(
            &DispatchPolicy::default(),
            &self.tables,
            &self.tasks,
            &self.alerts,
            at(second),
        ))
    }
}

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

/// Dispatches in rounds as an invocation with this deadline does; the time it took is in the second it returns.
fn invocation(world: &Fixture, begin: i64, deadline: i64) -> i64 {
    let mut second = begin;
    for round in 1.. {
        let report = world.dispatch(second);
        assert!(report.started <= DispatchPolicy::default().launches_max);
        // A round of a hundred starts takes about five seconds at AWS's pace.
        second += 5;
        beat_all(world, second);
        let Some(wait) = again(&report, round, at(second), at(deadline)) else {
            break;
        };
        second += wait.as_secs();
    }
    second
}

fn beat_all(world: &Fixture, second: i64) {
    for row in world.tables.assignments() {
        let Assignment {
            key,
            task: Some(task),
            generation,
            ..
        } = row.assignment
        else {
            continue;
        };
        let beat = Heartbeat {
            heartbeat_at: Some(at(second)),
            ..Heartbeat::default()
        };
        _ = block_on(world.tables.heartbeat(&key, &task, generation, &beat)).unwrap();
    }
}

fn thousand() -> Fixture {
    let devices: Vec<String> = (0..1000).map(|n| format!("D{n:04}")).collect();
    fixture(&devices.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_thousand_channels_are_started_in_one_invocation_that_has_the_time() {
    let world = thousand();
    let end = invocation(&world, 0, 300);
    assert!(end < 300, "ended at {end}");
    assert_eq!(
        (world.tasks.started(), world.tables.assignments().len()),
        (1000, 1000)
    );
}

#[test]
fn a_thousand_channels_are_started_over_short_invocations_without_losing_one() {
    let world = thousand();
    let mut invocations = 0;
    while world.tasks.truth().len() < 1000 {
        let begin = invocations * 60;
        assert!(invocation(&world, begin, begin + 45) <= begin + 45);
        invocations += 1;
        assert!(invocations < 10, "not all started");
    }
    assert!(invocations > 1);
    assert_eq!(
        (world.tasks.started(), world.tables.assignments().len()),
        (1000, 1000)
    );
}

#[test]
fn a_thousand_launches_in_bad_weather_and_two_dispatchers_at_once_leave_no_channel_and_no_task_over() {
    let world = thousand();
    for second in (0..1200).step_by(10) {
        block_on(async {
            let now = at(second);
            world.tasks.set_now(now);
            let policy = DispatchPolicy::default();
            let run = || dispatch(&policy, &world.tables, &world.tasks, &world.alerts, now);
            world.weather.set_trouble(5);
            futures::join!(run(), run());
            world.weather.set_trouble(0);
        });
        beat_all(&world, second);
    }
    for second in (1200..1600).step_by(20) {
        beat_all(&world, second);
        world.dispatch(second);
    }
    let assignments = world.tables.assignments();
    let tasks = assignments.iter().filter_map(|row| row.assignment.task.clone());
    // Two dispatchers may have adopted one orphan for two channels: a task too full, never a channel without one.
    let assigned: BTreeSet<_> = tasks.collect();
    assert!(assignments.len() == 1000 && assignments.iter().all(|row| row.assignment.task.is_some()));
    let live: BTreeSet<_> = world.tasks.truth().into_iter().map(|task| task.arn).collect();
    assert_eq!(live, assigned);
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
