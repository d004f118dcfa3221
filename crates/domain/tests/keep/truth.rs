//! What is really so in keep's storm, and an archive that holds each delete to it.

use super::{DAY, RETENTION_DAYS, at};
use domain::fakes::{FakeArchive, FakeTables};
use domain::ports::{ArchiveSweep, Page, PortError};
use domain::{Archived, ChannelKey, Episode, ObjectKey};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

/// A run may delete by episodes that it read so long ago.
const EPISODES_FRESH: i64 = 30;

/// The true time, and what people said and when.
pub(crate) struct Truth {
    now: AtomicI64,
    retentions: Mutex<BTreeMap<ChannelKey, u32>>,
    /// Since when each episode is there.
    episodes_since: Mutex<BTreeMap<(ChannelKey, Timestamp), i64>>,
}

impl Truth {
    pub(crate) fn new(now: i64) -> Self {
        Self {
            now: AtomicI64::new(now),
            retentions: Mutex::default(),
            episodes_since: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn retention(&self, channel: &ChannelKey) -> u32 {
        let retentions = self.retentions.lock().unwrap();
        retentions.get(channel).copied().unwrap_or(RETENTION_DAYS)
    }

    pub(crate) fn set_retention(&self, channel: &ChannelKey, days: u32) {
        self.retentions.lock().unwrap().insert(channel.clone(), days);
    }

    pub(crate) fn note_episode(&self, row: &Episode) {
        let mut since = self.episodes_since.lock().unwrap();
        since.insert((row.key.clone(), row.start), self.now());
    }

    fn is_readable(&self, row: &Episode) -> bool {
        let since = self.episodes_since.lock().unwrap();
        self.now() - since[&(row.key.clone(), row.start)] > EPISODES_FRESH
    }

    /// What nobody may delete now: judged by the true time, frame by frame, without the loop's own code.
    pub(crate) fn protects(&self, key: &ObjectKey, episodes: &[Episode]) -> bool {
        let Some(archived) = Archived::parse(key) else {
            return true;
        };
        let (start, end) = (archived.start(), archived.end());
        let days = self.retention(&channel_of(key));
        let is_young = days == 0 || end > at(self.now() - i64::from(days) * DAY);
        let is_wanted = |row: &Episode| {
            row.key == channel_of(key)
                && row
                    .expires_at
                    .is_none_or(|expires_at| at(self.now()) < expires_at)
                && row.start <= end
                && row.end.is_none_or(|row_end| start <= row_end)
                && self.is_readable(row)
        };
        is_young || episodes.iter().any(is_wanted)
    }
}

/// The channel that an object of the archive belongs to.
pub(crate) fn channel_of(key: &ObjectKey) -> ChannelKey {
    let end = key.0.match_indices('/').nth(1).unwrap().0;
    ChannelKey::from_prefix(&key.0[..end]).unwrap()
}

/// The archive as a run uses it: what was listed is noted, and what is deleted must be free.
pub(crate) struct Watched<'a> {
    pub(crate) inner: &'a FakeArchive,
    pub(crate) tables: &'a FakeTables,
    pub(crate) truth: &'a Truth,
    pub(crate) pages: Mutex<Vec<Listed>>,
}

/// A page that was asked for.
pub(crate) struct Listed {
    pub(crate) channel: ChannelKey,
    pub(crate) is_first: bool,
    /// More of the channel follows it.
    pub(crate) has_next: bool,
}

impl ArchiveSweep for Watched<'_> {
    async fn list_channels(&self) -> Result<Vec<ChannelKey>, PortError> {
        self.inner.list_channels().await
    }

    async fn list_page(&self, channel: &ChannelKey, after: Option<&ObjectKey>) -> Result<Page, PortError> {
        assert_ne!(
            self.truth.retention(channel),
            0,
            "listed {channel}, which keeps all"
        );
        let page = self.inner.list_page(channel, after).await;
        let listed = Listed {
            channel: channel.clone(),
            is_first: after.is_none(),
            has_next: page.as_ref().is_ok_and(|page| page.next.is_some()),
        };
        self.pages.lock().unwrap().push(listed);
        page
    }

    async fn delete_objects(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, String)>, PortError> {
        let episodes = self.tables.episodes();
        for key in keys {
            assert!(!self.truth.protects(key, &episodes), "I9: {key} is being deleted");
        }
        self.inner.delete_objects(keys).await
    }
}
