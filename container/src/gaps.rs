//! Gap rows on their way to the table: on disk first, so that neither a crash nor an unreachable table loses one.
//!
//! The journal is a file of JSON lines, one row each; of two lines with the same channel and start the later
//! counts. A row leaves the journal when the table has it. Lines are not synced: they survive the process, and
//! after a power cut the next recorder finds the same hole from the end of the last segment.

use crate::backoff::{Backoff, pause};
use domain::ports::{GapsTable, PortError};
use domain::{ChannelKey, Gap};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The journal's file name within a task's spool folder.
pub(crate) const JOURNAL_FILE: &str = "gaps.jsonl";
/// Rows kept while the table is away: a day of four holes an hour on a hundred channels. Beyond it the oldest
/// rows go and are counted.
pub(crate) const ROWS_MAX: usize = 10_000;
/// The journal is rewritten when it has this many times more lines than rows.
const LINES_PER_ROW_MAX: usize = 4;
/// A journal larger than this is not one of ours: `ROWS_MAX` rows are a few megabytes.
const JOURNAL_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The longest wait for the table's answer.
const PUT_WITHIN: Duration = Duration::from_secs(10);
/// Delays between rounds while the table is away.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

type RowKey = (Timestamp, ChannelKey);

/// Rows that the table may not have yet.
#[derive(Debug)]
pub(crate) struct Journal {
    rows: Mutex<Rows>,
    changed: Notify,
    left: Notify,
}

#[derive(Debug)]
struct Rows {
    pending: BTreeMap<RowKey, Gap>,
    path: PathBuf,
    file: File,
    lines: usize,
    dropped: u64,
}

