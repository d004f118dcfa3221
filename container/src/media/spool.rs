//! The recorder's folder on disk: open segments, closed ones that wait for the archive, and whose they are.
//!
//! ```text
//! {root}/{task}/.lock                                       held while the recorder lives; see [`Spool::promise`]
//! {root}/{task}/{device}/{channel}/{start}_{generation}.part          open
//! {root}/{task}/{device}/{channel}/{start}_{ms}_{generation}.mp4      closed, with
//! {root}/{task}/{device}/{channel}/{start}_{ms}_{generation}.mp4.json its metadata
//! {root}/{task}/.refused/{device}/{channel}/..                        the archive will not have them
//! ```
//! The one idea: a name says everything a crash may leave behind. What is called `.mp4` is complete, hashed
//! and on disk with its metadata; what is called `.part` is salvaged by the next recorder that starts (see
//! [`crate::media::salvage`]); a folder whose lock can be taken belongs to a dead one.
//!
//! All functions block; call them where that is allowed.

use domain::segment::parse_start;
use domain::{ChannelKey, Generation, ObjectKey, SegmentKey, SegmentMeta, TaskArn};
use jiff::Timestamp;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
pub(crate) use write::finish_file;
pub use write::{ChannelSpool, OpenFile, Unhashed};

mod promise;
mod write;

const LOCK: &str = ".lock";
const REFUSED: &str = ".refused";
const OPEN: &str = "part";

/// Why the spool cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk or the operating system said no.
    #[error("while {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What it said; `StorageFull` is the one to look for.
        #[source]
        source: io::Error,
    },
    /// Another living process uses the folder.
    #[error("spool {} is in use by another recorder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file holds nothing that can be played.
    #[error("nothing to play in {}: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file's metadata cannot be written or read.
    #[error("metadata of {}", path.display())]
    Metadata {
        /// The file with the metadata.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl SpoolError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// One task's folder, locked for as long as this lives.
#[derive(Debug)]
pub struct Spool {
    root: PathBuf,
    folder: PathBuf,
    task: TaskArn,
    /// Closing it gives the lock back, whatever way the process ends.
    lock: File,
}

/// A file that is complete and waits for the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Where it goes.
    pub object: ObjectKey,
    /// The segment it is; `None` for a still picture.
    pub segment: Option<SegmentKey>,
    /// Whose it is.
    pub channel: ChannelKey,
    /// UTC of its first (or only) picture.
    pub start: Timestamp,
    /// Where it is.
    pub file: PathBuf,
    /// What is stored beside it.
    pub meta: SegmentMeta,
    /// Its size.
    pub size_bytes: u64,
}

