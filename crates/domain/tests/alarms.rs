//! Alarms to episodes: properties of the plan, and the loop in bad weather.
#![allow(clippy::unwrap_used)]

use domain::episode::{Alarm, AlarmPolicy, Bursts, from_alarms, keep_alarms};
use domain::fakes::{FakeTables, Weather, rows};
use domain::ports::{EpisodesTable, Put};
use domain::{ChannelKey, Episode};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key() -> ChannelKey {
    ChannelKey::new("A", "1")
}

fn alarm(second: i64) -> Alarm {
    Alarm {
        key: key(),
        at: at(second),
        kind: "motion".into(),
    }
}

fn policy() -> AlarmPolicy {
    AlarmPolicy::default()
}

fn bursts(seconds: impl IntoIterator<Item = i64>) -> Bursts {
    let mut bursts = Bursts::default();
    for second in seconds {
        assert!(bursts.add(alarm(second), policy().merge));
    }
    bursts
}

/// Stores the alarms and shows the episodes as (start, end) in seconds.
fn stored(tables: &FakeTables, seconds: impl IntoIterator<Item = i64>) -> Vec<(i64, i64)> {
    let report = block_on(keep_alarms(&policy(), tables, &mut bursts(seconds)));
    assert_eq!(report.failed, BTreeMap::new());
    let rows = tables.episodes();
    rows.iter()
        .map(|row| (row.start.as_second(), row.end.unwrap().as_second()))
        .collect()
}

#[test]
fn an_alarm_storm_is_one_row_and_one_write() {
    let tables = FakeTables::new(Weather::calm());
    let storm = (0..3_000).flat_map(|second| [second + 1_000; 5]);
    assert_eq!(stored(&tables, storm), [(990, 4_029)]);
    assert_eq!(tables.writes(), 1);
}

#[test]
fn alarms_that_follow_make_the_row_longer_until_it_is_long_enough() {
    let tables = FakeTables::new(Weather::calm());
    assert_eq!(stored(&tables, [1_000]), [(990, 1_030)]);
    assert_eq!(stored(&tables, [1_080]), [(990, 1_110)]);
    assert_eq!(stored(&tables, [1_300]), [(990, 1_110), (1_290, 1_330)]);
    let endless = (1_300..10_000).step_by(30);
    let rows = stored(&tables, endless);
    assert_eq!(rows[1..], [(1_290, 4_890), (4_890, 8_490), (8_490, 10_000)]);
}

#[test]
fn a_late_alarm_is_kept_too() {
    let tables = FakeTables::new(Weather::calm());
    assert_eq!(stored(&tables, [1_000]), [(990, 1_030)]);
    assert_eq!(stored(&tables, [975]), [(965, 990), (990, 1_030)]);
}

#[test]
fn a_channel_whose_alarm_is_stuck_fills_its_day_and_no_more() {
    let tables = FakeTables::new(Weather::calm());
    let mut dropped = 0;
    for alarm in 0..1_000 {
        let report = block_on(keep_alarms(&policy(), &tables, &mut bursts([alarm * 200])));
        dropped += report.dropped;
    }
    // One every 200 seconds: 432 a day.
    let rows = tables.episodes();
    for row in &rows {
        let day = rows.iter().filter(|other| {
            let after = other.start.duration_since(row.start);
            SignedDuration::ZERO <= after && after < SignedDuration::from_hours(24)
        });
        assert!(day.count() <= policy().per_day_max);
    }
    assert_eq!(rows.len() + dropped, 1_000);
}

#[test]
fn an_episode_of_a_person_is_never_changed_by_alarms() {
    let tables = FakeTables::new(Weather::calm());
    let person = rows::episode(key(), at(900), Some(at(1_000)));
    assert_eq!(block_on(tables.put_episode(&person, None)).unwrap(), Put::Written);
    stored(&tables, [1_010]);
    let rows = tables.episodes();
    assert_eq!((rows.len(), &rows[0]), (2, &person));
}

#[test]
fn alarms_survive_a_table_that_is_away() {
    for seed in 0..50 {
        let weather = Weather::seeded(seed);
        let tables = FakeTables::new(weather.clone());
        let mut waiting = Bursts::default();
        weather.set_trouble(60);
        for second in (0..50_000).step_by(700) {
            assert!(waiting.add(alarm(second), policy().merge));
            let _ = block_on(keep_alarms(&policy(), &tables, &mut waiting));
        }
        weather.set_trouble(0);
        let report = block_on(keep_alarms(&policy(), &tables, &mut waiting));
        assert_eq!(
            (report.failed.len(), waiting),
            (0, Bursts::default()),
            "seed {seed}"
        );
        for second in (0..50_000).step_by(700) {
            assert!(
                tables
                    .episodes()
                    .iter()
                    .any(|row| row.touches(at(second), at(second)))
            );
        }
    }
}

proptest! {
    #[test]
    fn every_alarm_is_covered_with_what_comes_before_and_after(
        batches in prop::collection::vec(prop::collection::vec(0_i64..40_000, 1..20), 1..10)
    ) {
        let policy = AlarmPolicy { per_day_max: 10_000, ..policy() };
        let mut rows: Vec<Episode> = Vec::new();
        for batch in &batches {
            let taken = bursts(batch.iter().copied()).take();
            let plan = from_alarms(&policy, &key(), &taken[&key()], &rows);
            prop_assert_eq!(plan.dropped, 0);
            for (row, expected) in plan.writes {
                prop_assert!(row.check().is_ok());
                prop_assert!(row.end.unwrap().duration_since(row.start) <= policy.length_max);
                rows.retain(|old| old.start != row.start || Some(old.revision) != expected);
                rows.push(row);
                rows.sort_by_key(|row| row.start);
            }
            let again = from_alarms(&policy, &key(), &taken[&key()], &rows);
            prop_assert!(again.writes.is_empty(), "{:?}", again);
        }
        for second in batches.into_iter().flatten() {
            for needed in [second - 10, second, second + 29] {
                let covers = |row: &Episode| row.start <= at(needed) && at(needed) < row.end.unwrap();
                prop_assert!(rows.iter().any(covers), "{} of {:?}", needed, rows);
            }
        }
    }
}
