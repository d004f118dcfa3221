use super::error::Failure;
use super::{Durability, Sqlite, columns, put_of};
use domain::ports::{ChannelsTable, PortError, Put};
use domain::{ChannelKey, ChannelRow, Revision};
use rusqlite::params;

impl ChannelsTable for Sqlite {
    async fn list_channels(&self) -> Result<Vec<ChannelRow>, PortError> {
        self.read("listing the channels", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT body FROM channels ORDER BY device, channel")?;
            let mut rows = statement.query([])?;
            let mut channels = Vec::new();
            while let Some(row) = rows.next()? {
                channels.push(from_body(&row.get::<_, String>(0)?)?);
            }
            Ok(channels)
        })
        .await
    }

    async fn put_channel(&self, row: &ChannelRow, expected: Option<Revision>) -> Result<Put, PortError> {
        let doing = format!("storing channel {}", row.key);
        let row = row.clone();
        self.write(doing, Durability::Synced, move |transaction| {
            let (device, channel) = columns(&row.key);
            let revision = i64::try_from(row.revision.0)?;
            let body = serde_json::to_string(&row)?;
            let changed = match expected {
                None => transaction
                    .prepare_cached(
                        "INSERT INTO channels (device, channel, revision, body) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![device, channel, revision, body])?,
                Some(Revision(expected)) => transaction
                    .prepare_cached(
                        "UPDATE channels SET revision = ?3, body = ?4
                         WHERE device = ?1 AND channel = ?2 AND revision = ?5",
                    )?
                    .execute(params![device, channel, revision, body, i64::try_from(expected)?])?,
            };
            Ok(put_of(changed))
        })
        .await
    }

    async fn delete_channel(&self, key: &ChannelKey, expected: Revision) -> Result<Put, PortError> {
        let (device, channel) = columns(key);
        self.write(
            format!("deleting channel {key}"),
            Durability::Synced,
            move |transaction| {
                transaction
                    .prepare_cached(
                        "DELETE FROM channels WHERE device = ?1 AND channel = ?2 AND revision = ?3",
                    )?
                    .execute(params![device, channel, i64::try_from(expected.0)?])?;
                let stays = transaction
                    .prepare_cached("SELECT 1 FROM channels WHERE device = ?1 AND channel = ?2")?
                    .exists(params![device, channel])?;
                Ok(if stays { Put::Stale } else { Put::Written })
            },
        )
        .await
    }
}

fn from_body(body: &str) -> Result<ChannelRow, Failure> {
    serde_json::from_str(body).map_err(|error| Failure::damaged("channel", error))
}
