use super::error::Failure;
use super::{Durability, Sqlite, columns, sortable};
use domain::ports::{GapsTable, PortError};
use domain::{ChannelKey, Gap};
use jiff::Timestamp;
use rusqlite::{Row, params};

impl GapsTable for Sqlite {
    async fn put_gap(&self, gap: &Gap) -> Result<(), PortError> {
        let doing = format!("storing the gap of {} from {}", gap.key, gap.start);
        let gap = gap.clone();
        self.write(doing, Durability::Synced, move |transaction| {
            let (device, channel) = columns(&gap.key);
            let cause = serde_json::to_string(&gap.cause)?;
            transaction
                .prepare_cached(
                    "INSERT INTO gaps (device, channel, started_at, ended_at, cause) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET ended_at = excluded.ended_at, cause = excluded.cause",
                )?
                .execute(params![device, channel, sortable(gap.start), gap.end.map(sortable), cause])?;
            Ok(())
        })
        .await
    }

    async fn list_gaps(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Gap>, PortError> {
        let key = key.clone();
        self.read(format!("listing the gaps of {key}"), move |connection| {
            let (device, channel) = columns(&key);
            let mut statement = connection.prepare_cached(
                "SELECT started_at, ended_at, cause FROM gaps
                 WHERE device = ?1 AND channel = ?2 AND started_at < ?4 AND (ended_at IS NULL OR ended_at > ?3)
                 ORDER BY started_at",
            )?;
            let mut rows = statement.query(params![device, channel, sortable(from), sortable(to)])?;
            let mut gaps = Vec::new();
            while let Some(row) = rows.next()? {
                gaps.push(from_row(&key, row)?);
            }
            Ok(gaps)
        })
        .await
    }
}

fn from_row(key: &ChannelKey, row: &Row<'_>) -> Result<Gap, Failure> {
    let (start, end, cause): (String, Option<String>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(Gap {
        key: key.clone(),
        start: parsed(&start)?,
        end: end.as_deref().map(parsed).transpose()?,
        cause: serde_json::from_str(&cause).map_err(|error| Failure::damaged("cause", error))?,
    })
}

fn parsed(text: &str) -> Result<Timestamp, Failure> {
    text.parse()
        .map_err(|error: jiff::Error| Failure::damaged("time", error))
}
