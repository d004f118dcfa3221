//! The coverage of the last full hour, from the archive and the tables alone.
#![allow(clippy::unwrap_used)]

use domain::coverage::{HourPolicy, HourReport, last_full_hour, measure_hour};
use domain::fakes::{FakeAlerts, FakeArchive, FakeTables, Weather, rows};
use domain::ports::{ChannelsTable, GapsTable, Put};
use domain::{ChannelKey, Gap, GapCause, Generation, SegmentKey, Severity};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, Ordering};

const HOUR: i64 = 3600;
/// A full hour of the clock.
const MIDNIGHT: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(MIDNIGHT + second).unwrap()
}

fn key(device: &str) -> ChannelKey {
    ChannelKey::new(device, "1")
}

struct World {
    weather: Weather,
    tables: FakeTables,
    archive: FakeArchive,
    alerts: FakeAlerts,
}

impl World {
    fn new() -> Self {
        let weather = Weather::calm();
        Self {
            tables: FakeTables::new(weather.clone()),
            archive: FakeArchive::new(weather.clone()),
            alerts: FakeAlerts::new(weather.clone()),
            weather,
        }
    }

    fn want(&self, device: &str, since: i64, segment_seconds: u32) {
        let mut row = rows::channel(key(device), at(since));
        row.settings.segment_seconds = NonZeroU32::new(segment_seconds).unwrap();
        let put = block_on(self.tables.calm().put_channel(&row, None)).unwrap();
        assert_eq!(put, Put::Written);
    }

    fn record(&self, device: &str, from: i64, to: i64) {
        let length = SignedDuration::from_secs(to - from);
        let segment = SegmentKey::new(key(device), at(from), length, Generation(1));
        self.archive.place(segment.object_key(), b"x");
    }

    fn lose(&self, device: &str, from: i64, to: Option<i64>, cause: GapCause) {
        let gap = Gap {
            key: key(device),
            start: at(from),
            end: to.map(at),
            cause,
        };
        block_on(self.tables.calm().put_gap(&gap)).unwrap();
    }

    fn measure(&self, now: i64) -> HourReport {
        self.measure_with(&HourPolicy::default(), || at(now))
    }

    fn measure_with(&self, policy: &HourPolicy, clock: impl Fn() -> Timestamp + Send + Sync) -> HourReport {
        let measured = measure_hour(policy, &self.archive, &self.tables, &self.alerts, clock);
        block_on(measured)
    }
}

#[test]
fn the_fleets_percentage_is_of_wanted_time_and_its_alert_names_channels_and_cause() {
    let world = World::new();
    for device in ["A", "B", "C"] {
        world.want(device, -9 * HOUR, 30);
    }
    // Wanted for the last quarter of an hour only, and recorded for all of it.
    world.want("NEW", 45 * 60, 30);
    world.record("NEW", 45 * 60, HOUR);
    world.record("A", -30, HOUR + 20);
    world.record("B", 0, 1800);
    world.lose("B", 1800, None, GapCause::GatewayDown);
    world.record("C", 600, HOUR);
    // Nobody wanted what nobody wanted.
    world.lose("C", 0, Some(600), GapCause::NotWanted);

    let report = world.measure(HOUR + 20 * 60);
    assert_eq!((report.from, report.to), (at(0), at(HOUR)));
    let wanted = f64::from(3600 + 3600 + 3000 + 900);
    let percent = report.percent.unwrap();
    assert!(
        (percent - 100.0 * (wanted - 1800.0) / wanted).abs() < 1e-9,
        "{percent}"
    );
    let told = world.alerts.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].severity, Severity::Warning);
    insta::assert_snapshot!(told[0].text, @"of what was wanted from 2027-01-15T08:00:00Z to 2027-01-15T09:00:00Z only 83.78 % was recorded, the objective is 99.9 %. Most was lost to: gateway down, 1800 s. 1 of 4 channels are below it: B/1 50.0 % (gateway down, 1800 s)");

    // The next hour is well, and people hear that, too.
    for device in ["A", "B", "C", "NEW"] {
        world.record(device, HOUR, 2 * HOUR);
    }
    let well = world.measure(2 * HOUR + 20 * 60);
    assert_eq!((well.percent, well.below), (Some(100.0), 0));
    assert_eq!(world.alerts.told()[1].severity, Severity::Resolved);
}

