//! The archive in a folder: an object is a file at its key, written once.
//!
//! ```text
//! root/.incoming/<unique>                       a put under way; never listed. No archive is without this folder
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
mod once;
mod put;
mod sweep;

pub use once::Found;

use crate::threads::Threads;
use domain::ports::{Archive, ArchiveRead, ArchiveSweep, Page, PortError, Stored, StoredSegment};
use domain::storage::{Asked, Availability, RestoreTier};
use domain::{ChannelKey, ObjectKey, SegmentKey, SegmentMeta};
use jiff::Timestamp;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where puts are written before they are published. No key has a part that starts with a dot.
const INCOMING: &str = ".incoming";

/// What a sidecar's name adds to its object's.
const SIDECAR: &str = ".json";

/// How many calls are made at once, if nothing else is said: a disk is no faster by more.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");

/// An archive below one folder. Any number of processes may use it at once.
///
/// It is there while it has its folder for puts: a mount point whose share is away is an empty folder. Whatever is asked
/// of an archive that is not there is [`PortError::Throttled`], and only [`Folder::make`] makes anything.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    threads: Threads,
}

impl Folder {
    /// The archive at `root`, wherever that is and whether it is there. Nothing is asked of the disk yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            threads: Threads::new(AT_ONCE),
        }
    }

    /// The same with so many calls at once. Each that hangs takes one of them, until the disk answers.
    #[must_use]
    pub fn asked_at_once(self, calls: NonZeroUsize) -> Self {
        Self {
            threads: Threads::new(calls),
            ..self
        }
    }

    /// Makes a new, empty archive, or leaves the one that is there.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the folder cannot be made.
    pub async fn make(&self) -> Result<(), PortError> {
        let doing = format!("making the archive {}", self.root.display());
        self.ask(doing, |root| {
            std::fs::create_dir_all(root.join(INCOMING)).map_err(Failure::Refused)
        })
        .await
    }

    /// Whether the archive is there.
    ///
    /// # Errors
    /// [`PortError::Throttled`] while it is not; its text says what to do.
    pub async fn look(&self) -> Result<(), PortError> {
        self.ask("looking for the archive", here).await
    }

    /// Asks the disk, on a thread of the archive's own.
    async fn ask<R: Send + 'static>(
        &self,
        doing: impl Into<String>,
        work: impl FnOnce(&Path) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, PortError> {
        let root = self.root.clone();
        self.threads
            .run(doing.into(), move || work(&root), Failure::while_doing)
            .await
    }
}

impl Archive for Folder {
    async fn put(&self, key: &ObjectKey, file: &Path, meta: &SegmentMeta) -> Result<Stored, PortError> {
        let (doing, key) = (format!("archiving {key}"), key.clone());
        let (file, meta) = (file.to_owned(), meta.clone());
        self.ask(doing, move |root| {
            here(root)?;
            put::put(root, &relative(&key)?, &file, &meta)
        })
        .await
    }

    async fn list_segments(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SegmentKey>, PortError> {
        let (doing, channel) = (format!("listing the segments of {channel}"), channel.clone());
        self.ask(doing, move |root| {
            while_here(root, || list::segments(root, &channel, from, to))
        })
        .await
    }
}

impl ArchiveSweep for Folder {
    /// Removes, too, what puts that died long ago left: every run of the keep loop begins with this.
    async fn list_channels(&self) -> Result<Vec<ChannelKey>, PortError> {
        self.ask("listing the channels of the archive", |root| {
            while_here(root, || {
                sweep::abandoned(&root.join(INCOMING), SystemTime::now())?;
                sweep::channels(root)
            })
        })
        .await
    }

    async fn list_page(&self, channel: &ChannelKey, after: Option<&ObjectKey>) -> Result<Page, PortError> {
        let (doing, channel) = (format!("listing the objects of {channel}"), channel.clone());
        let after = after.cloned();
        self.ask(doing, move |root| {
            while_here(root, || sweep::page(root, &channel, after.as_ref()))
        })
        .await
    }

    async fn delete_objects(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, String)>, PortError> {
        let keys = keys.to_vec();
        self.ask(format!("deleting {} objects", keys.len()), move |root| {
            here(root)?;
            sweep::delete(root, keys)
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
        let (doing, channel) = (format!("listing the segments of {channel}"), channel.clone());
        self.ask(doing, move |root| {
            while_here(root, || list::stored(root, &channel, from, to))
        })
        .await
    }

    async fn availability(&self, key: &ObjectKey) -> Result<Availability, PortError> {
        let (doing, key) = (format!("looking for {key}"), key.clone());
        self.ask(doing, move |root| {
            while_here(root, || look::exists(&root.join(relative(&key)?)))?;
            Ok(Availability::AtOnce)
        })
        .await
    }

    async fn restore(&self, key: &ObjectKey, _: RestoreTier, _: u32) -> Result<Asked, PortError> {
        self.availability(key).await.map(|_| Asked::NotNeeded)
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>, PortError> {
        let (doing, key) = (format!("reading {key}"), key.clone());
        self.ask(doing, move |root| {
            while_here(root, || look::read(&root.join(relative(&key)?), &range))
        })
        .await
    }

    async fn describe(&self, key: &ObjectKey) -> Result<Option<SegmentMeta>, PortError> {
        let (doing, key) = (format!("reading what {key} is"), key.clone());
        self.ask(doing, move |root| {
            while_here(root, || look::describe(&root.join(relative(&key)?)))
        })
        .await
    }
}

/// Whether the archive is there, and not just the place where its share is mounted.
fn here(root: &Path) -> Result<(), Failure> {
    let incoming = root.join(INCOMING);
    match std::fs::metadata(&incoming) {
        Ok(found) if found.is_dir() => Ok(()),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(Failure::Before(error))
        }
        Ok(_) | Err(_) => Err(Failure::Before(io::Error::new(
            ErrorKind::NotFound,
            format!(
                "the archive is not there: is its share mounted? For a new, empty archive, make the folder {}",
                incoming.display()
            ),
        ))),
    }
}

/// Looks at an archive that is there before and after: one that is away must not look like an empty one.
fn while_here<R>(root: &Path, look: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    here(root)?;
    let seen = look();
    here(root)?;
    seen
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
}
