//! The dispatcher's promises: named scenarios as snapshots, properties of the planner, and the loop over fakes.
#![allow(clippy::unwrap_used)]

mod examples;
mod handover;
mod mended;
mod moves;
mod properties;
mod repack;
mod rounds;
mod thousand;

use domain::channel::ChannelRow;
use domain::dispatch::{DispatchPolicy, Left, Observed, Plan, dispatch, plan};
use domain::fakes::{FakeAlerts, FakeTables, FakeTasks, Weather, rows};
use domain::ports::{ChannelsTable, Put, TasksTable};
use domain::task::{Assignment, AssignmentRow, Heartbeat, LiveTask, TaskKind};
use domain::{ChannelKey, Generation, TaskArn};
use futures::executor::block_on;
use jiff::Timestamp;
use std::collections::BTreeMap;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn channel(device: &str) -> ChannelRow {
    rows::channel(ChannelKey::new(device, "1"), at(-9000))
}

/// An assignment that began at `started` and whose recorder last reported at `reported`.
fn assigned(device: &str, task: &str, started: i64, reported: Option<i64>) -> AssignmentRow {
    let assignment = Assignment {
        generation: Generation(3),
        ..rows::assignment(channel(device).key, task, at(started))
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
        outdated: false,
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

/// Nothing is done, and this is why.
fn leaves(why: Left, times: usize) -> Plan {
    Plan {
        left: BTreeMap::from([(why, times)]),
        ..Plan::default()
    }
}

fn packed(channels_per_task: usize) -> DispatchPolicy {
    DispatchPolicy {
        channels_per_task,
        transforms_per_task: channels_per_task,
        ..DispatchPolicy::default()
    }
}

struct Fixture {
    weather: Weather,
    tables: FakeTables,
    tasks: FakeTasks,
    alerts: FakeAlerts,
}

fn fixture(devices: &[&str]) -> Fixture {
    fixture_in(&Weather::calm(), devices)
}

fn fixture_in(weather: &Weather, devices: &[&str]) -> Fixture {
    let fixture = Fixture {
        tables: FakeTables::new(weather.clone()),
        tasks: FakeTasks::new(weather.clone()),
        alerts: FakeAlerts::new(weather.clone()),
        weather: weather.clone(),
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
            &packed(1),
            &self.tables,
            &self.tasks,
            &self.alerts,
            at(second),
        ))
    }
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
