use super::Weather;
use crate::id::ChannelKey;
use crate::ports::{
    Archive, ArchiveRead, ArchiveSweep, DELETE_MAX, Page, PortError, Stored, StoredObject, StoredSegment,
};
use crate::segment::{ObjectKey, SegmentKey, SegmentMeta};
use crate::storage::{Asked, Availability, RestoreTier};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// In bad weather a page may have fewer objects than this.
const SHORT_PAGE: u64 = 100;

/// An archive in memory. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeArchive {
    weather: Weather,
    objects: Arc<Mutex<BTreeMap<ObjectKey, Object>>>,
}

#[derive(Debug, Clone)]
struct Object {
    content: Vec<u8>,
    meta: Option<SegmentMeta>,
}

impl FakeArchive {
    /// An empty archive.
    pub fn new(weather: Weather) -> Self {
        Self {
            weather,
            objects: Arc::default(),
        }
    }

    /// Puts an object there as if it had been for ever.
    pub fn place(&self, key: ObjectKey, content: &[u8]) {
        let object = Object {
            content: content.to_vec(),
            meta: None,
        };
        self.objects().insert(key, object);
    }

    /// The keys of the objects as they really are.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.objects().keys().cloned().collect()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &ObjectKey) -> Result<Object, PortError> {
        let object = self.objects().get(key).cloned();
        object.ok_or_else(|| PortError::refused(format!("reading {key}"), "it is not there"))
    }
}

impl Archive for FakeArchive {
    async fn put(&self, key: &ObjectKey, file: &Path, meta: &SegmentMeta) -> Result<Stored, PortError> {
        let refused = |why: &str| PortError::refused(format!("archiving {key}"), why);
        let content = std::fs::read(file).map_err(|_| refused("the file is gone"))?;
        if hex::encode(Sha256::digest(&content)) != meta.sha256 {
            return Err(refused("the file is not what its sha256 says"));
        }
        let store = || {
            let mut objects = self.objects();
            match objects.get(key) {
                Some(there) if there.content == content => Ok(Stored::Already),
                Some(_) => Err(refused("another content is stored under the key")),
                None => {
                    let meta = Some(meta.clone());
                    objects.insert(key.clone(), Object { content, meta });
                    Ok(Stored::New)
                }
            }
        };
        self.weather.call("archiving", store).await?
    }

    async fn list_segments(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SegmentKey>, PortError> {
        let stored = self.list_stored(channel, from, to).await?;
        Ok(stored.into_iter().map(|segment| segment.key).collect())
    }
}

impl ArchiveSweep for FakeArchive {
    async fn list_channels(&self) -> Result<Vec<ChannelKey>, PortError> {
        let list = || {
            let objects = self.objects();
            let prefixes = objects.keys().filter_map(|key| {
                let end = key.0.match_indices('/').nth(1)?.0;
                ChannelKey::from_prefix(&key.0[..end])
            });
            prefixes.collect::<BTreeSet<_>>().into_iter().collect()
        };
        self.weather.call("listing channels", list).await
    }

    async fn list_page(&self, channel: &ChannelKey, after: Option<&ObjectKey>) -> Result<Page, PortError> {
        // As from S3, a page may be as short as it likes.
        let most = if self.weather.mishap() {
            1 + usize::try_from(self.weather.below(SHORT_PAGE)).unwrap_or(DELETE_MAX)
        } else {
            DELETE_MAX
        };
        let list = || {
            let prefix = format!("{}/", channel.prefix());
            let from = match after {
                Some(key) => Bound::Excluded(key.clone()),
                None => Bound::Included(ObjectKey(prefix.clone())),
            };
            let objects = self.objects();
            let mut page = Page::default();
            for (key, object) in objects.range((from, Bound::Unbounded)) {
                if !key.0.starts_with(&prefix) {
                    break;
                }
                if page.objects.len() == most {
                    page.next = page.objects.last().map(|object| object.key.clone());
                    break;
                }
                page.objects.push(StoredObject {
                    key: key.clone(),
                    size_bytes: object.content.len() as u64,
                    class: None,
                });
            }
            page
        };
        self.weather.call("listing a page", list).await
    }

    async fn delete_objects(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, String)>, PortError> {
        if keys.len() > DELETE_MAX {
            return Err(PortError::refused("deleting", "more keys than one call takes"));
        }
        // A lost answer is worst when only some are gone, and now and then single objects cannot be deleted.
        let broken = self.weather.mishap();
        let some = if broken {
            self.weather.below(keys.len() as u64 + 1)
        } else {
            keys.len() as u64
        };
        let done = usize::try_from(some).unwrap_or(keys.len());
        let delete = || {
            let mut objects = self.objects();
            keys[..done].iter().for_each(|key| _ = objects.remove(key));
        };
        self.weather.call("deleting", delete).await?;
        let failed = keys[done..]
            .iter()
            .map(|key| (key.clone(), "the weather".to_owned()));
        Ok(failed.collect())
    }
}

impl ArchiveRead for FakeArchive {
    async fn list_stored(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredSegment>, PortError> {
        let list = || {
            let objects = self.objects();
            let prefix = format!("{}/", channel.prefix());
            let of_channel = objects
                .range(ObjectKey(prefix.clone())..)
                .take_while(|(key, _)| key.0.starts_with(&prefix));
            let stored = of_channel.filter_map(|(key, object)| {
                let key: SegmentKey = key.0.parse().ok()?;
                let size_bytes = object.content.len() as u64;
                Some(StoredSegment {
                    key,
                    size_bytes,
                    class: None,
                })
            });
            let overlaps = |StoredSegment { key, .. }: &StoredSegment| {
                key.channel == *channel && key.start < to && key.end() > from
            };
            stored.filter(overlaps).collect()
        };
        self.weather.call("listing segments", list).await
    }

    async fn availability(&self, key: &ObjectKey) -> Result<Availability, PortError> {
        let look = || self.find(key).map(|_| Availability::AtOnce);
        self.weather.call("asking for an object", look).await?
    }

    async fn restore(&self, key: &ObjectKey, _: RestoreTier, _: u32) -> Result<Asked, PortError> {
        let look = || self.find(key).map(|_| Asked::NotNeeded);
        self.weather.call("restoring", look).await?
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>, PortError> {
        let read = || {
            let object = self.find(key)?;
            let end = |at: u64| {
                usize::try_from(at)
                    .unwrap_or(usize::MAX)
                    .min(object.content.len())
            };
            let (start, end) = (end(range.start), end(range.end));
            Ok(object.content[start..end.max(start)].to_vec())
        };
        self.weather.call("reading", read).await?
    }

    async fn describe(&self, key: &ObjectKey) -> Result<Option<SegmentMeta>, PortError> {
        let describe = || self.find(key).map(|object| object.meta);
        self.weather.call("describing", describe).await?
    }
}
