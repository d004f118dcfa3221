//! What the storm found, held for good.

use super::{Fixture, at, beat_all, fixture, fixture_in, packed};
use domain::dispatch::dispatch;
use domain::fakes::Weather;
use domain::ports::{Put, Tasks, TasksTable};
use domain::{Heartbeat, Launch, Severity, TaskArn, TaskKind};
use futures::executor::block_on;
use std::pin::pin;
use std::task::{Context, Waker};

fn reports(world: &Fixture, second: i64, beat: &Heartbeat) {
    for row in world.tables.assignments() {
        let assignment = row.assignment;
        let task = assignment.task.expect("it was started");
        let put = block_on(
            world
                .tables
                .heartbeat(&assignment.key, &task, assignment.generation, beat),
        );
        assert_eq!(put.unwrap(), Put::Written, "at {second}");
    }
}

#[test]
fn recorders_that_failed_again_and_again_are_told_to_be_well_once_one_records() {
    let world = fixture(&["A"]);
    let mut second = 0;
    while world.alerts.told().is_empty() {
        world.dispatch(second);
        world
            .tasks
            .truth()
            .iter()
            .for_each(|task| world.tasks.end(&task.arn));
        second += 61;
        assert!(second < 10_000, "nobody is told");
    }
    assert_eq!(world.alerts.told()[0].subject, "recorders fail");
    while world.tasks.truth().is_empty() {
        second += 61;
        world.dispatch(second);
    }
    let recording = Heartbeat {
        heartbeat_at: Some(at(second + 40)),
        last_segment_at: Some(at(second + 30)),
        last_error: None,
        ..Heartbeat::default()
    };
    reports(&world, second, &recording);
    world.dispatch(second + 40);
    let last = world.alerts.told().pop().unwrap();
    assert_eq!(
        (last.severity, last.subject.as_str()),
        (Severity::Resolved, "recorders fail")
    );
}

/// One dispatcher has seen an idle recorder; then another gives it a channel, which an index that lags does not show.
#[test]
fn a_recorder_that_was_just_given_a_channel_is_not_stopped_for_an_index_that_lags() {
    for seed in 0..50 {
        // After seven turns it has had its last look: what happens between that and the stop nobody can know.
        for turns in 0..=7 {
            let weather = Weather::seeded(seed);
            let world = fixture_in(&weather, &["A"]);
            world.dispatch(0);
            let spare = block_on(world.tasks.start_task(&by_hand())).unwrap();
            beat_all(&world, 110);
            world.tasks.set_now(at(120));
            let policy = packed(1);
            let mut run = pin!(dispatch(
                &policy,
                &world.tables,
                &world.tasks,
                &world.alerts,
                at(120)
            ));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..turns {
                assert!(run.as_mut().poll(&mut context).is_pending());
            }
            give(&world, &spare);
            weather.set_trouble(40);
            while run.as_mut().poll(&mut context).is_pending() {}
            assert!(is_running(&world, &spare), "seed {seed}, {turns} turns");
        }
    }
}

fn by_hand() -> Launch {
    Launch {
        token: "by hand".into(),
        kind: TaskKind::Copy,
        channels: Vec::new(),
    }
}

fn give(world: &Fixture, task: &TaskArn) {
    let mut assignment = world.tables.assignments().remove(0).assignment;
    let expected = Some(assignment.generation);
    assignment.generation = assignment.generation.next();
    assignment.task = Some(task.clone());
    let put = block_on(world.tables.calm().put_assignment(&assignment, expected));
    assert_eq!(put.unwrap(), Put::Written);
}

fn is_running(world: &Fixture, task: &TaskArn) -> bool {
    world.tasks.truth().iter().any(|live| live.arn == *task)
}
