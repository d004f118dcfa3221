use super::item::{Item, Row, attribute, text};
use super::{Tables, pages};
use crate::error::failed;
use domain::ports::{GapsTable, PortError};
use domain::{ChannelKey, Gap};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The local index by the ends of a channel's gaps. What is asked for is mostly recent, so reading what ended since
/// reads little, however many gaps the channel has had.
const BY_END: &str = "end-index";

/// The `end` of a gap that lasts: text behind every time.
const OPEN: &str = "open";

impl GapsTable for Tables {
    async fn put_gap(&self, gap: &Gap) -> Result<(), PortError> {
        let doing = format!("storing the gap of {} from {}", gap.key, gap.start);
        let end = gap.end.map_or_else(|| OPEN.to_owned(), sortable);
        let put = self
            .client
            .put_item()
            .table_name(self.names.gaps()?)
            .item("channelKey", text(gap.key.prefix()))
            .item("start", text(sortable(gap.start)))
            .item("end", text(end))
            .item("cause", attribute(&gap.cause, &doing)?);
        let put = put.send().await;
        put.map_err(|error| failed(error, doing))?;
        Ok(())
    }

    async fn list_gaps(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Gap>, PortError> {
        let query = self
            .client
            .query()
            .table_name(self.names.gaps()?)
            .index_name(BY_END)
            .consistent_read(true)
            .key_condition_expression("channelKey = :channel AND #end > :from")
            .filter_expression("#start < :to")
            .expression_attribute_names("#start", "start")
            .expression_attribute_names("#end", "end")
            .expression_attribute_values(":channel", text(key.prefix()))
            .expression_attribute_values(":from", text(sortable(from)))
            .expression_attribute_values(":to", text(sortable(to)));
        let items = pages::query(query, &format!("listing the gaps of {key}")).await?;
        let gaps = items.into_iter().filter_map(|item| from_item(key, item));
        let by_start: BTreeMap<_, _> = gaps.map(|gap| (gap.start, gap)).collect();
        Ok(by_start.into_values().collect())
    }
}

/// A time as text whose order is the order of times from the year 0 on: always nine digits of a second, in UTC.
fn sortable(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// A gap, or nothing where one of its parts does not read.
fn from_item(key: &ChannelKey, item: Item) -> Option<Gap> {
    let mut row = Row::new(format!("gaps {key}"), item);
    Some(Gap {
        key: key.clone(),
        start: row.required("start")?,
        end: match row.required("end")? {
            End::At(end) => Some(end),
            End::Open(StillOpen::Open) => None,
        },
        cause: row.required("cause")?,
    })
}

#[derive(Deserialize)]
#[serde(untagged)]
enum End {
    Open(StillOpen),
    At(Timestamp),
}

/// The text [`OPEN`].
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StillOpen {
    Open,
}
