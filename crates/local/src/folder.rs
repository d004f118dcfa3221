//! The archive in a folder: an object is a file at its key, written once.
//!
//! ```text
//! root/.incoming/<unique>                       a put under way; never listed
//! root/CAM/1/2026/11/21/<segment>.mp4           the object; it appears whole and synced, or not at all
//! root/CAM/1/2026/11/21/<segment>.mp4.json      its `SegmentMeta`
//! ```
//!
//! The metadata is a file of its own because extended attributes do not survive the NAS shares, `rsync` and
//! `tar` that archives pass through, and boxes inside the MP4 would change the bytes that its SHA-256 names. The
//! object is published first, since that decides which of two writers won; a put that was killed between the
//! two is completed when it is repeated.

mod list;
mod look;
mod put;
mod sweep;

use domain::ports::{Archive, ArchiveRead, ArchiveSweep, Page, PortError, Stored, StoredSegment};
use domain::storage::{Asked, Availability, RestoreTier};
use domain::{ChannelKey, ObjectKey, SegmentKey, SegmentMeta};
use jiff::Timestamp;
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where puts are written before they are published. No key has a part that starts with a dot.
const INCOMING: &str = ".incoming";

/// What a sidecar's name adds to its object's.
const SIDECAR: &str = ".json";

/// A file in [`INCOMING`] this old belongs to a put that died: a put of the largest segment takes seconds.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// An archive below one folder. Any number of processes may use it at once.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens the archive, creating its folder where absent, and removes what puts that died long ago left.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the folder cannot be made or written to.
    pub async fn open(root: &Path) -> Result<Self, PortError> {
        let doing = format!("opening the archive {}", root.display());
        let root = root.to_owned();
        blocking(doing, move || {
            let incoming = root.join(INCOMING);
            std::fs::create_dir_all(&incoming).map_err(Failure::Refused)?;
            sweep(&incoming, SystemTime::now()).map_err(Failure::Refused)?;
            Ok(Self { root })
        })
        .await
    }
}

impl Archive for Folder {
    async fn put(&self, key: &ObjectKey, file: &Path, meta: &SegmentMeta) -> Result<Stored, PortError> {
        let doing = format!("archiving {key}");
        let (root, key) = (self.root.clone(), key.clone());
        let (file, meta) = (file.to_owned(), meta.clone());
        blocking(doing, move || put::put(&root, &relative(&key)?, &file, &meta)).await
    }

    async fn list_segments(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SegmentKey>, PortError> {
        let (root, channel) = (self.root.clone(), channel.clone());
        blocking(format!("listing the segments of {channel}"), move || {
            list::segments(&root, &channel, from, to)
        })
        .await
    }
}

impl ArchiveSweep for Folder {
    async fn list_channels(&self) -> Result<Vec<ChannelKey>, PortError> {
        let root = self.root.clone();
        blocking("listing the channels of the archive".to_owned(), move || {
            sweep::channels(&root)
        })
        .await
    }

    async fn list_page(&self, channel: &ChannelKey, after: Option<&ObjectKey>) -> Result<Page, PortError> {
        let (root, channel, after) = (self.root.clone(), channel.clone(), after.cloned());
        blocking(format!("listing the objects of {channel}"), move || {
            sweep::page(&root, &channel, after.as_ref())
        })
        .await
    }

