//! The keep loop in bad weather: archives that throttle and delete by halves, tables that do not answer, crashes
//! between any two calls, clocks that step, and people who make and change episodes meanwhile.
#![allow(clippy::unwrap_used)]

mod storm {
    pub(crate) mod seeds;
}

use domain::episode::MARGIN;
use domain::fakes::{FakeAlerts, FakeArchive, FakeTables, Random, Weather, rows};
use domain::keep::{KeepPolicy, Mode, Report, keep};
use domain::ports::{ControlTable, EpisodesTable};
use domain::segment::still_key;
use domain::settings::{Overrides, OwnSettings};
use domain::{
    Archived, ChannelKey, Episode, Generation, ObjectKey, RecordingSettings, Revision, SegmentKey, Severity,
};
use futures::executor::block_on;
use futures::task::noop_waker;
use jiff::{SignedDuration, Timestamp};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use storm::seeds::{Outcome, Storm};

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

#[test]
fn what_is_past_its_retention_goes_and_the_rest_stays() {
    let world = World::new(0, 10 * DAY);
    let old = segment(&channel(1), 6 * DAY * 1_000, 30_000);
    let young = segment(&channel(1), 8 * DAY * 1_000, 30_000);
    let foreign = ObjectKey(old.0.replace(".mp4", ".MP4"));
    for key in [&old, &young, &foreign] {
        world.archive.place(key.clone(), b"1234567");
    }
    let dry = world.keep(&policy(RETENTION_DAYS), Mode::DryRun);
    assert_eq!((dry.deleted, dry.deleted_bytes, dry.not_ours), (1, 7, 1));
    assert_eq!(world.archive.keys().len(), 3, "a dry run changes nothing");
    assert_eq!(world.tables.writes(), 0, "a dry run changes nothing");

    let report = world.keep_twice(&policy(RETENTION_DAYS));
    assert_eq!((report.deleted, report.deleted_bytes), (1, 7));
    assert_eq!(world.archive.keys(), [foreign, young]);
}

#[test]
fn a_retention_of_zero_keeps_all_and_lists_nothing() {
    let world = World::new(0, 10_000 * DAY);
    world.archive.place(segment(&channel(1), 0, 30_000), b"x");
    let report = world.keep_twice(&policy(0));
    assert_eq!(
        (report.channels, report.listed, world.archive.keys().len()),
        (0, 0, 1)
    );
}

#[test]
fn a_channel_has_a_retention_of_its_own_also_when_its_device_is_gone() {
    let world = World::new(0, 10 * DAY);
    for number in 1..=2 {
        world.archive.place(segment(&channel(number), 0, 30_000), b"x");
    }
    let mut overrides = Overrides::default();
    let own = OwnSettings {
        retention_days: Some(2),
        ..OwnSettings::default()
    };
    overrides.set(&channel(1), own);
    assert_eq!(
        block_on(overrides.store(&world.tables, None)).unwrap(),
        domain::ports::Put::Written
    );
    world.keep_twice(&policy(0));
    assert_eq!(world.archive.keys(), [segment(&channel(2), 0, 30_000)]);
}

#[test]
fn a_segment_that_an_episode_touches_by_one_frame_stays_whole() {
    let world = World::new(0, 10 * DAY);
    let keys: Vec<_> = (0..10)
        .map(|number| segment(&channel(1), number * 30_000, 30_000))
        .collect();
    keys.iter().for_each(|key| world.archive.place(key.clone(), b"x"));
    world.put(&episode(&channel(1), 119, Some(151)));
    let report = world.keep_twice(&policy(RETENTION_DAYS));
    assert_eq!(world.archive.keys(), keys[3..=5]);
    assert_eq!((report.kept_by_episodes, report.deleted), (3, 7));
}

#[test]
fn an_expired_episode_protects_nothing_and_its_row_goes_a_day_later() {
    let world = World::new(0, 10 * DAY);
    world.archive.place(segment(&channel(1), 0, 30_000), b"x");
    let expiring = Episode {
        expires_at: Some(at(10 * DAY - 60)),
        ..episode(&channel(1), 0, Some(30))
    };
    world.put(&expiring);
    let report = world.keep_twice(&policy(RETENTION_DAYS));
    assert_eq!((report.deleted, world.tables.episodes().len()), (1, 1));

    world.archive.place(segment(&channel(1), 0, 30_000), b"x");
    world.clock.store(11 * DAY, Ordering::Relaxed);
    let report = world.keep(&policy(RETENTION_DAYS), Mode::Delete);
    assert_eq!((report.episodes_expired, world.tables.episodes().len()), (1, 0));
}

