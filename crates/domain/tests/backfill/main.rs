//! The backfill's promises: what a round asks for and settles, workers beside each other, and a storm.
#![allow(clippy::unwrap_used)]

#[path = "../storm/seeds.rs"]
mod seeds;

mod branches;
mod holes;
mod lease;
mod properties;
mod rounds;
mod storm;
mod worker;

use domain::backfill::{BackfillPolicy, Fate, MEMORY, Memory, Ports, Report, backfill, survey};
use domain::fakes::{FakeAlerts, FakeArchive, FakeFetch, FakeFootage, FakeTables, Weather, rows};
use domain::ports::{ChannelsTable, ControlTable, Fetch, Footage, GapsTable, Put};
use domain::{ChannelKey, ChannelRow, Gap, GapCause, Generation, RecordingSettings, SegmentKey};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

const NOW: i64 = 100_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn channel(device: u64, number: u64) -> ChannelKey {
    ChannelKey::new(format!("NVR{device}").as_str(), number.to_string().as_str())
}

fn live(key: &ChannelKey, start: i64, end: i64) -> SegmentKey {
    live_between(key, at(start), at(end))
}

fn live_between(key: &ChannelKey, start: Timestamp, end: Timestamp) -> SegmentKey {
    SegmentKey::new(key.clone(), start, end.duration_since(start), Generation(1))
}

fn gap(key: &ChannelKey, start: i64, end: i64, cause: GapCause) -> Gap {
    Gap {
        key: key.clone(),
        start: at(start),
        end: Some(at(end)),
        cause,
    }
}

fn row(key: &ChannelKey, backfill: bool) -> ChannelRow {
    ChannelRow {
        settings: RecordingSettings {
            backfill,
            ..RecordingSettings::default()
        },
        ..rows::channel(key.clone(), at(0))
    }
}

struct World {
    weather: Weather,
    tables: FakeTables,
    archive: FakeArchive,
    footage: FakeFootage,
    alerts: FakeAlerts,
    clock: AtomicI64,
}

impl World {
    fn new(seed: u64) -> Self {
        let weather = Weather::seeded(seed);
        Self {
            tables: FakeTables::new(weather.clone()),
            archive: FakeArchive::new(weather.clone()),
            footage: FakeFootage::new(weather.clone()),
            alerts: FakeAlerts::new(weather.clone()),
            clock: AtomicI64::new(NOW),
            weather,
        }
    }

    /// One wanted channel that has a hole of twenty seconds.
    fn with_hole(cause: GapCause) -> (Self, ChannelKey) {
        let (world, key) = (Self::new(1), channel(1, 1));
        world.want(&key, true);
        world.lose(&key, 50_000, 50_020, cause);
        (world, key)
    }

    /// The same, and its device has recorded all of it and more.
    fn to_fill() -> (Self, ChannelKey) {
        let (world, key) = Self::with_hole(GapCause::Network);
        world.footage.record(&key, at(40_000)..at(60_000));
        (world, key)
    }

    fn now(&self) -> Timestamp {
        at(self.clock.load(Ordering::Relaxed))
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    fn worker(&self) -> FakeFetch {
        FakeFetch::new(self.footage.clone(), self.archive.clone())
    }

    async fn round(&self, fetch: &FakeFetch, holder: &str) -> Report {
        let policy = BackfillPolicy::default();
        self.round_by(&policy, &self.footage, fetch, holder).await
    }

    async fn round_by<F: Footage, P: Fetch>(
        &self,
        policy: &BackfillPolicy,
        footage: &F,
        fetch: &P,
        holder: &str,
    ) -> Report {
        let ports = Ports {
            footage,
            fetch,
            archive: &self.archive,
            table: &self.tables,
            alerts: &self.alerts,
        };
        backfill(policy, &ports, holder, || self.now()).await
    }

    fn survey(&self) -> Report {
        let policy = BackfillPolicy::default();
        block_on(survey(&policy, &self.archive, &self.tables, self.now())).unwrap()
    }

    fn want(&self, key: &ChannelKey, on: bool) {
        assert_eq!(
            block_on(self.tables.put_channel(&row(key, on), None)).unwrap(),
            Put::Written
        );
    }

    /// Recorded from 0 until now but for one hole, whose row says why.
    fn lose(&self, key: &ChannelKey, start: i64, end: i64, cause: GapCause) {
        self.archive.place(live(key, 0, start).object_key(), b"live");
        self.archive.place(live(key, end, NOW).object_key(), b"live");
        block_on(self.tables.put_gap(&gap(key, start, end, cause))).unwrap();
    }

    fn segments(&self, key: &ChannelKey) -> Vec<SegmentKey> {
        let prefix = format!("{}/", key.prefix());
        let mut segments: Vec<SegmentKey> = self
            .archive
            .keys()
            .iter()
            .filter(|object| object.0.starts_with(&prefix))
            .map(|object| object.0.parse().unwrap())
            .collect();
        segments.sort_by_key(|segment| segment.start);
        segments
    }

    fn memory(&self) -> Memory {
        let item = block_on(self.tables.calm().get_control(MEMORY)).unwrap();
        item.map_or_else(Memory::default, |item| {
            serde_json::from_value(item.value).unwrap()
        })
    }

    /// No moment of a channel is there twice.
    fn check(&self, key: &ChannelKey) {
        for pair in self.segments(key).windows(2) {
            assert!(
                pair[0].end() <= pair[1].start,
                "B1: {} and {} overlap",
                pair[0],
                pair[1]
            );
        }
        assert!(
            self.footage.most_at_once() <= 1,
            "B2: two playbacks of one device"
        );
        for settled in self.memory().settled(key) {
            let is_there = self.footage.has_any(key, &(settled.start..settled.end));
            assert!(
                settled.fate != Fate::NotOnDevice || !is_there,
                "B3: {key}: {settled:?} is on the device"
            );
        }
    }
}

/// What the device has of the hole is there, but for the pictures before the first key frame where nothing is recorded
/// just before.
fn check_filled(world: &World, key: &ChannelKey) {
    let segments = world.segments(key);
    check_filled_between(world, key, segments[0].end()..segments.last().unwrap().start);
}

fn check_filled_between(world: &World, key: &ChannelKey, hole: Range<Timestamp>) {
    let segments = world.segments(key);
    let mut lost = SignedDuration::ZERO;
    let mut moment = hole.start;
    let step = SignedDuration::from_millis(500);
    while moment < hole.end {
        let there = segments.iter().any(|s| s.start <= moment && moment < s.end());
        if world.footage.has(key, moment) && !there {
            lost += step;
        }
        moment += step;
    }
    assert!(
        lost <= SignedDuration::from_secs(4),
        "{key}: {lost:#} on the device is not in the archive"
    );
}
