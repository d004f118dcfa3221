//! What goes and what stays.

use super::{DAY, RETENTION_DAYS, World, at, channel, episode, policy, segment};
use domain::keep::Mode;
use domain::settings::{Overrides, OwnSettings};
use domain::{Episode, ObjectKey};
use futures::executor::block_on;
use std::sync::atomic::Ordering;

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
