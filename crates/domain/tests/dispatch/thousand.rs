//! A thousand channels at once.

use super::{Fixture, at, beat_all, fixture, packed};
use domain::dispatch::{DispatchPolicy, again, dispatch};
use futures::executor::block_on;
use std::collections::BTreeSet;

/// Dispatches in rounds as an invocation with this deadline does; the time it took is in the second it returns.
fn invocation(world: &Fixture, begin: i64, deadline: i64) -> i64 {
    let mut second = begin;
    for round in 1.. {
        let report = world.dispatch(second);
        assert!(report.started <= DispatchPolicy::default().launches_max);
        // A round of a hundred starts takes about five seconds at AWS's pace.
        second += 5;
        beat_all(world, second);
        let Some(next) = again(&report, round, at(second), at(deadline)) else {
            break;
        };
        second += next.after.as_secs();
    }
    second
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
            let policy = packed(1);
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
