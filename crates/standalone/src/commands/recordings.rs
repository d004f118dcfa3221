//! What the commands about a range of one channel begin with.

use crate::archive::{AnyArchive, History, ensure_known, history};
use crate::playlist::without_repeats;
use crate::restores::{self, Waiting};
use crate::source::Source;
use anyhow::ensure;
use domain::{ChannelKey, DeviceIndex, SegmentKey};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::ops::Range;

/// What there is of a channel in a range, and where it was read.
pub(crate) struct Recordings {
    pub(crate) source: Source,
    pub(crate) archive: AnyArchive,
    pub(crate) key: ChannelKey,
    pub(crate) range: Range<Timestamp>,
    pub(crate) history: History,
}

impl Recordings {
    /// Looks for it.
    ///
    /// # Errors
    /// The range is empty, there is no such channel, or tables or archive cannot be read.
    pub(crate) async fn find(
        source: Source,
        device: String,
        channel: &str,
        range: Range<Timestamp>,
    ) -> anyhow::Result<Self> {
        ensure!(!range.is_empty(), "--from must be before --to");
        let archive = source.archive().await;
        let key = ChannelKey::new(DeviceIndex::new(device), channel);
        ensure_known(&archive, &source.tables, &key).await?;
        let history = history(&archive, &source.tables, &key, range.start, range.end).await?;
        Ok(Self {
            source,
            archive,
            key,
            range,
            history,
        })
    }

    /// Its segments, each moment once, and those of them that cannot be read yet.
    ///
    /// # Errors
    /// There are none, or the archive cannot tell which can be read.
    pub(crate) async fn playable(&self) -> anyhow::Result<(Vec<SegmentKey>, Waiting)> {
        let segments = without_repeats(self.history.segments.clone());
        let Range { start, end } = self.range;
        ensure!(
            !segments.is_empty(),
            "nothing of {} is in the archive between {start} and {end}",
            self.key
        );
        let waiting = self.waiting(&segments).await?;
        Ok((segments, waiting))
    }

    async fn waiting(&self, segments: &[SegmentKey]) -> anyhow::Result<Waiting> {
        let asked: BTreeSet<&SegmentKey> = segments.iter().collect();
        let mut objects = self.history.objects.clone();
        objects.retain(|object| asked.contains(&object.key));
        restores::look(&self.archive, &objects).await
    }
}