#[test]
fn a_clock_that_jumps_deletes_nothing_before_a_second_look() {
    let world = World::new(0, 2 * DAY);
    world
        .archive
        .place(segment(&channel(1), DAY * 1_000, 30_000), b"x");
    world.keep_twice(&policy(RETENTION_DAYS));
    for jump in [400 * DAY, 2 * DAY, 900 * DAY, DAY] {
        world.clock.store(jump, Ordering::Relaxed);
        world.keep(&policy(RETENTION_DAYS), Mode::Delete);
        assert_eq!(world.archive.keys().len(), 1, "{jump}");
    }
    world.clock.store(5 * DAY, Ordering::Relaxed);
    let report = world.keep_twice(&policy(RETENTION_DAYS));
    assert_eq!((report.held, report.deleted), (None, 1));
}

#[test]
fn episodes_that_were_read_long_ago_are_not_deleted_by() {
    let world = World::new(0, 10 * DAY);
    world.archive.place(segment(&channel(1), 0, 30_000), b"x");
    world.keep(&policy(RETENTION_DAYS), Mode::Delete);
    // Every look at the clock is a minute after the one before.
    let clock = || at(world.clock.fetch_add(60, Ordering::Relaxed));
    let policy = policy(RETENTION_DAYS);
    let report = block_on(keep(
        &policy,
        &world.archive,
        &world.tables,
        &world.alerts,
        clock,
        Mode::Delete,
    ));
    assert_eq!((report.deleted, report.failed.len()), (0, 1), "{report:?}");
    assert_eq!(world.archive.keys().len(), 1);
}

/// Tables whose episodes cannot be read.
struct Unreadable<'a>(&'a FakeTables);

impl EpisodesTable for Unreadable<'_> {
    async fn list_episodes(
        &self,
        _: &ChannelKey,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<Episode>, domain::ports::PortError> {
        Err(domain::ports::PortError::refused(
            "listing episodes",
            "a row is damaged",
        ))
    }

    async fn put_episode(
        &self,
        row: &Episode,
        expected: Option<Revision>,
    ) -> Result<domain::ports::Put, domain::ports::PortError> {
        self.0.put_episode(row, expected).await
    }

    async fn delete_episode(
        &self,
        key: &ChannelKey,
        start: Timestamp,
        expected: Revision,
    ) -> Result<domain::ports::Put, domain::ports::PortError> {
        self.0.delete_episode(key, start, expected).await
    }
}

impl ControlTable for Unreadable<'_> {
    async fn get_control(
        &self,
        name: &str,
    ) -> Result<Option<domain::ports::ControlItem>, domain::ports::PortError> {
        self.0.get_control(name).await
    }

    async fn put_control(
        &self,
        name: &str,
        value: &serde_json::Value,
        expected: Option<u64>,
    ) -> Result<domain::ports::Put, domain::ports::PortError> {
        self.0.put_control(name, value, expected).await
    }
}

#[test]
fn nothing_goes_while_episodes_cannot_be_read_and_people_are_told() {
    let world = World::new(0, 10 * DAY);
    world.archive.place(segment(&channel(1), 0, 30_000), b"x");
    let table = Unreadable(&world.tables);
    let policy = policy(RETENTION_DAYS);
    for _ in 0..4 {
        let run = keep(
            &policy,
            &world.archive,
            &table,
            &world.alerts,
            || world.now(),
            Mode::Delete,
        );
        assert_eq!(block_on(run).deleted, 0);
    }
    assert_eq!(world.archive.keys().len(), 1);
    let told = world.alerts.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].severity, told[0].subject.as_str()),
        (Severity::Warning, "keep")
    );
}

