//! The backfill in bad weather: answers that are throttled and lost, playbacks that break off, two workers, crashes
//! between any two calls, an archive that did not take what was fetched.
#![allow(clippy::unwrap_used)]

mod storm {
    pub(crate) mod seeds;
}

use domain::backfill::{
    BackfillPolicy, Fate, Known, MEMORY, Memory, Ports, Report, admits, backfill, cut_off, is_fillable,
    missing, survey,
};
use domain::fakes::{FakeAlerts, FakeArchive, FakeFetch, FakeFootage, FakeTables, Random, Weather, rows};
use domain::ports::{ChannelsTable, ControlTable, Fetch, GapsTable, Put};
use domain::{ChannelKey, ChannelRow, Gap, GapCause, Generation, OfflineHint, RecordingSettings, SegmentKey};
use futures::executor::block_on;
use futures::task::noop_waker;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use storm::seeds::{Outcome, Storm};

const NOW: i64 = 100_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn channel(device: u64, number: u64) -> ChannelKey {
    ChannelKey::new(format!("NVR{device}").as_str(), number.to_string().as_str())
}

fn live(key: &ChannelKey, start: i64, end: i64) -> SegmentKey {
    SegmentKey::new(
        key.clone(),
        at(start),
        SignedDuration::from_secs(end - start),
        Generation(1),
    )
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
        let ports = Ports {
            footage: &self.footage,
            fetch,
            archive: &self.archive,
            table: &self.tables,
            alerts: &self.alerts,
        };
        backfill(&BackfillPolicy::default(), &ports, holder, || self.now()).await
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
        let mut segments: Vec<SegmentKey> = self
            .archive
            .keys()
            .iter()
            .map(|object| object.0.parse::<SegmentKey>().unwrap())
            .filter(|segment| segment.channel == *key)
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
                "{} and {} overlap",
                pair[0],
                pair[1]
            );
        }
        assert!(self.footage.most_at_once() <= 1, "two playbacks of one device");
        for settled in self.memory().settled(key) {
            if settled.fate == Fate::NotOnDevice {
                let mut moment = settled.start;
                while moment < settled.end {
                    assert!(
                        !self.footage.has(key, moment),
                        "{key}: {settled:?} is on the device"
                    );
                    moment += SignedDuration::from_millis(500);
                }
            }
        }
    }
}

#[test]
fn a_hole_is_filled_once_and_then_nobody_asks_again() {
    let (world, key) = World::to_fill();
    let fetch = world.worker();
    let report = block_on(world.round(&fetch, "a"));
    assert_eq!(
        (report.channels, report.playbacks, report.stored),
        (1, 1, 1),
        "{report:?}"
    );
    assert!(report.filled >= SignedDuration::from_secs(19), "{report:?}");
    world.check(&key);

    let (asked, writes) = (world.footage.asked(), world.tables.writes());
    let quiet = block_on(world.round(&fetch, "a"));
    assert!(quiet.pieces.is_empty() && !quiet.has_more(), "{quiet:?}");
    assert_eq!((world.footage.asked(), world.tables.writes()), (asked, writes));
}

#[test]
fn channels_that_did_not_ask_for_it_are_left_alone() {
    let world = World::new(1);
    let key = channel(1, 1);
    world.want(&key, false);
    world.lose(&key, 50_000, 50_020, GapCause::Network);
    world.footage.record(&key, at(0)..at(NOW));
    let report = block_on(world.round(&world.worker(), "a"));
    assert_eq!(report, Report::default());
}

#[test]
fn a_survey_says_what_would_be_asked_for_and_asks_nothing() {
    let (world, _) = World::with_hole(GapCause::Network);
    let writes = world.tables.writes();
    let report = world.survey();
    assert_eq!(report.missing, SignedDuration::from_secs(20));
    assert_eq!(report.pieces.len(), 1);
    assert_eq!((world.footage.asked(), world.tables.writes()), (0, writes));
}

#[test]
fn what_the_device_never_had_is_settled_for_good() {
    let (world, key) = World::with_hole(GapCause::GatewayDown);
    let report = block_on(world.round(&world.worker(), "a"));
    assert_eq!(report.not_on_device, SignedDuration::from_secs(20), "{report:?}");
    assert_eq!(world.memory().settled(&key)[0].fate, Fate::NotOnDevice);
    world.pass(1_000);
    assert!(block_on(world.round(&world.worker(), "a")).pieces.is_empty());
}

