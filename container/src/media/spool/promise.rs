//! The lock file's content: until when its holder has promised to be back.

use super::{LOCK, Spool, SpoolError, subfolders};
use jiff::Timestamp;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

impl Spool {
    /// Promises in the lock file that this recorder will be back by then.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when it cannot be written.
    pub fn promise(&self, until: Timestamp) -> Result<(), SpoolError> {
        // Always as long: a newer promise covers the older one whole.
        let line = format!("{until:.3}\n");
        let path = self.folder.join(LOCK);
        self.lock
            .write_all_at(line.as_bytes(), 0)
            .map_err(SpoolError::io("writing", &path))
    }

    /// What the recorders of a spool, living and dead, have promised; one that has said nothing yet is left out.
    ///
    /// # Errors
    /// [`SpoolError::Io`] when the root cannot be read.
    pub fn promises(root: &Path) -> Result<Vec<Timestamp>, SpoolError> {
        let read = |folder: &String| fs::read_to_string(root.join(folder).join(LOCK)).ok();
        let lines = subfolders(root)?.into_iter().filter_map(|folder| read(&folder));
        Ok(lines.filter_map(|line| line.trim().parse().ok()).collect())
    }
}
