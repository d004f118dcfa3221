//! The keep loop's promises: what goes and what stays, runs that are cut short, and a storm.
#![allow(clippy::unwrap_used)]

#[path = "../storm/drive.rs"]
mod drive;
#[path = "../storm/seeds.rs"]
mod seeds;

mod branches;
mod rules;
mod runs;
mod storm;
mod truth;

use domain::fakes::{FakeAlerts, FakeArchive, FakeTables, Weather, rows};
use domain::keep::{KeepPolicy, Mode, Report, keep};
use domain::ports::EpisodesTable;
use domain::{ChannelKey, Episode, Generation, ObjectKey, RecordingSettings, SegmentKey};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};

const DAY: i64 = 24 * 60 * 60;
const RETENTION_DAYS: u32 = 3;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn channel(number: u64) -> ChannelKey {
    ChannelKey::new("CAM", number.to_string().as_str())
}

fn segment(channel: &ChannelKey, start_ms: i64, length_ms: i64) -> ObjectKey {
    let start = Timestamp::from_millisecond(start_ms).unwrap();
    SegmentKey::new(
        channel.clone(),
        start,
        SignedDuration::from_millis(length_ms),
        Generation(1),
    )
    .object_key()
}

fn episode(channel: &ChannelKey, start: i64, end: Option<i64>) -> Episode {
    rows::episode(channel.clone(), at(start), end.map(at))
}

fn policy(retention_days: u32) -> KeepPolicy {
    KeepPolicy {
        settings: RecordingSettings {
            retention_days,
            ..RecordingSettings::default()
        },
        ..KeepPolicy::default()
    }
}

/// Ports, and a clock that tests set.
struct World {
    weather: Weather,
    archive: FakeArchive,
    tables: FakeTables,
    alerts: FakeAlerts,
    clock: AtomicI64,
}

impl World {
    fn new(seed: u64, now: i64) -> Self {
        let weather = Weather::seeded(seed);
        Self {
            archive: FakeArchive::new(weather.clone()),
            tables: FakeTables::new(weather.clone()),
            alerts: FakeAlerts::new(weather.clone()),
            weather,
            clock: AtomicI64::new(now),
        }
    }

    fn now(&self) -> Timestamp {
        at(self.clock.load(Ordering::Relaxed))
    }

    fn keep(&self, policy: &KeepPolicy, mode: Mode) -> Report {
        block_on(keep(
            policy,
            &self.archive,
            &self.tables,
            &self.alerts,
            || self.now(),
            mode,
        ))
    }

    /// A run after one that has seen this clock.
    fn keep_twice(&self, policy: &KeepPolicy) -> Report {
        let first = self.keep(policy, Mode::Delete);
        assert!(first.held.is_some(), "{first:?}");
        self.keep(policy, Mode::Delete)
    }

    fn put(&self, row: &Episode) {
        assert_eq!(
            block_on(self.tables.put_episode(row, None)).unwrap(),
            domain::ports::Put::Written
        );
    }
}