#[test]
fn a_device_that_fails_is_left_alone_longer_each_time_and_people_are_told() {
    let (world, key) = World::with_hole(GapCause::Network);
    let fetch = world.worker();
    let mut tries = Vec::new();
    for minute in 0..200 {
        // Only the device fails.
        if !world.survey().pieces.is_empty() {
            tries.push(minute);
            let failing = Failing(&world.footage);
            let ports = Ports {
                footage: &failing,
                fetch: &fetch,
                archive: &world.archive,
                table: &world.tables,
                alerts: &world.alerts,
            };
            let policy = BackfillPolicy::default();
            let report = block_on(backfill(&policy, &ports, "a", || world.now()));
            assert_eq!(report.failed.len(), 1, "{report:?}");
        }
        world.pass(60);
    }
    assert_eq!(tries, [0, 1, 3, 7, 15, 31, 63, 127]);
    assert_eq!(world.alerts.told().len(), 1, "{:?}", world.alerts.told());
    assert_eq!(world.memory().settled(&key), [], "a failed look settles nothing");
}

#[test]
fn a_device_that_has_no_time_is_asked_again_and_gives_everything_later() {
    let (world, key) = World::to_fill();
    let fetch = world.worker();
    world.footage.set_busy(true);
    for _ in 0..2 {
        let report = block_on(world.round(&fetch, "a"));
        assert_eq!((report.playbacks, report.failed.len()), (1, 1), "{report:?}");
        world.pass(10 * 60);
    }
    assert_eq!(world.memory().settled(&key), []);
    world.footage.set_busy(false);
    block_on(world.round(&fetch, "a"));
    check_filled(&world, &key);
}

#[test]
fn a_device_that_never_gives_what_it_says_it_has_does_not_hold_up_its_other_holes_for_ever() {
    let world = World::new(1);
    let (first, second) = (channel(1, 1), channel(1, 2));
    for (key, start) in [(&first, 50_000), (&second, 60_000)] {
        world.want(key, true);
        world.lose(key, start, start + 20, GapCause::Network);
        world.footage.record(key, at(start - 1_000)..at(start + 1_000));
    }
    let fetch = world.worker();
    world.footage.set_busy(true);
    let mut tries = 0;
    while world.memory().settled(&first).is_empty() {
        tries += block_on(world.round(&fetch, "a")).playbacks;
        world.pass(60);
    }
    assert_eq!(tries, 6);
    assert_eq!(world.memory().settled(&first)[0].fate, Fate::Fetched);
    world.footage.set_busy(false);
    block_on(world.round(&fetch, "a"));
    check_filled(&world, &second);
}

struct Failing<'a>(&'a FakeFootage);

