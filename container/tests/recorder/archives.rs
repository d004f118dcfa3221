//! Archives with bad days.

use domain::ports::{Archive, PortError, Stored};
use domain::{ChannelKey, ObjectKey, SegmentKey, SegmentMeta};
use jiff::Timestamp;
use local::Folder;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A folder with moods. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Moody {
    folder: Folder,
    mood: Arc<Mutex<Mood>>,
    now: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
}

/// How an archive feels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It stores.
    Well,
    /// Nobody answers.
    Away,
    /// It refuses everything, like a bucket without permission.
    RefusesAll,
    /// It refuses one object, the first it is offered in this mood.
    RefusesOne(Option<ObjectKey>),
}

impl Moody {
    pub(crate) fn new(folder: Folder, mood: Mood) -> Self {
        Self {
            folder,
            mood: Arc::new(Mutex::new(mood)),
            now: Arc::default(),
            most: Arc::default(),
        }
    }

    pub(crate) fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The most puts that ran at once.
    pub(crate) fn most_at_once(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }

    fn answer(&self, key: &ObjectKey) -> Result<(), PortError> {
        let mut mood = self.mood.lock().unwrap();
        if *mood == Mood::RefusesOne(None) {
            *mood = Mood::RefusesOne(Some(key.clone()));
        }
        match &*mood {
            Mood::Well => Ok(()),
            Mood::Away => Err(PortError::unknown("storing", "the mood")),
            Mood::RefusesAll => Err(PortError::refused("storing", "the mood")),
            Mood::RefusesOne(refused) if refused.as_ref() == Some(key) => {
                Err(PortError::refused("storing", "the mood"))
            }
            Mood::RefusesOne(_) => Ok(()),
        }
    }
}

impl Archive for Moody {
    async fn put(&self, key: &ObjectKey, file: &Path, meta: &SegmentMeta) -> Result<Stored, PortError> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        let stored = match self.answer(key) {
            Ok(()) => self.folder.put(key, file, meta).await,
            Err(error) => Err(error),
        };
        self.now.fetch_sub(1, Ordering::Relaxed);
        stored
    }

    async fn list_segments(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SegmentKey>, PortError> {
        self.folder.list_segments(channel, from, to).await
    }
}
