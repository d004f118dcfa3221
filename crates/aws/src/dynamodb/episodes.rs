use super::item::{Item, Key, attribute, number, text};
use super::write::{If, Update, delete};
use super::{Tables, intervals};
use domain::episode::{Episode, EpisodeOrigin};
use domain::ports::{EpisodesTable, PortError, Put};
use domain::{ChannelKey, ObjectKey, Revision};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

impl EpisodesTable for Tables {
    async fn list_episodes(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Episode>, PortError> {
        let table = self.names.episodes()?;
        let doing = format!("listing the episodes of {key}");
        let items = intervals::overlapping(&self.client, table, key, (from, to), &doing).await?;
        let episodes = items.into_iter().map(|item| from_item(key, item, &doing));
        let by_start: BTreeMap<_, _> = episodes.collect::<Result<_, _>>()?;
        Ok(by_start.into_values().collect())
    }

    async fn put_episode(&self, episode: &Episode, expected: Option<Revision>) -> Result<Put, PortError> {
        let table = self.names.episodes()?;
        let doing = format!("storing the episode of {} from {}", episode.key, episode.start);
        let condition = match expected {
            None => If::Absent,
            Some(revision) => If::Has(vec![("revision", number(revision.0))]),
        };
        let mut update = Update {
            set: vec![
                ("end", intervals::end(episode.end)),
                ("reason", text(&episode.reason)),
                ("labels", attribute(&episode.labels, &doing)?),
                ("origin", attribute(&episode.origin, &doing)?),
                ("revision", number(episode.revision.0)),
            ],
            remove: Vec::new(),
        };
        update.set_or_remove("expiresAt", episode.expires_at.map(|at| text(at.to_string())));
        update.set_or_remove("preview", episode.preview.as_ref().map(|key| text(&key.0)));
        let key = Key::of_interval(&episode.key, episode.start);
        update.write(&self.client, table, key, condition, &doing).await
    }

    async fn delete_episode(
        &self,
        key: &ChannelKey,
        start: Timestamp,
        expected: Revision,
    ) -> Result<Put, PortError> {
        let table = self.names.episodes()?;
        let doing = format!("deleting the episode of {key} from {start}");
        let expected = ("revision", number(expected.0));
        let key = Key::of_interval(key, start);
        delete(&self.client, table, key, expected, &doing).await
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    start: Timestamp,
    end: intervals::End,
    reason: String,
    labels: BTreeMap<String, String>,
    expires_at: Option<Timestamp>,
    preview: Option<ObjectKey>,
    origin: EpisodeOrigin,
    revision: Revision,
}

/// One that does not read is an error: what it protects would be deleted if it were left out.
fn from_item(key: &ChannelKey, item: Item, doing: &str) -> Result<(Timestamp, Episode), PortError> {
    let stored: Stored = serde_dynamo::from_item(item).map_err(|error| PortError::refused(doing, error))?;
    let episode = Episode {
        key: key.clone(),
        start: stored.start,
        end: stored.end.into(),
        reason: stored.reason,
        labels: stored.labels,
        expires_at: stored.expires_at,
        preview: stored.preview,
        origin: stored.origin,
        revision: stored.revision,
    };
    Ok((stored.start, episode))
}