impl domain::ports::Footage for Failing<'_> {
    async fn find_footage(
        &self,
        key: &ChannelKey,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<std::ops::Range<Timestamp>>, domain::ports::PortError> {
        assert!(!self.0.has(key, at(0)), "the test gives the device nothing");
        Err(domain::ports::PortError::throttled("searching", "busy"))
    }

    async fn playback_url(
        &self,
        _: &ChannelKey,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Option<String>, domain::ports::PortError> {
        unreachable!("a failed search is not followed by a playback")
    }
}

#[test]
fn while_another_worker_has_the_lease_nothing_is_fetched() {
    let (world, key) = World::to_fill();
    crash_in_the_middle(&world);
    let held = block_on(world.round(&world.worker(), "b"));
    assert!(held.held.is_some(), "{held:?}");
    world.pass(BackfillPolicy::default().lease.as_secs());
    let report = block_on(world.round(&world.worker(), "b"));
    assert_eq!(report.stored, 1, "{report:?}");
    world.check(&key);
}

#[test]
fn a_worker_that_was_told_to_end_holds_others_up_no_longer_than_its_last_store_may_take() {
    let (world, key) = World::to_fill();
    let policy = BackfillPolicy::default();
    crash_in_the_middle(&world);
    for (holder, waits) in [
        ("b", policy.lease.as_secs()),
        ("a", policy.lease_reserve.as_secs()),
    ] {
        let before = world.now();
        block_on(cut_off(&policy, &world.tables, holder, before)).unwrap();
        let held = block_on(world.round(&world.worker(), "b")).held.unwrap();
        assert!(
            held.contains(&(before + SignedDuration::from_secs(waits)).to_string()),
            "{held}"
        );
    }
    world.pass(policy.lease_reserve.as_secs());
    let report = block_on(world.round(&world.worker(), "b"));
    assert_eq!(report.stored, 1, "{report:?}");
    world.check(&key);
}

/// A worker `a` that dies after it has taken the lease.
fn crash_in_the_middle(world: &World) {
    let fetch = world.worker();
    let mut round = pin!(world.round(&fetch, "a"));
    let mut context = Context::from_waker(std::task::Waker::noop());
    let asked = world.footage.asked();
    while world.footage.asked() == asked {
        assert_eq!(round.as_mut().poll(&mut context), Poll::Pending);
    }
}

#[test]
fn a_long_hole_is_filled_piece_by_piece_without_a_seam() {
    let world = World::new(3);
    let key = channel(1, 1);
    world.want(&key, true);
    world.lose(&key, 50_000, 52_000, GapCause::GatewayDown);
    world.footage.record(&key, at(49_000)..at(53_000));
    let fetch = world.worker();
    let mut rounds = 0;
    while block_on(world.round(&fetch, "a")).has_more() {
        rounds += 1;
    }
    assert_eq!(rounds, 4, "2,000 s in pieces of at most 600 s");
    world.check(&key);
    let lost = SignedDuration::from_secs(2_000) - filled(&world, &key);
    assert!(lost <= SignedDuration::from_secs(2), "{lost:#} are not filled");
}

fn filled(world: &World, key: &ChannelKey) -> SignedDuration {
    let segments = world.segments(key).into_iter();
    segments
        .filter(|segment| segment.generation == Generation::BACKFILL)
        .map(|segment| segment.duration)
        .sum()
}

/// One storm.
fn weather(seed: u64) -> Outcome {
    let world = World::new(seed);
    let mut random = Random::new(seed ^ 0xB0);
    let keys: Vec<ChannelKey> = (1..=2)
        .flat_map(|device| [channel(device, 1), channel(device, 5)])
        .collect();
    for key in &keys {
        world.want(key, true);
        let start = 50_000 + i64::try_from(random.below(1_000)).unwrap();
        let end = start + 5 + i64::try_from(random.below(1_500)).unwrap();
        world.lose(key, start, end, GapCause::Network);
        let from = start - 30 + i64::try_from(random.below(120)).unwrap();
        world.footage.record(key, at(from)..at(from + 400));
        world.footage.record(key, at(from + 450)..at(from + 2_000));
    }
    let workers = [world.worker(), world.worker()];
    world.weather.set_trouble(15);
    let mut crashes = 0;
    for _ in 0..60 {
        crashes += u64::from(!both_for_a_while(&world, &workers, &mut random));
        world.pass(i64::try_from(random.below(1_200)).unwrap());
        keys.iter().for_each(|key| world.check(key));
    }
    world.weather.set_trouble(0);
    for _ in 0..60 {
        world.pass(6 * 60 * 60 / 10);
        workers.iter().zip(["a", "b"]).for_each(|(fetch, name)| {
            block_on(world.round(fetch, name));
        });
    }
    let mut stored = 0;
    for key in &keys {
        world.check(key);
        check_filled(&world, key);
        stored += world.segments(key).len() as u64 - 2;
    }
    let (asked, writes) = (world.footage.asked(), world.tables.writes());
    for (fetch, name) in workers.iter().zip(["a", "b"]) {
        assert!(block_on(fetch.waiting()).unwrap().is_empty());
        block_on(world.round(fetch, name));
    }
    assert_eq!(
        (world.footage.asked(), world.tables.writes()),
        (asked, writes),
        "not quiet"
    );
    Outcome {
        reached: BTreeMap::from([
            ("crash".to_owned(), crashes),
            ("stored".to_owned(), stored),
            ("ended early".to_owned(), world.footage.ended_early()),
        ]),
        simulated: world.now().duration_since(at(NOW)),
    }
}

/// Two workers take turns for some calls, and now and then both die; whether they came to an end.
fn both_for_a_while(world: &World, workers: &[FakeFetch; 2], random: &mut Random) -> bool {
    let mut a = pin!(world.round(&workers[0], "a"));
    let mut b = pin!(world.round(&workers[1], "b"));
    let waker = noop_waker();
    let mut context = Context::from_waker(&waker);
    let (mut a_done, mut b_done) = (false, false);
    let dies_after = if random.percent(50) {
        random.below(200)
    } else {
        u64::MAX
    };
    for _ in 0..dies_after.min(20_000) {
        if a_done && b_done {
            return true;
        }
        // No call takes longer than the lease's reserve.
        world.pass(i64::try_from(random.below(5)).unwrap());
        if random.percent(50) {
            a_done = a_done || a.as_mut().poll(&mut context).is_ready();
        } else {
            b_done = b_done || b.as_mut().poll(&mut context).is_ready();
        }
    }
    a_done && b_done
}

/// What the device has of the hole is there, but for the pictures before the first key frame where nothing is recorded
/// just before.
fn check_filled(world: &World, key: &ChannelKey) {
    let segments = world.segments(key);
    let (start, end) = (segments[0].end(), segments.last().unwrap().start);
    let mut lost = SignedDuration::ZERO;
    let mut moment = start;
    let step = SignedDuration::from_millis(500);
    while moment < end {
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

#[test]
fn a_storm_stores_nothing_twice_and_all_in_the_end() {
    let storm = Storm {
        test: "backfill",
        seeds: 15,
        run: weather,
        branches: &["crash", "stored", "ended early"],
    };
    let _ = storm.weather_all();
}

#[test]
fn only_what_was_lost_on_the_way_or_by_us_is_asked_for() {
    assert!(is_fillable(GapCause::Network) && is_fillable(GapCause::RecorderMoved));
    assert!(is_fillable(GapCause::DeviceOffline(Some(OfflineHint::Network))));
    assert!(!is_fillable(GapCause::DeviceOffline(None)) && !is_fillable(GapCause::NotWanted));
}

fn spans() -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((0_i64..5_000, 1_i64..400), 0..12)
}

proptest! {
    #[test]
    fn what_is_asked_for_is_missing_explained_ripe_and_not_settled(
        recorded in spans(), lost in spans(), settled in spans(), now in 5_000_i64..8_000
    ) {
        let key = channel(1, 1);
        let segments: Vec<_> = recorded.iter().map(|(start, length)| live(&key, *start, start + length)).collect();
        let gaps: Vec<_> =
            lost.iter().map(|(start, length)| gap(&key, *start, start + length, GapCause::Network)).collect();
        let mut memory = Memory::default();
        for (start, length) in &settled {
            memory.settle(&key, at(*start), at(start + length), Fate::Fetched);
        }
        let settled = memory.settled(&key);
        let policy = BackfillPolicy::default();
        let known = Known {
            from: at(0), to: at(now), wanted_since: at(0), segments: &segments, gaps: &gaps, settled,
        };
        let found = missing(&policy, &known, at(now));
        for pair in settled.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start, "{settled:?}");
        }
        for pair in found.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start);
        }
        for piece in &found {
            prop_assert!(piece.duration() >= policy.shortest && piece.duration() <= policy.piece_max);
            prop_assert!(at(now).duration_since(piece.end) >= policy.ripe_after);
            for second in piece.start.as_second()..piece.end.as_second() {
                let moment = at(second);
                prop_assert!(!segments.iter().any(|s| s.start <= moment && moment < s.end()));
                prop_assert!(!settled.iter().any(|s| s.start <= moment && moment < s.end));
                prop_assert!(gaps.iter().any(|g| g.start <= moment && g.end.unwrap() > moment));
            }
        }
    }

    #[test]
    fn a_segment_is_admitted_only_where_nothing_is(there in spans(), start in 0_i64..5_000, length in 1_i64..400) {
        let key = channel(1, 1);
        let archive: Vec<_> = there.iter().map(|(start, length)| live(&key, *start, start + length)).collect();
        let fetched = SegmentKey::new(key, at(start), SignedDuration::from_secs(length), Generation::BACKFILL);
        let free = archive.iter().all(|s| s.end() <= fetched.start || fetched.end() <= s.start);
        prop_assert_eq!(admits(&archive, &fetched), free);
        let mut with_itself: Vec<_> = archive.into_iter().filter(|s| s.end() <= fetched.start).collect();
        with_itself.push(fetched.clone());
        prop_assert!(admits(&with_itself, &fetched), "storing again is storing once");
    }
}
