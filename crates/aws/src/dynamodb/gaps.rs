use super::item::{Item, Key, Row, attribute};
use super::{Tables, intervals};
use crate::error::failed;
use domain::ports::{GapsTable, PortError};
use domain::{ChannelKey, Gap};
use jiff::Timestamp;
use std::collections::BTreeMap;

impl GapsTable for Tables {
    async fn put_gap(&self, gap: &Gap) -> Result<(), PortError> {
        let doing = format!("storing the gap of {} from {}", gap.key, gap.start);
        let put = self
            .client
            .put_item()
            .table_name(self.names.gaps()?)
            .set_item(Some(Key::of_interval(&gap.key, gap.start).into_item()))
            .item("end", intervals::end(gap.end))
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
        let table = self.names.gaps()?;
        let doing = format!("listing the gaps of {key}");
        let items = intervals::overlapping(&self.client, table, key, (from, to), &doing).await?;
        let gaps = items.into_iter().filter_map(|item| from_item(key, item));
        let by_start: BTreeMap<_, _> = gaps.map(|gap| (gap.start, gap)).collect();
        Ok(by_start.into_values().collect())
    }
}

/// A gap, or nothing where one of its parts does not read.
fn from_item(key: &ChannelKey, item: Item) -> Option<Gap> {
    let mut row = Row::new(format!("gaps {key}"), item);
    Some(Gap {
        key: key.clone(),
        start: row.required("start")?,
        end: row.required::<intervals::End>("end")?.into(),
        cause: row.required("cause")?,
    })
}
