//! What a [`GapsTable`] promises. Each function takes an empty table of its own.

use super::samples::{self, at};
use crate::ports::GapsTable;
use crate::{ChannelKey, Gap, GapCause, OfflineHint};
use jiff::{SignedDuration, Timestamp};

fn gap(start: Timestamp, end: Option<Timestamp>) -> Gap {
    Gap {
        key: samples::key(),
        start,
        end,
        cause: GapCause::Network,
    }
}

async fn put(table: &impl GapsTable, gap: &Gap) {
    table.put_gap(gap).await.expect("the table answers");
}

async fn list(table: &impl GapsTable, from: Timestamp, to: Timestamp) -> Vec<Gap> {
    table
        .list_gaps(&samples::key(), from, to)
        .await
        .expect("the table answers")
}

async fn all(table: &impl GapsTable) -> Vec<Gap> {
    list(table, Timestamp::MIN, Timestamp::MAX).await
}

/// With and without a hint, open and closed.
pub async fn every_cause_reads_back_exactly(table: &impl GapsTable) {
    let causes = [
        GapCause::Starting,
        GapCause::DeviceOffline(None),
        GapCause::DeviceOffline(Some(OfflineHint::VersionMismatch)),
        GapCause::GatewayDown,
        GapCause::Network,
        GapCause::StreamStalled,
        GapCause::StreamRefused,
        GapCause::CredentialsRejected,
        GapCause::UnsupportedStream,
        GapCause::TransformFailed,
        GapCause::RecorderRestarted,
        GapCause::RecorderMoved,
        GapCause::SpoolOverflow,
        GapCause::ArchiveRefused,
        GapCause::SpoolDamaged,
        GapCause::NotWanted,
    ];
    let mut start = at("10:00:00.000000001");
    let mut stored = Vec::new();
    for cause in causes {
        let next = start + SignedDuration::from_secs(10);
        stored.push(Gap {
            cause,
            ..gap(start, Some(next))
        });
        start = next;
    }
    stored.push(gap(start, None));
    for gap in &stored {
        put(table, gap).await;
    }
    assert_eq!(all(table).await, stored);
}

/// An open gap is closed, or gets a better cause, by writing it again.
pub async fn a_gap_with_the_same_start_is_replaced(table: &impl GapsTable) {
    let open = gap(at("10:00:00.5"), None);
    let closed = Gap {
        end: Some(at("10:00:07.25")),
        cause: GapCause::GatewayDown,
        ..open.clone()
    };
    for _ in 0..2 {
        put(table, &open).await;
        put(table, &closed).await;
    }
    assert_eq!(all(table).await, [closed]);
}

/// The interval is half-open, and so are gaps: touching is not overlapping.
pub async fn only_what_overlaps_is_listed(table: &impl GapsTable) {
    let before = gap(at("09:00:00"), Some(at("10:00:00")));
    let into = gap(at("09:30:00"), Some(at("10:00:00.000000001")));
    let inside = gap(at("10:10:00"), Some(at("10:20:00")));
    let out_of = gap(at("10:59:59.999999999"), Some(at("12:00:00")));
    let after = gap(at("11:00:00"), Some(at("12:00:00")));
    for gap in [&before, &into, &inside, &out_of, &after] {
        put(table, gap).await;
    }
    let listed = list(table, at("10:00:00"), at("11:00:00")).await;
    assert_eq!(listed, [into, inside, out_of]);
}

/// It lasts until somebody says otherwise.
pub async fn an_open_gap_reaches_into_every_later_interval(table: &impl GapsTable) {
    let open = gap(at("10:00:00"), None);
    put(table, &open).await;
    assert_eq!(list(table, at("23:00:00"), Timestamp::MAX).await, [open]);
    assert_eq!(list(table, at("08:00:00"), at("10:00:00")).await, []);
}

/// Neither of the device's other channels nor of a device whose name begins alike.
pub async fn gaps_of_other_channels_are_not_listed(table: &impl GapsTable) {
    for key in [ChannelKey::new("CAM", "10"), ChannelKey::new("CAM1", "1")] {
        put(
            table,
            &Gap {
                key,
                ..gap(at("10:00:00"), None)
            },
        )
        .await;
    }
    assert_eq!(all(table).await, []);
}

/// Times of which one is written with fewer digits are still compared as times.
pub async fn gaps_are_listed_by_start_to_the_nanosecond(table: &impl GapsTable) {
    let stored = [
        "10:00:00",
        "10:00:00.000000001",
        "10:00:00.1",
        "10:00:00.10001",
        "10:00:01",
    ]
    .map(|start| gap(at(start), Some(at("12:00:00"))));
    for gap in stored.iter().rev() {
        put(table, gap).await;
    }
    assert_eq!(all(table).await, stored);
}
