//! What people do with episodes: one set of rules for the command line and the API.

use super::{Episode, NotAnEpisode};
use crate::id::ChannelKey;
use crate::ports::{EpisodesTable, PortError, Put};
use crate::segment::ObjectKey;
use jiff::{SignedDuration, Timestamp};

/// The label that keeps what a program calls the episode it asked for, so that asking twice makes one.
pub const CLIENT_ID: &str = "client-id";

/// Why an episode is not made, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It would be none.
    #[error(transparent)]
    NotAnEpisode(#[from] NotAnEpisode),
    /// It would keep nothing.
    #[error("it expires at {expires_at}, which is over")]
    Expired {
        /// When it expires.
        expires_at: Timestamp,
    },
    /// There is one.
    #[error("an episode of {key} starts at {start} already; extend that one")]
    Exists {
        /// Of which channel.
        key: ChannelKey,
        /// Its start.
        start: Timestamp,
    },
    /// There is none.
    #[error("no episode of {key} starts at {start}")]
    Missing {
        /// Of which channel.
        key: ChannelKey,
        /// The start that was asked for.
        start: Timestamp,
    },
    /// It is as long already.
    #[error("it reaches until {end} already")]
    ReachesAlready {
        /// Its end.
        end: Timestamp,
    },
    /// It has no end.
    #[error("it goes on already")]
    GoesOn,
    /// Somebody else was faster; the same may succeed now.
    #[error("another program changed the episode at the same time; try again")]
    Changed,
    /// The table did not do it, or nobody knows whether it did.
    #[error("the episodes are out of reach")]
    Table(#[from] PortError),
}

/// What became of a wish for an episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// It is new.
    New(Episode),
    /// The same wish made it before; this is how it is now.
    Already(Episode),
}

/// Stores a new episode. One that is there with the same [`CLIENT_ID`] is the same wish.
///
/// # Errors
/// [`EditError`]. After [`EditError::Table`] it may be there all the same: asking again with a client's id tells.
pub async fn create(table: &impl EpisodesTable, row: Episode, now: Timestamp) -> Result<Made, EditError> {
    row.check()?;
    if let Some(expires_at) = row.expires_at.filter(|expires_at| *expires_at <= now) {
        return Err(EditError::Expired { expires_at });
    }
    match table.put_episode(&row, None).await? {
        Put::Written => Ok(Made::New(row)),
        Put::Stale => {
            let there = find(table, &row.key, row.start).await?;
            let client = row.labels.get(CLIENT_ID);
            if client.is_some() && client == there.labels.get(CLIENT_ID) {
                return Ok(Made::Already(there));
            }
            let Episode { key, start, .. } = row;
            Err(EditError::Exists { key, start })
        }
    }
}

/// Makes an episode longer.
///
/// # Errors
/// [`EditError`].
pub async fn extend(
    table: &impl EpisodesTable,
    key: &ChannelKey,
    start: Timestamp,
    to: Timestamp,
) -> Result<Episode, EditError> {
    let row = find(table, key, start).await?;
    match row.end {
        Some(end) if end < to => change(table, row, |row| row.end = Some(to)).await,
        Some(end) => Err(EditError::ReachesAlready { end }),
        None => Err(EditError::GoesOn),
    }
}

/// Ends an episode that goes on, or that reaches further than it should.
///
/// # Errors
/// [`EditError`].
pub async fn end(
    table: &impl EpisodesTable,
    key: &ChannelKey,
    start: Timestamp,
    at: Timestamp,
) -> Result<Episode, EditError> {
    let row = find(table, key, start).await?;
    change(table, row, |row| row.end = Some(at)).await
}

/// Names the picture of an episode.
///
/// # Errors
/// [`EditError`].
pub async fn set_preview(
    table: &impl EpisodesTable,
    key: &ChannelKey,
    start: Timestamp,
    preview: ObjectKey,
) -> Result<Episode, EditError> {
    let row = find(table, key, start).await?;
    change(table, row, |row| row.preview = Some(preview)).await
}

/// Deletes an episode: what it kept falls under its retention again.
///
/// # Errors
/// [`EditError`].
pub async fn delete(table: &impl EpisodesTable, key: &ChannelKey, start: Timestamp) -> Result<(), EditError> {
    let row = find(table, key, start).await?;
    stored(table.delete_episode(key, start, row.revision).await?)
}

async fn change(
    table: &impl EpisodesTable,
    mut row: Episode,
    edit: impl FnOnce(&mut Episode),
) -> Result<Episode, EditError> {
    let read = row.revision;
    edit(&mut row);
    row.revision = read.next();
    row.check()?;
    stored(table.put_episode(&row, Some(read)).await?)?;
    Ok(row)
}

/// The episode of this channel and start.
///
/// # Errors
/// [`EditError::Missing`], or the table's.
pub async fn find(
    table: &impl EpisodesTable,
    key: &ChannelKey,
    start: Timestamp,
) -> Result<Episode, EditError> {
    // One of no length overlaps nothing that begins at its start.
    let beside = SignedDuration::from_secs(1);
    let from = start.saturating_sub(beside).unwrap_or(Timestamp::MIN);
    let to = start.saturating_add(beside).unwrap_or(Timestamp::MAX);
    let rows = table.list_episodes(key, from, to).await?;
    let found = rows.into_iter().find(|row| row.start == start);
    found.ok_or_else(|| EditError::Missing {
        key: key.clone(),
        start,
    })
}

fn stored(put: Put) -> Result<(), EditError> {
    match put {
        Put::Written => Ok(()),
        Put::Stale => Err(EditError::Changed),
    }
}
