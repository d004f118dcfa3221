//! How much waits for the archive.

use crate::show;
use serde::Serialize;
use std::path::Path;
use std::{fmt, fs, io};

/// Closed recordings in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Waiting {
    files: u64,
    bytes: u64,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.files {
            0 => f.write_str("nothing waits for the archive"),
            files => write!(
                f,
                "{files} recordings ({}) wait for the archive",
                show::bytes(self.bytes)
            ),
        }
    }
}

/// Folders of the spool are task, device, channel; deeper is not ours.
const DEPTH_MAX: u32 = 6;

/// Counts what waits; recorders write and remove meanwhile, so a file may be gone when it is looked at.
pub(crate) fn waiting(spool: &Path) -> io::Result<Waiting> {
    let mut waiting = Waiting::default();
    count(spool, DEPTH_MAX, &mut waiting)?;
    Ok(waiting)
}

fn count(folder: &Path, depth: u32, waiting: &mut Waiting) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && depth > 0 {
            count(&path, depth - 1, waiting)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "mp4" || extension == "jpg")
        {
            waiting.files += 1;
            waiting.bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_closed_recordings_wait() {
        let spool = tempfile::tempdir().unwrap();
        let folder = spool.path().join("task/CAM/1");
        fs::create_dir_all(&folder).unwrap();
        for name in ["a.mp4", "a.mp4.json", "b.jpg", "c.part"] {
            fs::write(folder.join(name), "12345").unwrap();
        }
        assert_eq!(waiting(spool.path()).unwrap(), Waiting { files: 2, bytes: 10 });
        assert_eq!(waiting(&spool.path().join("none")).unwrap(), Waiting::default());
    }
}