#[test]
fn a_bounded_run_is_gone_on_with_where_it_stopped() {
    let world = World::new(0, 10 * DAY);
    for number in 1..=3 {
        for second in 0..2_500 {
            world
                .archive
                .place(segment(&channel(number), second * 1_000, 1_000), b"x");
        }
    }
    // Channel 2 keeps its first pages: they are listed, and never again deleted from.
    world.put(&episode(&channel(2), 0, Some(2_000)));
    let bounded = KeepPolicy {
        pages_max: 2,
        ..policy(RETENTION_DAYS)
    };
    world.keep(&bounded, Mode::Delete);
    let mut runs = 0;
    while world.keep(&bounded, Mode::Delete).unfinished {
        runs += 1;
        assert!(runs < 20, "it never comes to an end");
    }
    let left: BTreeSet<_> = world
        .archive
        .keys()
        .iter()
        .map(|key| key.0[..6].to_owned())
        .collect();
    assert_eq!(left, BTreeSet::from(["CAM/2/".to_owned()]));
    assert_eq!(world.archive.keys().len(), 2_002);
}

#[test]
fn a_run_that_lasts_too_long_is_gone_on_with_where_it_stopped() {
    let world = World::new(0, 10 * DAY);
    for second in 0..3_000 {
        world
            .archive
            .place(segment(&channel(1), second * 1_000, 1_000), b"x");
    }
    let hasty = KeepPolicy {
        run_max: SignedDuration::from_secs(4),
        ..policy(RETENTION_DAYS)
    };
    world.keep(&hasty, Mode::Delete);
    // Every look at this clock takes a second.
    let run = || {
        let ticking = || at(world.clock.fetch_add(1, Ordering::Relaxed));
        let (archive, tables) = (&world.archive, &world.tables);
        block_on(keep(
            &hasty,
            archive,
            tables,
            &world.alerts,
            ticking,
            Mode::Delete,
        ))
    };
    let first = run();
    assert!(
        first.unfinished && (1_000..3_000).contains(&first.deleted),
        "{first:?}"
    );
    let mut runs = 0;
    while run().unfinished {
        runs += 1;
        assert!(runs < 10, "it never comes to an end");
    }
    assert_eq!(world.archive.keys(), []);
}

/// A storm of one seed.
fn weather(seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let mut met = BTreeSet::new();
    let world = World::new(seed, 10 * DAY);
    let truth = Cell::new(10 * DAY);
    fill(&world, &mut random);
    let bounded = KeepPolicy {
        pages_max: 1 + usize::try_from(random.below(4)).unwrap(),
        ..policy(RETENTION_DAYS)
    };
    for _ in 0..30 {
        truth.set(truth.get() + i64::try_from(random.below(20_000)).unwrap());
        people(&world, &mut random, truth.get());
        world
            .weather
            .set_trouble([0, 5, 30][usize::try_from(random.below(3)).unwrap()]);
        let step = if random.percent(20) { 300 * DAY } else { 0 };
        world.clock.store(truth.get() + step, Ordering::Relaxed);
        let (before, episodes) = (world.archive.keys(), world.tables.episodes());
        let report = crashing(&world, &bounded, &mut random);
        let mut after = world.archive.keys().into_iter().peekable();
        for key in &before {
            if after.next_if_eq(key).is_none() {
                assert!(!is_protected(key, &episodes, truth.get()), "{key} was deleted");
                met.insert("deleted");
            }
        }
        met.extend(report.map_or(Some("crash"), |report| danger(&report)));
        if step > 0 {
            // The step is over before the next run, as time keepers see to.
            world.clock.store(truth.get(), Ordering::Relaxed);
            world.weather.set_trouble(0);
            world.keep(&bounded, Mode::Delete);
            met.insert("step");
        }
    }
    converge(&world, truth.get());
    Outcome {
        reached: met.into_iter().map(|danger| (danger.to_owned(), 1)).collect(),
        simulated: SignedDuration::from_secs(truth.get() - 10 * DAY),
    }
}

fn danger(report: &Report) -> Option<&'static str> {
    match report {
        Report { failure: Some(_), .. } => Some("failure"),
        Report { failed, .. } if !failed.is_empty() => Some("failed"),
        Report { held: Some(_), .. } => Some("held"),
        Report { unfinished: true, .. } => Some("unfinished"),
        Report {
            kept_by_episodes: 1..,
            ..
        } => Some("kept"),
        _ => None,
    }
}