#[test]
fn an_hour_is_measured_when_its_longest_segment_can_be_there() {
    let hour_at = |now| last_full_hour(at(now), SignedDuration::from_mins(10)).end;
    assert_eq!(hour_at(HOUR + 9 * 60), at(0));
    assert_eq!(hour_at(HOUR + 10 * 60), at(HOUR));

    let world = World::new();
    world.want("A", -9 * HOUR, 3600);
    // Segments of an hour that begin at half past; the last is not over when the hour is.
    world.record("A", -HOUR / 2, HOUR / 2);
    assert_eq!(world.measure(HOUR + 20 * 60).to, at(0));
    world.record("A", HOUR / 2, HOUR + HOUR / 2);
    assert_eq!(world.measure(2 * HOUR + 20 * 60).percent, Some(100.0));
}

#[test]
fn a_fleet_that_nobody_wants_has_no_percentage_and_alarms_nobody() {
    let world = World::new();
    world.want("LATER", 2 * HOUR, 30);
    let report = world.measure(HOUR + 20 * 60);
    assert_eq!((report.percent, report.channels.len()), (None, 0));
    assert_eq!(world.alerts.told(), []);
}

#[test]
fn what_cannot_be_read_is_told_and_never_taken_for_lost_video() {
    let world = World::new();
    world.want("A", -9 * HOUR, 30);
    world.record("A", 0, HOUR);
    world.weather.set_trouble(100);
    let blind = world.measure(HOUR + 20 * 60);
    assert!(blind.failure.is_some() && blind.percent.is_none(), "{blind:?}");
    world.weather.set_trouble(0);

    let ticks = AtomicI64::new(0);
    let slow = || at(HOUR + 20 * 60 + ticks.fetch_add(400, Ordering::Relaxed));
    let late = world.measure_with(&HourPolicy::default(), slow);
    assert_eq!(
        (late.percent, late.below, late.failed.len()),
        (None, 0, 1),
        "{late:?}"
    );
    assert_eq!(world.alerts.told(), [], "the first time may be a hiccup");
    let slow = || at(2 * HOUR + 20 * 60 + ticks.fetch_add(400, Ordering::Relaxed));
    world.measure_with(&HourPolicy::default(), slow);
    let told = world.alerts.told();
    assert_eq!(told.len(), 1);
    assert!(told[0].text.contains("lasted too long"), "{told:?}");
}

#[test]
fn a_measurement_makes_one_listing_and_one_query_a_channel() {
    for channels in [10_u64, 20, 40] {
        let world = World::new();
        for number in 0..channels {
            world.want(&format!("D{number:02}"), -9 * HOUR, 30);
            world.record(&format!("D{number:02}"), 0, HOUR);
        }
        let before = world.weather.calls();
        assert_eq!(world.measure(HOUR + 20 * 60).percent, Some(100.0));
        // The channels, and what people were told.
        assert_eq!(world.weather.calls() - before, 2 + 2 * channels);
        assert_eq!(
            world.tables.calm().writes(),
            channels,
            "a good hour writes nothing"
        );
    }
}

proptest! {
    #[test]
    fn the_percentage_is_the_truth_to_a_second(
        stretches in prop::collection::vec((1_i64..900, any::<bool>()), 1..20),
        since in -2 * HOUR..HOUR,
    ) {
        let world = World::new();
        world.want("A", since, 30);
        let mut second = since;
        let (mut recorded, mut lost) = (0, 0);
        for (length, is_recorded) in stretches.into_iter().cycle() {
            if second >= HOUR {
                break;
            }
            let end = (second + length).min(HOUR);
            let within = (end.max(0) - second.max(0)).max(0);
            if is_recorded {
                world.record("A", second, end);
                recorded += within;
            } else {
                world.lose("A", second, Some(end), GapCause::Network);
                lost += within;
            }
            second = end;
        }
        let report = world.measure(HOUR + 20 * 60);
        let off = |told: SignedDuration, true_seconds: i64| (told.as_secs_f64() - true_seconds as f64).abs();
        prop_assert!(off(report.totals.recorded, recorded) <= 1.0, "{report:?}");
        prop_assert!(off(report.totals.wanted(), recorded + lost) <= 1.0, "{report:?}");
    }
}
