//! What the commands about a range of one channel begin with.

use super::status::open;
use crate::archive::{AnyArchive, History, history};
use crate::config::{Config, Options};
use crate::playlist::without_repeats;
use crate::restores::{self, Waiting};
use anyhow::ensure;
use domain::{ChannelKey, DeviceIndex, SegmentKey};
use jiff::Timestamp;
use local::Sqlite;
use std::collections::BTreeSet;
use std::ops::Range;

/// What there is of a channel in a range, and where it was read.
pub(crate) struct Footage {
    pub(crate) config: Config,
    pub(crate) table: Sqlite,
    pub(crate) archive: AnyArchive,
    pub(crate) key: ChannelKey,
    pub(crate) range: Range<Timestamp>,
    pub(crate) history: History,
}

impl Footage {
    /// Looks for it where the options say.
    pub(crate) async fn find(
        options: Options,
        device: String,
        channel: &str,
        range: Range<Timestamp>,
    ) -> anyhow::Result<Self> {
        ensure!(!range.is_empty(), "--from must be before --to");
        let config = Config::load(options)?;
        let table = open(&config).await?;
        let archive = AnyArchive::open(&config.archive).await?;
        let key = ChannelKey::new(DeviceIndex::new(device), channel);
        let history = history(&archive, &table, &key, range.start, range.end).await?;
        Ok(Self {
            config,
            table,
            archive,
            key,
            range,
            history,
        })
    }

    /// Those of the segments that cannot be read yet.
    pub(crate) async fn waiting(&self, segments: &[SegmentKey]) -> anyhow::Result<Waiting> {
        let asked: BTreeSet<&SegmentKey> = segments.iter().collect();
        let mut objects = self.history.objects.clone();
        objects.retain(|object| asked.contains(&object.key));
        restores::look(&self.archive, &objects).await
    }

    /// Its segments, each moment once.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn playable(&self) -> anyhow::Result<Vec<SegmentKey>> {
        let segments = without_repeats(self.history.segments.clone());
        let Range { start, end } = self.range;
        ensure!(
            !segments.is_empty(),
            "nothing of {} is in the archive between {start} and {end}",
            self.key
        );
        Ok(segments)
    }
}
