//! Writing into the spool: open files, their closing, and metadata.

use super::{OPEN, Pending, SpoolError, meta_path, read_pending, remove_if_there};
use crate::media::mux::Patch;
use crate::media::salvage;
use bytes::Bytes;
use domain::segment::format_start;
use domain::{ChannelKey, Generation, Origin, SegmentKey, SegmentMeta};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where one channel's files go.
#[derive(Debug, Clone)]
pub struct ChannelSpool {
    pub(super) folder: PathBuf,
    pub(super) key: ChannelKey,
    pub(super) generation: Generation,
}

/// A segment that is being written.
#[derive(Debug)]
pub struct OpenFile {
    spool: ChannelSpool,
    path: PathBuf,
    file: File,
    size_bytes: u64,
    /// A fragment is missing: what was counted is not what is there.
    broken: bool,
}

impl ChannelSpool {
    /// Whose files they are.
    pub fn key(&self) -> &ChannelKey {
        &self.key
    }

    /// Which assignment writes them.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Where the frames come from.
    pub fn origin(&self) -> Origin {
        if self.generation == Generation::BACKFILL {
            Origin::Backfill
        } else {
            Origin::Live
        }
    }

    /// Creates the file of a segment.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when it cannot be created, or exists.
    pub fn create(&self, start: Timestamp, bytes: &[u8]) -> Result<OpenFile, SpoolError> {
        fs::create_dir_all(&self.folder).map_err(SpoolError::io("creating", &self.folder))?;
        let name = format!("{}_{}.{OPEN}", format_start(start), self.generation);
        let path = self.folder.join(name);
        let mut file = OpenOptions::new()
            .create_new(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(SpoolError::io("creating", &path))?;
        if let Err(source) = file.write_all(bytes) {
            remove_if_there(&path)?;
            return Err(SpoolError::io("writing", &path)(source));
        }
        Ok(OpenFile {
            spool: self.clone(),
            path,
            file,
            size_bytes: bytes.len() as u64,
            broken: false,
        })
    }

    /// Stores a still picture; it is pending at once.
    ///
    /// # Errors
    /// [`SpoolError`] when it cannot be written.
    pub fn put_still(&self, taken_at: Timestamp, jpeg: &[u8]) -> Result<Pending, SpoolError> {
        fs::create_dir_all(&self.folder).map_err(SpoolError::io("creating", &self.folder))?;
        let path = self
            .folder
            .join(format!("{}_{}.jpg", format_start(taken_at), self.generation));
        let meta = SegmentMeta {
            captured_at: taken_at,
            codecs: "jpeg".to_owned(),
            sha256: hex::encode(Sha256::digest(jpeg)),
            origin: self.origin(),
            clock_drift_ms: 0,
            note: None,
        };
        write_meta(&path, &meta)?;
        write_durably(&path, jpeg)?;
        read_pending(&self.key, &path)?.ok_or_else(|| not_ours(&path))
    }
}

impl OpenFile {
    /// Appends a fragment without copying it together.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when it cannot be written. Nothing more is appended then, and closing the file keeps
    /// what was whole before.
    pub fn append(&mut self, chunks: &[Bytes]) -> Result<(), SpoolError> {
        if self.broken {
            return Ok(());
        }
        let written = self.write(chunks);
        match written {
            Ok(()) => self.size_bytes += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>(),
            Err(_) => self.broken = true,
        }
        written
    }

    fn write(&mut self, chunks: &[Bytes]) -> Result<(), SpoolError> {
        let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut rest = slices.as_mut_slice();
        while rest.iter().any(|slice| !slice.is_empty()) {
            let written = match self.file.write_vectored(rest) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                other => other,
            };
            let written = written.map_err(SpoolError::io("writing", &self.path))?;
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    /// Overwrites what changes at the front, makes the file durable, hashes it and gives it its final name.
    ///
    /// # Errors
    /// [`SpoolError`] when any of it fails. It can be called again; if it never is, the `.part` stays for the next salvage.
    pub fn close(
        &self,
        patches: &[Patch],
        segment: &SegmentKey,
        meta: &Unhashed,
    ) -> Result<Pending, SpoolError> {
        if self.broken {
            return salvage::close_broken(&self.spool, &self.path);
        }
        // A file opened for appending ignores offsets (open(2), pwrite(2) BUGS).
        let file = OpenOptions::new()
            .write(true)
            .open(&self.path)
            .map_err(SpoolError::io("opening", &self.path))?;
        for patch in patches {
            file.write_all_at(&patch.bytes, patch.at)
                .map_err(SpoolError::io("writing", &self.path))?;
        }
        file.sync_all().map_err(SpoolError::io("flushing", &self.path))?;
        finish_file(&self.spool, &self.path, segment, meta)
    }
}

/// A segment's metadata before its hash is known.
#[derive(Debug, Clone)]
pub struct Unhashed {
    /// UTC of the first frame, full precision.
    pub captured_at: Timestamp,
    /// RFC 6381 codecs.
    pub codecs: String,
    /// Live, salvaged or backfilled.
    pub origin: Origin,
    /// See [`SegmentMeta::clock_drift_ms`].
    pub clock_drift_ms: i64,
    /// See [`SegmentMeta::note`].
    pub note: Option<String>,
}

impl Unhashed {
    fn with_hash(&self, sha256: String) -> SegmentMeta {
        SegmentMeta {
            captured_at: self.captured_at,
            codecs: self.codecs.clone(),
            sha256,
            origin: self.origin,
            clock_drift_ms: self.clock_drift_ms,
            note: self.note.clone(),
        }
    }
}

/// Hashes a complete, durable file, writes its metadata and gives it its final name, in this order.
pub(crate) fn finish_file(
    spool: &ChannelSpool,
    path: &Path,
    segment: &SegmentKey,
    meta: &Unhashed,
) -> Result<Pending, SpoolError> {
    let closed = spool.folder.join(segment.file_name());
    let meta = meta.with_hash(hash(path)?);
    write_meta(&closed, &meta)?;
    fs::rename(path, &closed).map_err(SpoolError::io("renaming", path))?;
    sync_folder(&spool.folder)?;
    read_pending(&spool.key, &closed)?.ok_or_else(|| not_ours(&closed))
}

fn write_meta(path: &Path, meta: &SegmentMeta) -> Result<(), SpoolError> {
    let path = meta_path(path);
    let json = serde_json::to_vec(meta).map_err(|source| SpoolError::Metadata {
        path: path.clone(),
        source,
    })?;
    write_durably(&path, &json)
}

/// Writes a small file whole or not at all.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), SpoolError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".tmp");
    let partial = PathBuf::from(partial);
    let mut file = File::create(&partial).map_err(SpoolError::io("creating", &partial))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(SpoolError::io("writing", &partial))?;
    fs::rename(&partial, path).map_err(SpoolError::io("renaming", &partial))
}

fn sync_folder(folder: &Path) -> Result<(), SpoolError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(SpoolError::io("flushing", folder))
}

pub(crate) fn hash(path: &Path) -> Result<String, SpoolError> {
    let mut file = File::open(path).map_err(SpoolError::io("opening", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).map_err(SpoolError::io("reading", path))? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn not_ours(path: &Path) -> SpoolError {
    SpoolError::io("reading back", path)(io::ErrorKind::NotFound.into())
}
