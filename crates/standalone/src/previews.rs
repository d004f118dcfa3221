//! Episodes get their pictures: `millrace run` takes them soon after an episode begins, while what they show is at hand.

use crate::archive::AnyArchive;
use crate::preview;
use anyhow::Context;
use domain::ports::{ChannelsTable, EpisodesTable};
use domain::{ChannelKey, Episode};
use jiff::{SignedDuration, Timestamp};
use local::Sqlite;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// Between two rounds.
pub(crate) const EVERY: Duration = Duration::from_secs(5 * 60);

/// Older episodes get theirs when somebody asks, by `millrace episodes preview`.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// A round takes no more: each reads a segment and decodes the beginning of it.
const TAKEN_MAX: usize = 20;

/// So often one is tried: its first segment may not be in the archive yet, or there may never be one.
const TRIES_MAX: u32 = 5;

/// What a process knows of earlier rounds.
#[derive(Debug)]
pub(crate) struct Previews {
    /// Pictures pass through this file.
    file: PathBuf,
    tried: BTreeMap<(ChannelKey, Timestamp), u32>,
}

impl Previews {
    /// Nothing was tried yet. Pictures pass through a file in this folder.
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            file: data.join("preview.jpg"),
            tried: BTreeMap::new(),
        }
    }

    /// Takes some of the pictures that are missing; answers how many.
    ///
    /// # Errors
    /// The tables cannot be read. A picture that cannot be taken is tried again by a later round.
    pub(crate) async fn round(
        &mut self,
        archive: &AnyArchive,
        table: &Sqlite,
        now: Timestamp,
    ) -> anyhow::Result<usize> {
        let since = now.saturating_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        let missing = missing(table, since, now).await?;
        self.tried.retain(|(_, start), _| *start >= since);
        let mut taken = 0;
        for episode in missing {
            let place = (episode.key.clone(), episode.start);
            let tries = self.tried.entry(place).or_default();
            if taken == TAKEN_MAX || *tries == TRIES_MAX {
                continue;
            }
            *tries += 1;
            match take(archive, table, &episode, &self.file, now).await {
                Ok(()) => taken += 1,
                Err(error) => {
                    let (channel, start) = (&episode.key, episode.start);
                    tracing::debug!(%channel, %start, error = format!("{error:#}"), "no picture yet");
                }
            }
        }
        Ok(taken)
    }
}

/// Whether there is the program that takes them.
pub(crate) async fn can_be_taken() -> bool {
    let ffmpeg = Command::new("ffmpeg").arg("-version").output().await;
    ffmpeg.is_ok_and(|output| output.status.success())
}

/// The young episodes without a picture, the newest first: it is the one that somebody waits for.
async fn missing(table: &Sqlite, since: Timestamp, now: Timestamp) -> anyhow::Result<Vec<Episode>> {
    let mut missing = Vec::new();
    for row in table.list_channels().await.context("reading the channels")? {
        let episodes = table.list_episodes(&row.key, since, now).await;
        let episodes = episodes.with_context(|| format!("reading the episodes of {}", row.key))?;
        missing.extend(
            episodes
                .into_iter()
                .filter(|episode| episode.preview.is_none() && episode.start >= since),
        );
    }
    missing.sort_by_key(|episode| std::cmp::Reverse(episode.start));
    Ok(missing)
}

async fn take(
    archive: &AnyArchive,
    table: &Sqlite,
    episode: &Episode,
    file: &Path,
    now: Timestamp,
) -> anyhow::Result<()> {
    let picture = preview::take(archive, episode, now).await?;
    let stored = picture.store(archive, table, episode, file).await;
    // The archive has it, or the next try writes it anew.
    _ = std::fs::remove_file(file);
    stored
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ObjectKey;
    use domain::fakes::rows;
    use domain::ports::Put;

    fn episode(start: Timestamp, preview: Option<&str>) -> Episode {
        Episode {
            preview: preview.map(|key| ObjectKey(key.to_owned())),
            ..rows::episode(ChannelKey::new("A", "1"), start, None)
        }
    }

    #[tokio::test]
    async fn what_has_no_footage_is_tried_a_few_times_and_what_has_a_picture_or_is_old_never() {
        let folder = tempfile::tempdir().unwrap();
        let table = Sqlite::open(&folder.path().join("state.sqlite")).await.unwrap();
        let archive = local::Folder::at(folder.path().join("archive"));
        archive.make().await.unwrap();
        let archive = AnyArchive::Folder(archive);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let ago = |hours| now - SignedDuration::from_hours(hours);
        let bare = episode(ago(2), None);
        let row = rows::channel(bare.key.clone(), ago(40));
        assert_eq!(table.put_channel(&row, None).await.unwrap(), Put::Written);
        for row in [
            &bare,
            &episode(ago(3), Some("A/1/x.jpg")),
            &episode(ago(30), None),
        ] {
            assert_eq!(table.put_episode(row, None).await.unwrap(), Put::Written);
        }
        let mut previews = Previews::new(folder.path());
        for _ in 0..TRIES_MAX + 2 {
            assert_eq!(previews.round(&archive, &table, now).await.unwrap(), 0);
        }
        let tried = BTreeMap::from([((bare.key.clone(), bare.start), TRIES_MAX)]);
        assert_eq!(previews.tried, tried);
        let tomorrow = now + SignedDuration::from_hours(24);
        previews.round(&archive, &table, tomorrow).await.unwrap();
        assert_eq!(previews.tried, BTreeMap::new(), "what is too old is forgotten");
    }
}
