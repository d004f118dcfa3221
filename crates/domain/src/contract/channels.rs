//! What a [`ChannelsTable`] promises. Each function takes an empty table of its own.

use super::samples;
use crate::ports::{ChannelsTable, Put};
use crate::{ChannelRow, Revision};

async fn put(table: &impl ChannelsTable, row: &ChannelRow, expected: Option<u64>) -> Put {
    table
        .put_channel(row, expected.map(Revision))
        .await
        .expect("the table answers")
}

async fn rows(table: &impl ChannelsTable) -> Vec<ChannelRow> {
    table.list_channels().await.expect("the table answers")
}

fn renamed(row: &ChannelRow, name: &str, revision: u64) -> ChannelRow {
    ChannelRow {
        device_name: name.into(),
        revision: Revision(revision),
        ..row.clone()
    }
}

/// Every field comes back as it was, to the nanosecond and in any script.
pub async fn a_row_reads_back_exactly(table: &impl ChannelsTable) {
    let row = samples::channel(samples::key());
    assert_eq!(put(table, &row, None).await, Put::Written);
    assert_eq!(rows(table).await, std::slice::from_ref(&row));

    let changed = renamed(&row, "after", 2);
    assert_eq!(put(table, &changed, Some(1)).await, Put::Written);
    assert_eq!(rows(table).await, [changed]);
}

/// Whatever order they were written in, and whatever their names hold.
pub async fn rows_are_listed_in_key_order(table: &impl ChannelsTable) {
    for key in samples::keys().into_iter().rev() {
        assert_eq!(put(table, &samples::channel(key), None).await, Put::Written);
    }
    let listed: Vec<_> = rows(table).await.into_iter().map(|row| row.key).collect();
    assert_eq!(listed, samples::keys());
}

/// A second creation is stale and changes nothing.
pub async fn a_row_is_created_only_once(table: &impl ChannelsTable) {
    let row = samples::channel(samples::key());
    assert_eq!(put(table, &row, None).await, Put::Written);
    assert_eq!(put(table, &renamed(&row, "second", 1), None).await, Put::Stale);
    assert_eq!(rows(table).await, [row]);
}

/// Neither an older revision nor a row that is gone can be written over.
pub async fn a_write_on_a_stale_read_changes_nothing(table: &impl ChannelsTable) {
    let row = samples::channel(samples::key());
    assert_eq!(put(table, &renamed(&row, "never", 8), Some(7)).await, Put::Stale);
    assert_eq!(rows(table).await, []);

    let newer = renamed(&row, "newer", 7);
    assert_eq!(put(table, &newer, None).await, Put::Written);
    assert_eq!(put(table, &renamed(&row, "never", 7), Some(6)).await, Put::Stale);
    assert_eq!(rows(table).await, [newer]);
}

/// A row that changed since it was read stays.
pub async fn a_delete_on_a_stale_read_deletes_nothing(table: &impl ChannelsTable) {
    let row = samples::channel(samples::key());
    assert_eq!(put(table, &row, None).await, Put::Written);
    let put = table.delete_channel(&row.key, Revision(2)).await;
    assert_eq!(put.expect("the table answers"), Put::Stale);
    assert_eq!(rows(table).await, [row]);
}

/// After a lost answer the caller repeats: gone is gone.
pub async fn a_delete_repeated_is_no_error(table: &impl ChannelsTable) {
    let (row, other) = (
        samples::channel(samples::key()),
        samples::channel(samples::keys().remove(0)),
    );
    assert_eq!(put(table, &row, None).await, Put::Written);
    assert_eq!(put(table, &other, None).await, Put::Written);
    for _ in 0..2 {
        let put = table.delete_channel(&row.key, Revision(1)).await;
        assert_eq!(put.expect("the table answers"), Put::Written);
    }
    assert_eq!(rows(table).await, [other]);
}

/// The condition and the write are one step.
pub async fn of_two_writers_on_one_read_one_wins(table: &impl ChannelsTable) {
    let row = samples::channel(samples::key());
    assert_eq!(put(table, &row, None).await, Put::Written);
    let (left, right) = (renamed(&row, "left", 2), renamed(&row, "right", 2));
    let outcome = futures::join!(put(table, &left, Some(1)), put(table, &right, Some(1)));
    let winner = match outcome {
        (Put::Written, Put::Stale) => left,
        (Put::Stale, Put::Written) => right,
        (Put::Written, Put::Written) | (Put::Stale, Put::Stale) => panic!("both or none: {outcome:?}"),
    };
    assert_eq!(rows(table).await, [winner]);
}
