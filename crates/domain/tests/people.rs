//! What people do with episodes, by whatever way they come.
#![allow(clippy::unwrap_used)]

use domain::episode::{
    CHANNELS_PER_PAGE_MAX, CLIENT_ID, Cursor, EditError, Made, create, delete, end, extend, page,
};
use domain::fakes::{FakeTables, Weather, rows};
use domain::ports::EpisodesTable;
use domain::{ChannelKey, Episode, Revision};
use futures::executor::block_on;
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key(device: usize) -> ChannelKey {
    ChannelKey::new(format!("D{device:04}").as_str(), "1")
}

fn episode(start: i64, end: Option<i64>, client: Option<&str>) -> Episode {
    let label = client.map(|client| (CLIENT_ID.to_owned(), client.to_owned()));
    Episode {
        labels: label.into_iter().collect(),
        ..rows::episode(key(1), at(start), end.map(at))
    }
}

fn tables() -> FakeTables {
    FakeTables::new(Weather::calm())
}

fn make(tables: &FakeTables, row: Episode) -> Result<Made, EditError> {
    block_on(create(tables, row, at(1_000)))
}

#[test]
fn asking_twice_makes_one_whatever_became_of_it_meanwhile() {
    let tables = tables();
    let wish = episode(100, Some(200), Some("ticket-1"));
    assert_eq!(make(&tables, wish.clone()).unwrap(), Made::New(wish.clone()));
    let longer = block_on(extend(&tables, &key(1), at(100), at(300))).unwrap();
    assert_eq!((longer.end, longer.revision), (Some(at(300)), Revision(2)));
    assert_eq!(make(&tables, wish.clone()).unwrap(), Made::Already(longer));

    for other in [
        episode(100, Some(200), Some("ticket-2")),
        episode(100, Some(200), None),
    ] {
        assert!(matches!(make(&tables, other), Err(EditError::Exists { .. })));
    }
    // Two wishes without a name are two wishes.
    assert!(make(&tables, episode(500, None, None)).is_ok());
    assert!(matches!(
        make(&tables, episode(500, None, None)),
        Err(EditError::Exists { .. })
    ));
}

#[test]
fn a_wish_that_was_granted_and_whose_answer_was_lost_is_granted_again() {
    let weather = Weather::seeded(7);
    let tables = FakeTables::new(weather.clone());
    weather.set_trouble(60);
    let wish = || make(&tables, episode(100, None, Some("ticket-1")));
    let made = (0..200).find_map(|_| wish().ok()).expect("it calms now and then");
    let (Made::New(row) | Made::Already(row)) = made;
    assert_eq!(row.revision, Revision(1));
    let stored = block_on(tables.calm().list_episodes(&key(1), at(0), at(900))).unwrap();
    assert_eq!(stored, [row]);
}

#[test]
fn each_refusal_says_what_a_person_must_know() {
    let tables = tables();
    make(&tables, episode(100, Some(200), None)).unwrap();
    make(&tables, episode(400, None, None)).unwrap();
    make(&tables, episode(600, Some(600), None)).unwrap();
    let expired = Episode {
        expires_at: Some(at(1_000)),
        ..episode(700, None, None)
    };
    let refusals = [
        make(&tables, expired).map(drop),
        make(&tables, episode(800, Some(700), None)).map(drop),
        block_on(extend(&tables, &key(1), at(100), at(200))).map(drop),
        block_on(extend(&tables, &key(1), at(400), at(500))).map(drop),
        block_on(extend(&tables, &key(1), at(101), at(500))).map(drop),
        block_on(end(&tables, &key(1), at(400), at(300))).map(drop),
        block_on(delete(&tables, &key(2), at(100))),
    ];
    let words: Vec<String> = refusals
        .into_iter()
        .map(|refusal| refusal.unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!(words.join("\n"), @"
    it expires at 1970-01-01T00:16:40Z, which is over
    it ends at 1970-01-01T00:11:40Z, before it starts at 1970-01-01T00:13:20Z
    it reaches until 1970-01-01T00:03:20Z already
    it goes on already
    no episode of D0001/1 starts at 1970-01-01T00:01:41Z
    it ends at 1970-01-01T00:05:00Z, before it starts at 1970-01-01T00:06:40Z
    no episode of D0002/1 starts at 1970-01-01T00:01:40Z
    ");

    // One that goes on is ended, one of no length is found, and what was kept is given back.
    assert_eq!(
        block_on(end(&tables, &key(1), at(400), at(450))).unwrap().end,
        Some(at(450))
    );
    assert!(block_on(delete(&tables, &key(1), at(600))).is_ok());
    assert!(block_on(delete(&tables, &key(1), at(100))).is_ok());
    let left = block_on(tables.list_episodes(&key(1), at(0), at(9_000))).unwrap();
    assert_eq!(left.iter().map(|row| row.start).collect::<Vec<_>>(), [at(400)]);
}

proptest! {
    #[test]
    fn pages_are_bounded_and_together_the_whole_list(
        places in prop::collection::btree_set((0_usize..250, 0_i64..40), 0..60),
        limit in 1_usize..20,
    ) {
        let tables = tables();
        let channels: Vec<ChannelKey> = (0..250).map(key).collect();
        for (device, start) in &places {
            let row = Episode { key: key(*device), ..episode(100 + start, Some(150 + start), None) };
            make(&tables, row).unwrap();
        }
        let mut listed = BTreeMap::new();
        let mut cursor: Option<Cursor> = None;
        for turn in 0.. {
            prop_assert!(turn < 100, "it comes to no end");
            let part = block_on(page(&tables, &channels, &(at(0)..at(900)), cursor.as_ref(), limit)).unwrap();
            prop_assert!(part.episodes.len() <= limit);
            for row in part.episodes {
                prop_assert!(listed.insert((row.key.clone(), row.start), ()).is_none());
            }
            // As a client hands it back.
            let Some(next) = part.next else { break };
            cursor = Some(next.to_string().parse().unwrap());
        }
        let expected: Vec<_> = places.iter().map(|(device, start)| (key(*device), at(100 + start))).collect();
        prop_assert_eq!(listed.into_keys().collect::<Vec<_>>(), expected);
        prop_assert!(CHANNELS_PER_PAGE_MAX < 250, "more channels than a page looks at");
    }
}
