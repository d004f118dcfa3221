//! Tries of a password, counted by several programs together: what a gateway has to hear at most.
#![allow(clippy::unwrap_used)]

use domain::credentials::{Begun, Fate, Rejection, begin, reject, rejected, settle};
use domain::fakes::{FakeTables, Random, Weather};
use futures::executor::block_on;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::sync::Mutex;

const PROGRAMS: [&str; 3] = ["poll", "check", "setup"];

/// A gateway that counts the wrong passwords it hears.
struct Gateway {
    random: Mutex<Random>,
    right_version: u64,
    /// So many of a hundred answers never come.
    lost_percent: u64,
    heard: Mutex<Vec<Timestamp>>,
}

impl Gateway {
    fn new(seed: u64, right_version: u64, lost_percent: u64) -> Self {
        Self {
            random: Mutex::new(Random::new(seed)),
            right_version,
            lost_percent,
            heard: Mutex::default(),
        }
    }

    fn log_in(&self, version: u64, now: Timestamp) -> Fate {
        if version != self.right_version {
            self.heard.lock().unwrap().push(now);
        }
        match self.random.lock().unwrap().percent(self.lost_percent) {
            true => Fate::Lost,
            false if version == self.right_version => Fate::Accepted,
            false => Fate::Denied,
        }
    }

