//! Making an archive once. A table remembers that it was made; from then on an archive that is not there is away, and
//! nothing takes its place.

use super::Folder;
use domain::control;
use domain::ports::{ControlTable, PortError, Put};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// The control item: the paths of the archives that were made or found.
const ITEM: &str = "archives";

/// A share that does not answer within this is away. Disks that have to start take ten seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// What became of an archive that is to be used.
#[derive(Debug)]
pub enum Found {
    /// It is there; perhaps since now.
    There,
    /// It was there before, and is not now, for this reason.
    Away(PortError),
}

impl Folder {
    /// Makes the archive if `table` does not remember it, and lets it remember. Answers in a minute at most, also while
    /// the disk hangs.
    ///
    /// # Errors
    /// [`PortError::Refused`] when it cannot be made; the table's. Nothing is remembered then.
    pub async fn make_once<T: ControlTable>(&self, table: &T) -> Result<Found, PortError> {
        let path = named(&self.root)?;
        let (known, version) = control::read::<_, BTreeSet<String>>(table, ITEM).await?;
        let mut known = known.unwrap_or_default();
        let found = in_time(self.look()).await;
        if known.contains(&path) {
            return Ok(found.map_or_else(Found::Away, |()| Found::There));
        }
        if found.is_err() {
            in_time(self.make()).await?;
        }
        known.insert(path);
        match control::write(table, ITEM, &known, version).await? {
            Put::Written => Ok(Found::There),
            Put::Stale => Err(control::contended(ITEM)),
        }
    }
}

async fn in_time(answer: impl Future<Output = Result<(), PortError>>) -> Result<(), PortError> {
    match timeout(ANSWERS_WITHIN, answer).await {
        Ok(answer) => answer,
        Err(late) => Err(PortError::throttled("looking for the archive", late)),
    }
}

/// One path for all the ways to write it that need no disk to be compared.
fn named(root: &Path) -> Result<String, PortError> {
    let doing = || format!("naming the archive {}", root.display());
    let path = std::path::absolute(root).map_err(|error| PortError::refused(doing(), error))?;
    let path: PathBuf = path.components().collect();
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| PortError::refused(doing(), "it is not UTF-8"))
}