impl Spool {
    /// Creates and locks the folder of a task.
    ///
    /// # Errors
    /// [`SpoolError::InUse`] while another process has it, [`SpoolError::Io`] when it cannot be created.
    pub fn open(root: &Path, task: &TaskArn) -> Result<Self, SpoolError> {
        let folder = root.join(task.folder());
        fs::create_dir_all(&folder).map_err(SpoolError::io("creating", &folder))?;
        let path = folder.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(SpoolError::io("opening", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                root: root.to_owned(),
                folder,
                task: task.clone(),
                lock,
            }),
            Err(TryLockError::WouldBlock) => Err(SpoolError::InUse { path: folder }),
            Err(TryLockError::Error(source)) => Err(SpoolError::Io {
                doing: "locking",
                path,
                source,
            }),
        }
    }

    /// Whose folder it is.
    pub fn task(&self) -> &TaskArn {
        &self.task
    }

    /// The folder; files in it (not folders) that the spool does not name are the caller's.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The place of a channel's files; they carry `generation` in their names.
    pub fn channel(&self, key: ChannelKey, generation: Generation) -> ChannelSpool {
        ChannelSpool {
            folder: self.folder.join(key.prefix()),
            key,
            generation,
        }
    }

    /// The folders of recorders beside this one that are dead, locked for us.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when the root cannot be read.
    pub fn dead(&self) -> Result<Vec<Self>, SpoolError> {
        let mut dead = Vec::new();
        for name in subfolders(&self.root)? {
            // A folder without a lock is not a recorder's.
            let is_spool = self.root.join(&name).join(LOCK).exists();
            let task = TaskArn::from_folder(&name).filter(|task| is_spool && *task != self.task);
            let Some(task) = task else {
                continue;
            };
            match Self::open(&self.root, &task) {
                Ok(spool) => dead.push(spool),
                Err(SpoolError::InUse { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(dead)
    }

    /// Everything that waits for the archive, oldest first.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when a folder cannot be read.
    pub fn pending(&self) -> Result<Vec<Pending>, SpoolError> {
        let mut pending = Vec::new();
        self.each_file(|channel, path| {
            let file = read_pending(channel, path)?;
            pending.extend(file);
            Ok(())
        })?;
        pending.sort_by(|a, b| (a.start, &a.object).cmp(&(b.start, &b.object)));
        Ok(pending)
    }

    /// Forgets a file that the archive has.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when it cannot be removed; it would be uploaded again, which is harmless.
    pub fn remove(pending: &Pending) -> Result<(), SpoolError> {
        // The metadata last: a file without would have to be looked at by the next salvage.
        remove_if_there(&pending.file)?;
        remove_if_there(&meta_path(&pending.file))
    }

    /// Removes what is open, and what a crash left of it. For files whose frames can be had again.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when a file cannot be removed.
    pub fn discard_open(&self) -> Result<(), SpoolError> {
        self.each_file(|channel, path| {
            let is_segment = segment_of(channel, path).is_some();
            let is_meta = path.extension().is_some_and(|extension| extension == "json");
            if is_segment || (is_meta && path.with_extension("").exists()) {
                return Ok(());
            }
            remove_if_there(path)
        })
    }

    /// Moves a file that the archive will not have to `.refused`, where nothing touches it.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when it cannot be moved.
    pub fn set_aside(&self, pending: &Pending) -> Result<PathBuf, SpoolError> {
        let folder = self.folder.join(REFUSED).join(pending.channel.prefix());
        fs::create_dir_all(&folder).map_err(SpoolError::io("creating", &folder))?;
        let meta = meta_path(&pending.file);
        let mut moved = PathBuf::new();
        for path in [meta.as_path(), &pending.file] {
            moved = folder.join(path.file_name().unwrap_or_default());
            fs::rename(path, &moved).map_err(SpoolError::io("setting aside", path))?;
        }
        Ok(moved)
    }

    /// Removes a dead recorder's folder when nothing is left in it but its lock; true when it is gone.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when it cannot be removed.
    pub fn remove_if_empty(self) -> Result<bool, SpoolError> {
        for device in subfolders(&self.folder)? {
            let device = self.folder.join(device);
            for channel in subfolders(&device)? {
                if !remove_folder_if_empty(&device.join(channel))? {
                    return Ok(false);
                }
            }
            if !remove_folder_if_empty(&device)? {
                return Ok(false);
            }
        }
        let entries = fs::read_dir(&self.folder).map_err(SpoolError::io("reading", &self.folder))?;
        if entries.count() > 1 {
            return Ok(false);
        }
        remove_if_there(&self.folder.join(LOCK))?;
        remove_folder_if_empty(&self.folder)
    }

    /// Calls `visit` for every file of every channel.
    pub(crate) fn each_file(
        &self,
        mut visit: impl FnMut(&ChannelKey, &Path) -> Result<(), SpoolError>,
    ) -> Result<(), SpoolError> {
        for device in subfolders(&self.folder)? {
            for channel in subfolders(&self.folder.join(&device))? {
                let Some(key) = ChannelKey::from_prefix(&format!("{device}/{channel}")) else {
                    continue;
                };
                let folder = self.folder.join(&device).join(&channel);
                for path in files(&folder)? {
                    visit(&key, &path)?;
                }
            }
        }
        Ok(())
    }
}

/// What an open file's name says: when it starts, and its generation.
pub(crate) fn parse_open_name(path: &Path) -> Option<(Timestamp, Generation)> {
    let (start, generation) = path.file_stem()?.to_str()?.split_once('_')?;
    Some((parse_start(start)?, Generation(generation.parse().ok()?)))
}

pub(crate) fn is_open(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == OPEN)
}

/// Reads a complete file; `None` for what is not one, or has no readable metadata.
pub(crate) fn read_pending(channel: &ChannelKey, path: &Path) -> Result<Option<Pending>, SpoolError> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    let Some((object, segment, start)) = object_of(channel, name) else {
        return Ok(None);
    };
    let Ok(size_bytes) = fs::metadata(path).map(|metadata| metadata.len()) else {
        return Ok(None);
    };
    let meta = fs::read(meta_path(path))
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    Ok(meta.map(|meta| Pending {
        object,
        segment,
        channel: channel.clone(),
        start,
        file: path.to_owned(),
        meta,
        size_bytes,
    }))
}

/// The segment that a closed file's name stands for.
pub(crate) fn segment_of(channel: &ChannelKey, path: &Path) -> Option<SegmentKey> {
    object_of(channel, path.file_name()?.to_str()?)?.1
}

/// The object a file becomes. Stills go beside the segments of their day.
fn object_of(channel: &ChannelKey, name: &str) -> Option<(ObjectKey, Option<SegmentKey>, Timestamp)> {
    let start = parse_start(name.split('_').next()?)?;
    let day = start.to_zoned(jiff::tz::TimeZone::UTC).date();
    let object = format!("{}/{name}", SegmentKey::day_prefix(channel, day));
    if name.ends_with(".jpg") {
        return Some((ObjectKey(object), None, start));
    }
    let segment: SegmentKey = object.parse().ok()?;
    Some((ObjectKey(object), Some(segment), start))
}

pub(crate) fn meta_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SpoolError::io("removing", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove_folder_if_empty(path: &Path) -> Result<bool, SpoolError> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) => Err(SpoolError::io("removing", path)(error)),
    }
}

/// Names of the folders in a folder, in order; none when it does not exist. Names with a leading dot are not
/// devices: see [`ChannelKey::prefix`].
fn subfolders(path: &Path) -> Result<Vec<String>, SpoolError> {
    let mut names: Vec<String> = entries(path)?
        .iter()
        .filter(|entry| entry.is_dir())
        .filter_map(|entry| entry.file_name()?.to_str().map(str::to_owned))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    Ok(names)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, SpoolError> {
    let mut files = entries(path)?;
    files.retain(|entry| entry.is_file());
    files.sort();
    Ok(files)
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, SpoolError> {
    let listing = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(SpoolError::io("reading", path))?,
    };
    listing
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(SpoolError::io("reading", path))
}