    fn heard(&self) -> Vec<Timestamp> {
        self.heard.lock().unwrap().clone()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// What every program does: nothing that is forbidden or waited for, and it tells what it learnt.
async fn visit(
    tables: &FakeTables,
    gateway: &Gateway,
    by: &str,
    version: u64,
    now: Timestamp,
) -> Option<Fate> {
    let rejection = rejected(tables).await.ok()?;
    if rejection.is_some_and(|rejection| rejection.forbids(version, now)) {
        return None;
    }
    let Begun::Try(tried) = begin(tables, version, by, now).await.ok()? else {
        return None;
    };
    let fate = gateway.log_in(version, now);
    if fate == Fate::Denied {
        let rejection = Rejection {
            version: Some(version),
            since: now,
            by: by.to_owned(),
            locked_until: None,
        };
        reject(tables, &rejection).await.ok()?;
    }
    settle(tables, tried, fate).await.ok()?;
    Some(fate)
}

/// All programs at once.
fn minute(tables: &FakeTables, gateway: &Gateway, version: u64, now: Timestamp) -> Vec<Option<Fate>> {
    let visits = PROGRAMS.map(|by| visit(tables, gateway, by, version, now));
    block_on(join_all(visits))
}

#[test]
fn of_programs_that_know_a_new_password_at_the_same_moment_one_tries_it() {
    let (tables, gateway) = (FakeTables::new(Weather::calm()), Gateway::new(0, 2, 0));
    for number in 0..60 {
        minute(&tables, &gateway, 1, at(60 * number));
    }
    assert_eq!(gateway.heard().len(), 1);
}

#[test]
fn a_password_that_lets_us_in_is_tried_by_all_and_nothing_is_written() {
    let (tables, gateway) = (FakeTables::new(Weather::calm()), Gateway::new(0, 1, 0));
    minute(&tables, &gateway, 1, at(0));
    let writes = tables.writes();
    for number in 1..60 {
        let fates = minute(&tables, &gateway, 1, at(60 * number));
        assert_eq!(fates, [Some(Fate::Accepted); 3]);
    }
    assert_eq!(tables.writes(), writes);
}

#[test]
fn a_try_whose_owner_died_is_waited_for_and_then_made_by_another() {
    let (tables, gateway) = (FakeTables::new(Weather::calm()), Gateway::new(0, 1, 0));
    let died = block_on(begin(&tables, 1, "setup", at(0))).unwrap();
    assert!(matches!(died, Begun::Try(_)));
    let Begun::Wait(wait) = block_on(begin(&tables, 1, "poll", at(29))).unwrap() else {
        panic!("it does not wait");
    };
    assert_eq!((wait.until, wait.by.as_str()), (at(30), "setup"));
    let fate = block_on(visit(&tables, &gateway, "poll", 1, at(30)));
    assert_eq!(fate, Some(Fate::Accepted));
}

#[test]
fn a_gateway_that_was_not_reached_is_asked_again_at_once() {
    let tables = FakeTables::new(Weather::calm());
    for second in 0..20 {
        let Begun::Try(tried) = block_on(begin(&tables, 1, "poll", at(second))).unwrap() else {
            panic!("it waits");
        };
        block_on(settle(&tables, tried, Fate::NotSent)).unwrap();
    }
}

#[test]
fn another_version_begins_anew_and_an_older_one_changes_nothing() {
    let tables = FakeTables::new(Weather::calm());
    let begun = |version, second| block_on(begin(&tables, version, "poll", at(second))).unwrap();
    for second in [0, 40] {
        assert!(matches!(begun(1, second), Begun::Try(_)));
    }
    assert!(matches!(begun(1, 80), Begun::Wait(_)));
    let Begun::Try(newer) = begun(2, 80) else {
        panic!("it waits")
    };
    assert!(
        matches!(begun(1, 81), Begun::Wait(_)),
        "that of an older one is a try too"
    );
    block_on(settle(&tables, newer, Fate::Accepted)).unwrap();
    let writes = tables.writes();
    let Begun::Try(older) = begun(1, 82) else {
        panic!("it waits")
    };
    block_on(settle(&tables, older, Fate::Denied)).unwrap();
    assert!(matches!(begun(2, 83), Begun::Try(_)));
    assert_eq!(tables.writes(), writes);
}

#[test]
fn an_older_password_that_lets_us_in_goes_on_while_the_newest_is_not_known_to_be_right() {
    let tables = FakeTables::new(Weather::calm());
    let Begun::Try(newest) = block_on(begin(&tables, 2, "check", at(0))).unwrap() else {
        panic!("it waits")
    };
    block_on(settle(&tables, newest, Fate::Denied)).unwrap();
    let gateway = Gateway::new(0, 1, 0);
    for number in 1..60 {
        let fate = block_on(visit(&tables, &gateway, "poll", 1, at(60 * number)));
        assert_eq!(fate, Some(Fate::Accepted));
    }
}

proptest! {
    /// Whatever is lost, on the way to the gateway or to the tables: two wrong passwords, and then one in five minutes.
    #[test]
    fn a_wrong_password_is_never_heard_more_than_twice_in_five_minutes(
        seed in any::<u64>(), lost_percent in 0_u64..=100, trouble in 0_u64..40,
    ) {
        let weather = Weather::seeded(seed);
        let (tables, gateway) = (FakeTables::new(weather.clone()), Gateway::new(seed, 2, lost_percent));
        weather.set_trouble(trouble);
        for number in 0..120 {
            minute(&tables, &gateway, 1, at(20 * number));
        }
        let pause = SignedDuration::from_mins(5);
        for three in gateway.heard().windows(3) {
            prop_assert!(three[2].duration_since(three[0]) >= pause, "{three:?}");
        }
    }

    /// A gateway that is only slow to answer lets all in again once it answers.
    #[test]
    fn lost_answers_to_the_right_password_keep_nobody_out_for_long(
        seed in any::<u64>(), lost in 1_i64..100,
    ) {
        let tables = FakeTables::new(Weather::calm());
        let (slow, quick) = (Gateway::new(seed, 1, 100), Gateway::new(seed, 1, 0));
        for number in 0..lost {
            minute(&tables, &slow, 1, at(60 * number));
        }
        for number in lost..lost + 6 {
            minute(&tables, &quick, 1, at(60 * number));
        }
        let fates = minute(&tables, &quick, 1, at(60 * (lost + 6)));
        prop_assert_eq!(fates, vec![Some(Fate::Accepted); 3]);
    }
}
