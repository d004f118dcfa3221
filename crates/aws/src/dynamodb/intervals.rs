//! What gaps and episodes have in common: rows of a channel by their start, looked for by overlap.

use super::item::{Item, sortable, text};
use super::pages;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ChannelKey;
use domain::ports::PortError;
use jiff::Timestamp;
use serde::Deserialize;

/// The local index by the ends of a channel's intervals. What is asked for is mostly recent, so reading what ended
/// since reads little, however many intervals the channel has had.
const BY_END: &str = "end-index";

/// The `end` of an interval that lasts: text behind every time.
const OPEN: &str = "open";

/// The items of the channel's intervals that overlap `[from, to)`, by their ends.
pub(super) async fn overlapping(
    client: &Client,
    table: &str,
    key: &ChannelKey,
    (from, to): (Timestamp, Timestamp),
    doing: &str,
) -> Result<Vec<Item>, PortError> {
    let query = client
        .query()
        .table_name(table)
        .index_name(BY_END)
        .consistent_read(true)
        .key_condition_expression("channelKey = :channel AND #end > :from")
        .filter_expression("#start < :to")
        .expression_attribute_names("#start", "start")
        .expression_attribute_names("#end", "end")
        .expression_attribute_values(":channel", text(key.prefix()))
        .expression_attribute_values(":from", text(sortable(from)))
        .expression_attribute_values(":to", text(sortable(to)));
    pages::query(query, doing).await
}

/// The attribute `end`.
pub(super) fn end(at: Option<Timestamp>) -> AttributeValue {
    text(at.map_or_else(|| OPEN.to_owned(), sortable))
}

/// The attribute `end` as it is read.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum End {
    /// The text [`OPEN`].
    Open(StillOpen),
    At(Timestamp),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StillOpen {
    Open,
}

impl From<End> for Option<Timestamp> {
    fn from(end: End) -> Self {
        match end {
            End::Open(StillOpen::Open) => None,
            End::At(at) => Some(at),
        }
    }
}
