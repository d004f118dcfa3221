//! The episodes of many channels, in pages.

use super::Episode;
use crate::id::ChannelKey;
use crate::ports::{EpisodesTable, PortError};
use jiff::Timestamp;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Channels looked at for one page, each a read of the table: a page may be short, or empty, and have a next one.
pub const CHANNELS_PER_PAGE_MAX: usize = 100;

/// A part of the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EpisodesPage {
    /// By channel and start.
    pub episodes: Vec<Episode>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<Cursor>,
}

/// A place in the list: in this channel, behind that start. Written as `DEVICE/CHANNEL@START`, the names as in the
/// archive's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    channel: ChannelKey,
    after: Option<Timestamp>,
}

/// Lists at most `limit` episodes of `channels`, which are in order, that overlap `range`, from `cursor` on.
///
/// # Errors
/// The table's.
pub async fn page(
    table: &impl EpisodesTable,
    channels: &[ChannelKey],
    range: &Range<Timestamp>,
    cursor: Option<&Cursor>,
    limit: usize,
) -> Result<EpisodesPage, PortError> {
    let first = cursor.map_or(0, |cursor| {
        channels.partition_point(|channel| *channel < cursor.channel)
    });
    let mut page = EpisodesPage::default();
    for (looked_at, channel) in channels[first..].iter().enumerate() {
        if looked_at == CHANNELS_PER_PAGE_MAX || page.episodes.len() >= limit {
            page.next = Some(Cursor {
                channel: channel.clone(),
                after: None,
            });
            return Ok(page);
        }
        let after = cursor
            .filter(|cursor| cursor.channel == *channel)
            .and_then(|cursor| cursor.after);
        let rows = table.list_episodes(channel, range.start, range.end).await?;
        let mut rows = rows.into_iter().filter(|row| Some(row.start) > after);
        page.episodes
            .extend(rows.by_ref().take(limit - page.episodes.len()));
        if rows.next().is_some() {
            page.next = Some(Cursor {
                channel: channel.clone(),
                after: page.episodes.last().map(|row| row.start),
            });
            return Ok(page);
        }
    }
    Ok(page)
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@", self.channel.prefix())?;
        match self.after {
            Some(after) => write!(f, "{after}"),
            None => Ok(()),
        }
    }
}

/// The text that is not a place in the list.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not where a page ended")]
pub struct NotACursor(String);

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (channel, after) = text.split_once('@')?;
            let after = match after {
                "" => None,
                after => Some(after.parse().ok()?),
            };
            let channel = ChannelKey::from_prefix(channel)?;
            Some(Self { channel, after })
        };
        read().ok_or_else(|| NotACursor(text.to_owned()))
    }
}
