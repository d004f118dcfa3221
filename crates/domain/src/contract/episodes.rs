//! What an [`EpisodesTable`] promises. Each function takes an empty table of its own.

use super::samples::{self, at};
use crate::episode::{Episode, EpisodeOrigin};
use crate::ports::{EpisodesTable, Put};
use crate::{ChannelKey, ObjectKey, Revision};
use jiff::Timestamp;
use std::collections::BTreeMap;

fn episode(start: Timestamp, end: Option<Timestamp>) -> Episode {
    Episode {
        key: samples::key(),
        start,
        end,
        reason: "Einbruch – \"door\" \n2".into(),
        labels: BTreeMap::from([("case".into(), "4711".into()), ("дело".into(), "№ 1".into())]),
        expires_at: Some(at("23:59:59.000000001")),
        preview: Some(ObjectKey("CAM/1/2026/11/21/20261121T100000.000Z_1.jpg".into())),
        origin: EpisodeOrigin::Alarm,
        revision: Revision(1),
    }
}

async fn put(table: &impl EpisodesTable, row: &Episode, expected: Option<u64>) -> Put {
    let put = table.put_episode(row, expected.map(Revision)).await;
    put.expect("the table answers")
}

async fn list(table: &impl EpisodesTable, from: Timestamp, to: Timestamp) -> Vec<Episode> {
    let listed = table.list_episodes(&samples::key(), from, to).await;
    listed.expect("the table answers")
}

async fn all(table: &impl EpisodesTable) -> Vec<Episode> {
    list(table, Timestamp::MIN, Timestamp::MAX).await
}

/// With everything it can have, and with as little as it may have.
pub async fn an_episode_reads_back_exactly(table: &impl EpisodesTable) {
    let full = episode(at("10:00:00.000000001"), Some(at("10:00:00.1")));
    let bare = Episode {
        labels: BTreeMap::new(),
        expires_at: None,
        preview: None,
        origin: EpisodeOrigin::Person,
        ..episode(at("11:00:00"), None)
    };
    for row in [&full, &bare] {
        assert_eq!(put(table, row, None).await, Put::Written);
    }
    assert_eq!(all(table).await, [full, bare]);
}

/// The interval is half-open; an episode's end is its last instant, and touching is not overlapping here.
pub async fn only_episodes_that_overlap_are_listed_by_start(table: &impl EpisodesTable) {
    let before = episode(at("09:00:00"), Some(at("10:00:00")));
    let around = episode(at("09:30:00"), Some(at("12:00:00")));
    let inside = episode(at("10:10:00.1"), Some(at("10:20:00")));
    let later = episode(at("10:10:00.10001"), Some(at("10:10:01")));
    let after = episode(at("11:00:00"), Some(at("12:00:00")));
    for row in [&after, &later, &inside, &before, &around] {
        assert_eq!(put(table, row, None).await, Put::Written);
    }
    let listed = list(table, at("10:00:00"), at("11:00:00")).await;
    assert_eq!(listed, [around, inside, later]);
}

/// It lasts until somebody ends it.
pub async fn an_episode_that_goes_on_reaches_into_every_later_interval(table: &impl EpisodesTable) {
    let lasting = episode(at("10:00:00"), None);
    assert_eq!(put(table, &lasting, None).await, Put::Written);
    assert_eq!(list(table, at("23:00:00"), Timestamp::MAX).await, [lasting]);
    assert_eq!(list(table, at("08:00:00"), at("10:00:00")).await, []);
}

/// Neither of the device's other channels nor of a device whose name begins alike.
pub async fn episodes_of_other_channels_are_not_listed(table: &impl EpisodesTable) {
    for key in [
        ChannelKey::new("CAM", "10"),
        ChannelKey::new("CAM1", "1"),
        ChannelKey::new("CAM/1", "1"),
    ] {
        let row = Episode {
            key,
            ..episode(at("10:00:00"), None)
        };
        assert_eq!(put(table, &row, None).await, Put::Written);
    }
    assert_eq!(all(table).await, []);
}

/// Somebody who did not know of the row does not replace it.
pub async fn an_episode_is_created_only_once(table: &impl EpisodesTable) {
    let row = episode(at("10:00:00"), None);
    assert_eq!(put(table, &row, None).await, Put::Written);
    let other = Episode {
        reason: "another".into(),
        ..row.clone()
    };
    assert_eq!(put(table, &other, None).await, Put::Stale);
    assert_eq!(all(table).await, [row]);
}

/// Ending an episode does not undo that somebody else made it longer.
pub async fn an_episode_read_stale_is_not_written(table: &impl EpisodesTable) {
    let row = episode(at("10:00:00"), Some(at("10:10:00")));
    let longer = Episode {
        end: Some(at("10:20:00")),
        revision: Revision(2),
        ..row.clone()
    };
    assert_eq!(put(table, &longer, Some(1)).await, Put::Stale);
    assert_eq!(put(table, &row, None).await, Put::Written);
    assert_eq!(put(table, &longer, Some(1)).await, Put::Written);
    assert_eq!(put(table, &row, Some(1)).await, Put::Stale);
    assert_eq!(all(table).await, [longer]);
}

/// Deleting an episode does not delete what it became.
pub async fn an_episode_read_stale_is_not_deleted(table: &impl EpisodesTable) {
    let row = Episode {
        revision: Revision(2),
        ..episode(at("10:00:00"), None)
    };
    assert_eq!(put(table, &row, None).await, Put::Written);
    let deleted = table.delete_episode(&row.key, row.start, Revision(1)).await;
    assert_eq!(deleted.expect("the table answers"), Put::Stale);
    assert_eq!(all(table).await, [row]);
}

/// An answer may be lost.
pub async fn an_episode_deleted_twice_is_no_error(table: &impl EpisodesTable) {
    let row = episode(at("10:00:00"), None);
    assert_eq!(put(table, &row, None).await, Put::Written);
    for _ in 0..2 {
        let deleted = table.delete_episode(&row.key, row.start, Revision(1)).await;
        assert_eq!(deleted.expect("the table answers"), Put::Written);
    }
    assert_eq!(all(table).await, []);
}
