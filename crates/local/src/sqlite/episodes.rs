use super::error::Failure;
use super::{Durability, Sqlite, columns, put_of, sortable};
use domain::ports::{EpisodesTable, PortError, Put};
use domain::{ChannelKey, Episode, Revision};
use jiff::Timestamp;
use rusqlite::params;

impl EpisodesTable for Sqlite {
    async fn list_episodes(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Episode>, PortError> {
        let (device, channel) = columns(key);
        self.read(format!("listing the episodes of {key}"), move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT body FROM episodes
                 WHERE device = ?1 AND channel = ?2 AND started_at < ?4 AND (ended_at IS NULL OR ended_at > ?3)
                 ORDER BY started_at",
            )?;
            let mut rows = statement.query(params![device, channel, sortable(from), sortable(to)])?;
            let mut episodes = Vec::new();
            while let Some(row) = rows.next()? {
                let body: String = row.get(0)?;
                episodes.push(
                    serde_json::from_str(&body).map_err(|error| Failure::damaged("episode", error))?,
                );
            }
            Ok(episodes)
        })
        .await
    }

    async fn put_episode(&self, episode: &Episode, expected: Option<Revision>) -> Result<Put, PortError> {
        let doing = format!("storing the episode of {} from {}", episode.key, episode.start);
        let episode = episode.clone();
        self.write(doing, Durability::Synced, move |transaction| {
            let (device, channel) = columns(&episode.key);
            let (start, end) = (sortable(episode.start), episode.end.map(sortable));
            let revision = i64::try_from(episode.revision.0)?;
            let body = serde_json::to_string(&episode)?;
            let changed = match expected {
                None => transaction
                    .prepare_cached(
                        "INSERT INTO episodes (device, channel, started_at, ended_at, revision, body)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![device, channel, start, end, revision, body])?,
                Some(Revision(expected)) => transaction
                    .prepare_cached(
                        "UPDATE episodes SET ended_at = ?4, revision = ?5, body = ?6
                         WHERE device = ?1 AND channel = ?2 AND started_at = ?3 AND revision = ?7",
                    )?
                    .execute(params![
                        device,
                        channel,
                        start,
                        end,
                        revision,
                        body,
                        i64::try_from(expected)?
                    ])?,
            };
            Ok(put_of(changed))
        })
        .await
    }

    async fn delete_episode(
        &self,
        key: &ChannelKey,
        start: Timestamp,
        expected: Revision,
    ) -> Result<Put, PortError> {
        let (device, channel) = columns(key);
        let doing = format!("deleting the episode of {key} from {start}");
        self.write(doing, Durability::Synced, move |transaction| {
            let start = sortable(start);
            transaction
                .prepare_cached(
                    "DELETE FROM episodes
                     WHERE device = ?1 AND channel = ?2 AND started_at = ?3 AND revision = ?4",
                )?
                .execute(params![device, channel, start, i64::try_from(expected.0)?])?;
            let stays = transaction
                .prepare_cached(
                    "SELECT 1 FROM episodes WHERE device = ?1 AND channel = ?2 AND started_at = ?3",
                )?
                .exists(params![device, channel, start])?;
            Ok(if stays { Put::Stale } else { Put::Written })
        })
        .await
    }
}