    async fn delete_objects(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, String)>, PortError> {
        let (root, keys) = (self.root.clone(), keys.to_vec());
        blocking(format!("deleting {} objects", keys.len()), move || {
            sweep::delete(&root, keys)
        })
        .await
    }
}

impl ArchiveRead for Folder {
    async fn list_stored(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredSegment>, PortError> {
        let (root, channel) = (self.root.clone(), channel.clone());
        blocking(format!("listing the segments of {channel}"), move || {
            list::stored(&root, &channel, from, to)
        })
        .await
    }

    async fn availability(&self, key: &ObjectKey) -> Result<Availability, PortError> {
        let (root, key) = (self.root.clone(), key.clone());
        blocking(format!("looking for {key}"), move || {
            look::exists(&root.join(relative(&key)?))?;
            Ok(Availability::AtOnce)
        })
        .await
    }

    async fn restore(&self, key: &ObjectKey, _: RestoreTier, _: u32) -> Result<Asked, PortError> {
        self.availability(key).await.map(|_| Asked::NotNeeded)
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>, PortError> {
        let (root, key) = (self.root.clone(), key.clone());
        blocking(format!("reading {key}"), move || {
            look::read(&root.join(relative(&key)?), &range)
        })
        .await
    }

    async fn describe(&self, key: &ObjectKey) -> Result<Option<SegmentMeta>, PortError> {
        let (root, key) = (self.root.clone(), key.clone());
        blocking(format!("reading what {key} is"), move || {
            look::describe(&root.join(relative(&key)?))
        })
        .await
    }
}

/// Why the archive did not do it.
#[derive(Debug)]
enum Failure {
    /// Nothing was published: the disk is full, away or read-only for the moment.
    Before(io::Error),
    /// It may be published but not be on disk for sure.
    After(io::Error),
    /// It will never be.
    Refused(io::Error),
}

impl Failure {
    fn refused(why: &'static str) -> Self {
        Self::Refused(io::Error::other(why))
    }

    fn while_doing(self, doing: String) -> PortError {
        match self {
            Self::Before(error) => PortError::throttled(doing, error),
            Self::After(error) => PortError::unknown(doing, error),
            Self::Refused(error) => PortError::refused(doing, error),
        }
    }
}

async fn blocking<R: Send + 'static>(
    doing: String,
    work: impl FnOnce() -> Result<R, Failure> + Send + 'static,
) -> Result<R, PortError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(failure)) => Err(failure.while_doing(doing)),
        Err(lost) => Err(PortError::unknown(doing, lost)),
    }
}

/// The name of an object's sidecar.
fn sidecar(object: &Path) -> PathBuf {
    let mut name = OsString::from(object);
    name.push(SIDECAR);
    PathBuf::from(name)
}

/// The key as a path that cannot leave the root and is neither a sidecar nor a put under way.
fn relative(key: &ObjectKey) -> Result<PathBuf, Failure> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
    if key.0.split('/').all(plain) && !key.0.ends_with(SIDECAR) {
        Ok(PathBuf::from(&key.0))
    } else {
        Err(Failure::refused("the key is not a plain path below the archive"))
    }
}

/// Removes what puts that died before `now` minus [`ABANDONED_AFTER`] left behind.
fn sweep(incoming: &Path, now: SystemTime) -> io::Result<()> {
    for entry in std::fs::read_dir(incoming)? {
        match remove_abandoned(&entry?, now) {
            // Its put ended, or another process swept it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

fn remove_abandoned(entry: &std::fs::DirEntry, now: SystemTime) -> io::Result<()> {
    let age = now.duration_since(entry.metadata()?.modified()?);
    if age.is_ok_and(|age| age > ABANDONED_AFTER) {
        std::fs::remove_file(entry.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_leads_out_of_the_archive_or_onto_a_sidecar() {
        for key in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "a/",
            ".incoming/x",
            "a/.b",
            "a\0b",
            "a/1/x.mp4.json",
        ] {
            assert!(relative(&ObjectKey(key.into())).is_err(), "{key:?}");
        }
        assert!(relative(&ObjectKey("a%2Fb/1/2026/11/21/x.mp4".into())).is_ok());
    }

    #[test]
    fn only_puts_that_died_long_ago_are_swept() {
        let incoming = tempfile::tempdir().unwrap();
        let file = incoming.path().join("put");
        std::fs::write(&file, b"half").unwrap();
        let now = SystemTime::now();
        sweep(incoming.path(), now).unwrap();
        assert!(file.exists());
        sweep(incoming.path(), now + 2 * ABANDONED_AFTER).unwrap();
        assert!(!file.exists());
    }
}
