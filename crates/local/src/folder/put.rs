//! Writing an object once: copy and check, sync, publish without replacing, sync the folder, describe.

use super::{Failure, INCOMING, sidecar};
use domain::SegmentMeta;
use domain::ports::Stored;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Copied at a time: large enough that the system calls do not show, small enough that memory does not.
const CHUNK_BYTES: usize = 64 * 1024;

/// Stores `file` at `root/key`; `key` has been checked.
pub(super) fn put(root: &Path, key: &Path, file: &Path, meta: &SegmentMeta) -> Result<Stored, Failure> {
    let target = root.join(key);
    let stored = match hash(&target) {
        Ok(found) => same_content(&found, meta)?,
        Err(error) if error.kind() == ErrorKind::NotFound => write_once(root, key, &target, file, meta)?,
        Err(error) => return Err(Failure::Before(error)),
    };
    // Also when it was there already: the try that published it may have died before this.
    sync_folder_of(&target).map_err(Failure::After)?;
    describe(root, &target, meta).map_err(Failure::After)?;
    Ok(stored)
}

fn same_content(found: &str, meta: &SegmentMeta) -> Result<Stored, Failure> {
    if found == meta.sha256 {
        Ok(Stored::Already)
    } else {
        Err(Failure::refused("another content is stored under the key"))
    }
}

fn write_once(
    root: &Path,
    key: &Path,
    target: &Path,
    file: &Path,
    meta: &SegmentMeta,
) -> Result<Stored, Failure> {
    let incoming = Incoming::new(root);
    incoming.copy_checked(file, &meta.sha256)?;
    create_folders(root, key).map_err(Failure::Before)?;
    match publish(&incoming.path, target) {
        Ok(()) => Ok(Stored::New),
        // Another writer was quicker: its content decides.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            same_content(&hash(target).map_err(Failure::Before)?, meta)
        }
        Err(error) => Err(Failure::Before(error)),
    }
}

/// Writes the sidecar unless it is there.
fn describe(root: &Path, target: &Path, meta: &SegmentMeta) -> io::Result<()> {
    let sidecar = sidecar(target);
    if sidecar.try_exists()? {
        return Ok(());
    }
    let incoming = Incoming::new(root);
    let mut out = File::create_new(&incoming.path)?;
    out.write_all(&serde_json::to_vec_pretty(meta)?)?;
    out.sync_all()?;
    match publish(&incoming.path, &sidecar) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }?;
    sync_folder_of(target)
}

/// A file of this put alone; removed with it unless published.
struct Incoming {
    path: PathBuf,
}

impl Incoming {
    fn new(root: &Path) -> Self {
        static PUTS: AtomicU64 = AtomicU64::new(0);
        let put = PUTS.fetch_add(1, Ordering::Relaxed);
        // Process ids come again, also in containers that share an archive; a time does not come with them.
        let nanos = jiff::Timestamp::now().as_nanosecond();
        let name = format!("{}-{nanos}-{put}", std::process::id());
        Self {
            path: root.join(INCOMING).join(name),
        }
    }

    fn copy_checked(&self, file: &Path, sha256: &str) -> Result<(), Failure> {
        let mut source = File::open(file).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::Refused(error),
            _ => Failure::Before(error),
        })?;
        let mut out = File::create_new(&self.path).map_err(Failure::Before)?;
        let found = hash_into(&mut source, &mut out).map_err(Failure::Before)?;
        if found != sha256 {
            return Err(Failure::refused("the file is not what its sha256 says"));
        }
        out.sync_all().map_err(Failure::Before)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // It is gone when it was published; what cannot be removed now is swept later.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Gives the file its name unless the name is taken.
fn publish(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // File systems without the flag (NFS) have hard links, which never replace either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => std::fs::hard_link(from, to),
        outcome => outcome.map_err(io::Error::from),
    }
}

/// Creates the folders between root and object, each synced into its parent. The root itself is not created: a
/// share that is not mounted must not be replaced by a folder on the system disk.
fn create_folders(root: &Path, key: &Path) -> io::Result<()> {
    let mut folder = root.to_owned();
    for part in key.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        match std::fs::create_dir(&folder) {
            Ok(()) => sync_folder_of(&folder)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().expect("a path below the root has a parent");
    File::open(folder)?.sync_all()
}

fn hash(path: &Path) -> io::Result<String> {
    hash_into(&mut File::open(path)?, &mut io::sink())
}

fn hash_into(source: &mut impl Read, out: &mut impl Write) -> io::Result<String> {
    let mut sha256 = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => {
                sha256.update(&chunk[..count]);
                out.write_all(&chunk[..count])?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hex::encode(sha256.finalize()))
}