impl Journal {
    /// Opens the journal of a task's spool folder with the rows that are still in it. A line that was cut off
    /// by a crash is left out.
    ///
    /// # Errors
    /// The folder cannot be written, or the file is too large to be a journal.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(JOURNAL_FILE);
        let pending: BTreeMap<RowKey, Gap> = read_rows(&path)?.into_iter().map(keyed).collect();
        let file = rewrite(&path, pending.values())?;
        let lines = pending.len();
        Ok(Self {
            rows: Mutex::new(Rows {
                pending,
                path,
                file,
                lines,
                dropped: 0,
            }),
            changed: Notify::new(),
            left: Notify::new(),
        })
    }

    /// Takes over the rows of a dead task's journal and removes that file; a row this journal has already wins.
    ///
    /// # Errors
    /// The dead task's journal cannot be read or removed; nothing is lost then.
    pub(crate) fn absorb(&self, dead: &Path) -> io::Result<()> {
        let path = dead.join(JOURNAL_FILE);
        for gap in read_rows(&path)? {
            let (key, gap) = keyed(gap);
            if !self.lock().pending.contains_key(&key) {
                self.note(gap);
            }
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Remembers a row until the table has it. If the disk refuses the line, the row is still kept in memory.
    pub(crate) fn note(&self, gap: Gap) {
        let mut rows = self.lock();
        if let Err(error) = rows.append(&gap) {
            tracing::warn!(%error, channel = %gap.key, "gap row is kept in memory only");
        }
        let (key, gap) = keyed(gap);
        rows.pending.insert(key, gap);
        if rows.pending.len() > ROWS_MAX
            && let Some((_, lost)) = rows.pending.pop_first()
        {
            rows.dropped += 1;
            tracing::error!(channel = %lost.key, start = %lost.start, "gap row dropped: too many wait for the table");
        }
        drop(rows);
        self.changed.notify_one();
    }

    /// The channel's rows as the table will have them: `table`, with what waits here in its place.
    pub(crate) fn overlay(&self, key: &ChannelKey, table: Vec<Gap>) -> Vec<Gap> {
        let mut rows: BTreeMap<Timestamp, Gap> = table.into_iter().map(|gap| (gap.start, gap)).collect();
        let waiting = self.lock();
        let own = waiting.pending.values().filter(|gap| gap.key == *key);
        rows.extend(own.map(|gap| (gap.start, gap.clone())));
        rows.into_values().collect()
    }

    /// How many rows wait for the table.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().pending.len()
    }

    /// Returns when no row waits any more.
    pub(crate) async fn emptied(&self) {
        while self.waiting() > 0 {
            self.left.notified().await;
        }
    }

    /// How many rows were given up for want of room.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Offers every waiting row to the table once, oldest first.
    ///
    /// # Errors
    /// The last error; what could not be written stays in the journal.
    pub(crate) async fn deliver_once<G: GapsTable>(&self, table: &G) -> Result<(), PortError> {
        let rows: Vec<Gap> = self.lock().pending.values().cloned().collect();
        let mut failed = None;
        for gap in rows {
            match put_within(table, &gap).await {
                Ok(()) => self.delivered(gap),
                Err(error @ PortError::Refused { .. }) => {
                    tracing::error!(channel = %gap.key, start = %gap.start, error = error.chain(), "gap row refused");
                    failed = Some(error);
                }
                Err(error @ (PortError::Throttled { .. } | PortError::Unknown { .. })) => return Err(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn delivered(&self, gap: Gap) {
        let mut rows = self.lock();
        let (key, gap) = keyed(gap);
        if rows.pending.get(&key) == Some(&gap) {
            rows.pending.remove(&key);
        }
        if let Err(error) = rows.compact() {
            tracing::warn!(%error, "gap journal not rewritten; rows will be written to the table again");
        }
        drop(rows);
        self.left.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn append(&mut self, gap: &Gap) -> io::Result<()> {
        let mut line = serde_json::to_vec(gap)?;
        line.push(b'\n');
        self.lines += 1;
        self.file.write_all(&line)
    }

    /// Rewrites the file when it is mostly rows that the table has.
    fn compact(&mut self) -> io::Result<()> {
        if self.lines > self.pending.len() * LINES_PER_ROW_MAX {
            self.file = rewrite(&self.path, self.pending.values())?;
            self.lines = self.pending.len();
        }
        Ok(())
    }
}

/// Writes every row of the journal to the table, for ever, soon after it was noted. Waits become short once
/// `hurry` is cancelled.
pub(crate) async fn deliver<G: GapsTable>(
    journal: &Journal,
    table: &G,
    hurry: &CancellationToken,
) -> Infallible {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX, rand::random());
    loop {
        if journal.waiting() == 0 {
            journal.changed.notified().await;
        }
        match journal.deliver_once(table).await {
            Ok(()) => backoff.reset(),
            Err(error) => {
                if backoff.failures() == 0 {
                    tracing::warn!(
                        waiting = journal.waiting(),
                        error = error.chain(),
                        "gap rows wait for the table"
                    );
                }
                pause(backoff.next_delay(), hurry).await;
            }
        }
    }
}

async fn put_within<G: GapsTable>(table: &G, gap: &Gap) -> Result<(), PortError> {
    tokio::time::timeout(PUT_WITHIN, table.put_gap(gap))
        .await
        .unwrap_or_else(|late| Err(PortError::unknown(format!("writing a gap of {}", gap.key), late)))
}

fn keyed(gap: Gap) -> (RowKey, Gap) {
    ((gap.start, gap.key.clone()), gap)
}

fn read_rows(path: &Path) -> io::Result<Vec<Gap>> {
    let text = match fs::metadata(path) {
        Ok(meta) if meta.len() > JOURNAL_MAX_BYTES => return Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => fs::read(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

fn rewrite<'a>(path: &Path, rows: impl Iterator<Item = &'a Gap>) -> io::Result<File> {
    let mut text = Vec::new();
    for gap in rows {
        serde_json::to_writer(&mut text, gap)?;
        text.push(b'\n');
    }
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, path)?;
    OpenOptions::new().append(true).open(path)
}

#[cfg(test)]
mod tests;
