//! Runs that must not believe what they see, and runs that do not come to their end.

use super::{DAY, RETENTION_DAYS, World, at, channel, episode, policy, segment};
use domain::fakes::FakeTables;
use domain::keep::{KeepPolicy, Mode, keep};
use domain::ports::{ControlTable, EpisodesTable};
use domain::{ChannelKey, Episode, Revision, Severity};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

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
