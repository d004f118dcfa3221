//! How calls and computing grow with the fleet: poll and dispatch over the fakes, N, 2N, 4N…
//!
//! A gateway's list is one call here; over HTTP it is one request for each 100 devices.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use domain::dispatch::{DispatchPolicy, dispatch};
use domain::fakes::{FakeAlerts, FakeGateway, FakeTables, FakeTasks, Weather};
use domain::poll::{PollPolicy, poll};
use domain::ports::{Put, TasksTable};
use domain::{ChannelKey, Device, DeviceIndex, DeviceKind, DeviceStatus, Heartbeat};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use std::fs::read_to_string;

const FLEETS: [u32; 6] = [100, 1_000, 1_250, 2_500, 5_000, 10_000];
/// A quiet round's cost is the mean of so many, as the kernel counts a thread's time in steps of some milliseconds ...
const REPEATED: u32 = 50;
/// ... and of so many means the least and the most are printed.
const SERIES: usize = 3;
/// A fleet is started in rounds of a hundred launches, so long apart.
const PAUSE: SignedDuration = SignedDuration::from_secs(2);
/// Recorders report every so many rounds.
const ROUNDS_A_REPORT: u32 = 30;

struct Fleet {
    weather: Weather,
    gateway: FakeGateway,
    tables: FakeTables,
    tasks: FakeTasks,
    alerts: FakeAlerts,
    now: Timestamp,
}

/// What something cost.
struct Cost {
    calls: u64,
    /// On the processor, in milliseconds.
    cpu_ms: f64,
}

impl Fleet {
    fn new(devices: u32) -> Self {
        let weather = Weather::calm();
        let gateway = FakeGateway::new(weather.clone());
        for number in 0..devices {
            let device = Device {
                index: DeviceIndex::new(format!("D{number:06}")),
                name: format!("camera {number}"),
                kind: DeviceKind::Encoder,
                status: DeviceStatus::Online,
                video_channels: 1,
            };
            gateway.set(device, &["1"]);
        }
        Self {
            gateway,
            tables: FakeTables::new(weather.clone()),
            tasks: FakeTasks::new(weather.clone()),
            alerts: FakeAlerts::new(weather.clone()),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            weather,
        }
    }

    fn measure(&self, act: impl FnOnce()) -> Cost {
        let (calls, cpu_ms) = (self.weather.calls(), cpu_ms());
        act();
        Cost {
            calls: self.weather.calls() - calls,
            cpu_ms: self::cpu_ms() - cpu_ms,
        }
    }

    fn poll(&self, policy: &PollPolicy) {
        let report = block_on(poll(policy, &self.gateway, &self.tables, &self.alerts, self.now));
        assert_eq!((report.failure, report.writes_failed.len()), (None, 0));
    }

    /// Dispatches, and lets every recorder report; how many recorders were started.
    fn dispatch(&self) -> usize {
        self.tasks.set_now(self.now);
        let policy = DispatchPolicy {
            channels_per_task: 1,
            ..DispatchPolicy::default()
        };
        let report = block_on(dispatch(
            &policy,
            &self.tables,
            &self.tasks,
            &self.alerts,
            self.now,
        ));
        assert_eq!((report.failure, report.failed.len()), (None, 0));
        report.started
    }

    fn report(&self, key: &ChannelKey) {
        let Some(row) = block_on(self.tables.assignment(key)).unwrap() else {
            return;
        };
        let heartbeat = Heartbeat {
            heartbeat_at: Some(self.now),
            ..row.heartbeat
        };
        let task = row.assignment.task.expect("every start succeeded");
        let beat = self
            .tables
            .heartbeat(key, &task, row.assignment.generation, &heartbeat);
        assert_eq!(block_on(beat).unwrap(), Put::Written);
    }

    /// Dispatches until every channel has a recorder and every recorder has reported.
    fn start_all(&mut self) -> Cost {
        let mut cost = Cost {
            calls: 0,
            cpu_ms: 0.0,
        };
        for round in 0_u32.. {
            let mut started = 0;
            let round_cost = self.measure(|| started = self.dispatch());
            cost.calls += round_cost.calls;
            cost.cpu_ms += round_cost.cpu_ms;
            if round % ROUNDS_A_REPORT == 0 || started == 0 {
                self.tables
                    .channels()
                    .iter()
                    .for_each(|row| self.report(&row.key));
            }
            if started == 0 {
                break;
            }
            self.now += PAUSE;
        }
        cost
    }

    /// What a round costs in a world in which nothing happens, the cheapest series first.
    fn quiet(&self, round: impl Fn()) -> [Cost; SERIES] {
        let mut series = [(); SERIES].map(|()| {
            let total = self.measure(|| (0..REPEATED).for_each(|_| round()));
            Cost {
                calls: total.calls / u64::from(REPEATED),
                cpu_ms: total.cpu_ms / f64::from(REPEATED),
            }
        });
        series.sort_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms));
        series
    }
}

/// The time this thread has been on a processor (`/proc/<pid>/schedstat`, the first number, in nanoseconds).
fn cpu_ms() -> f64 {
    let stat = read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: u64 = stat.split(' ').next().unwrap().parse().unwrap();
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64() * 1_000.0
}

const HEADINGS: [&str; 10] = [
    "devices",
    "poll: calls",
    "CPU ms",
    "µs a device",
    "dispatch: calls",
    "CPU ms",
    "µs a channel",
    "start all: calls a channel",
    "CPU ms",
    "rounds",
];

fn main() {
    println!("| {} |", HEADINGS.join(" | "));
    println!("|{}", " --- |".repeat(HEADINGS.len()));
    for devices in FLEETS {
        row(devices);
    }
}

/// Finds all devices at once, starts a recorder for each, and then looks twice at a world in which nothing happens.
fn row(devices: u32) {
    let mut fleet = Fleet::new(devices);
    let at_once = PollPolicy {
        lookups_max: usize::MAX,
        ..PollPolicy::default()
    };
    fleet.poll(&at_once);
    let started = fleet.start_all();
    let policy = PollPolicy::default();
    let polled = fleet.quiet(|| fleet.poll(&policy));
    let dispatched = fleet.quiet(|| assert_eq!(fleet.dispatch(), 0));
    let each = f64::from(devices);
    println!(
        "| {devices} | {} | {} | {:.2} | {:.0} | {} |",
        quiet(&polled, each),
        quiet(&dispatched, each),
        f64::from(u32::try_from(started.calls).unwrap()) / each,
        started.cpu_ms,
        rounds(devices),
    );
}

fn quiet([least, middle, most]: &[Cost; SERIES], each: f64) -> String {
    let microseconds = |cost: &Cost| cost.cpu_ms * 1_000.0 / each;
    format!(
        "{} | {:.2} | {:.2} to {:.2}",
        middle.calls,
        middle.cpu_ms,
        microseconds(least),
        microseconds(most)
    )
}

fn rounds(devices: u32) -> usize {
    usize::try_from(devices)
        .unwrap()
        .div_ceil(DispatchPolicy::default().launches_max)
}