/// Some days of segments, stills and things that are not ours, on a few channels.
fn fill(world: &World, random: &mut Random) {
    for number in 1..=3 {
        let channel = channel(number);
        let mut now_ms = 4 * DAY * 1_000;
        while now_ms < 12 * DAY * 1_000 {
            let length = 60_000 + i64::try_from(random.below(4_000_000)).unwrap();
            world.archive.place(segment(&channel, now_ms, length), b"video");
            if random.percent(10) {
                let taken_at = Timestamp::from_millisecond(now_ms).unwrap();
                world
                    .archive
                    .place(still_key(&channel, taken_at, Generation(1)), b"still");
            }
            if random.percent(5) {
                let key = segment(&channel, now_ms, length).0.replace("Z_", "Z-");
                world.archive.place(ObjectKey(key), b"?");
            }
            now_ms += length;
        }
    }
}

/// Makes, changes and deletes episodes.
fn people(world: &World, random: &mut Random, now: i64) {
    world.weather.set_trouble(0);
    let channel = channel(1 + random.below(3));
    if random.percent(60) {
        let start = now - i64::try_from(random.below(6 * 86_400)).unwrap();
        let length = i64::try_from(random.below(30_000)).unwrap();
        let mut row = episode(&channel, start, Some(start + length).filter(|_| length > 1_000));
        row.expires_at = random.percent(50).then(|| at(now + 50_000));
        let _ = block_on(world.tables.put_episode(&row, None)).unwrap();
    }
    let rows = world.tables.episodes();
    if random.percent(20) && !rows.is_empty() {
        let row = &rows[usize::try_from(random.below(rows.len() as u64)).unwrap()];
        let _ = block_on(world.tables.delete_episode(&row.key, row.start, row.revision)).unwrap();
    }
}

/// What nobody may delete now: judged by the true time, frame by frame, without the loop's own code.
fn is_protected(key: &ObjectKey, episodes: &[Episode], now: i64) -> bool {
    let Some(archived) = Archived::parse(key) else {
        return true;
    };
    let (start, end) = (archived.start(), archived.end());
    let young = end > at(now - i64::from(RETENTION_DAYS) * DAY);
    let wanted = |row: &Episode| {
        key.0.starts_with(&format!("{}/", row.key.prefix()))
            && row.expires_at.is_none_or(|expires_at| at(now) < expires_at)
            && row.start <= end
            && row.end.is_none_or(|row_end| start <= row_end)
    };
    young || episodes.iter().any(wanted)
}

/// A run that may be dropped between any two calls.
fn crashing(world: &World, policy: &KeepPolicy, random: &mut Random) -> Option<Report> {
    let steps = if random.percent(40) {
        random.below(60)
    } else {
        u64::MAX
    };
    let mut run = pin!(keep(
        policy,
        &world.archive,
        &world.tables,
        &world.alerts,
        || world.now(),
        Mode::Delete
    ));
    let waker = noop_waker();
    for _ in 0..steps {
        if let Poll::Ready(report) = run.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(report);
        }
    }
    None
}

/// In calm weather two runs leave only what is protected, give or take the margin around episodes.
fn converge(world: &World, now: i64) {
    world.weather.set_trouble(0);
    world.clock.store(now, Ordering::Relaxed);
    world.keep(&policy(RETENTION_DAYS), Mode::Delete);
    let last = world.keep(&policy(RETENTION_DAYS), Mode::Delete);
    assert_eq!((last.failure, last.held, last.unfinished), (None, None, false));
    let rows = world.tables.episodes();
    for key in world.archive.keys() {
        let Some(archived) = Archived::parse(&key) else {
            continue;
        };
        let young = archived.end() > at(now - i64::from(RETENTION_DAYS) * DAY);
        let wanted = rows.iter().any(|row| {
            row.protects_at(at(now))
                && row.start <= archived.end() + MARGIN
                && row.end.is_none_or(|end| archived.start() <= end + MARGIN)
        });
        assert!(young || wanted, "{key} survived");
    }
}

#[test]
fn a_storm_deletes_no_protected_frame_and_nothing_unprotected_survives_two_runs() {
    let storm = Storm {
        test: "keep",
        seeds: 40,
        run: weather,
        branches: &[
            "crash",
            "deleted",
            "failed",
            "failure",
            "held",
            "kept",
            "step",
            "unfinished",
        ],
    };
    let _ = storm.weather_all();
}
