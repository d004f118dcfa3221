//! The tables in one SQLite file.
//!
//! Columns are what conditions, lookups and orders need; the rest of a row is its JSON, as an item of a
//! document store would be, so that a field more is not a migration. A conditional write is one statement whose
//! `WHERE` is the condition, or one `IMMEDIATE` transaction: the answer of SQLite is the answer of the port.
//!
//! The write-ahead log lets readers and one writer of several processes work at once. Writes are synced
//! (`synchronous=FULL`) except heartbeats, which repeat every few seconds: losing the last ones to a power cut
//! only makes them look a moment older.

mod channels;
mod control;
mod episodes;
mod error;
mod gaps;
mod schema;
mod tasks;

use crate::threads::Threads;
use domain::ChannelKey;
use domain::ports::{PortError, Put};
use error::Failure;
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a call waits for another process's write before it is throttled. Writes take milliseconds; a disk
/// that syncs slowly under load has been seen to take seconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// All tables of one machine. Clones share one connection and its one thread.
#[derive(Debug, Clone)]
pub struct Sqlite {
    connection: Arc<Mutex<Connection>>,
    threads: Threads,
}

/// Whether a write survives a power cut once it is answered. A killed process loses neither kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Synced,
    Lazy,
}

impl Sqlite {
    /// Opens the file, creating it and its tables where absent, and brings an older schema up to date. Its
    /// folder must exist.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the file cannot be used: not a database, damaged, written by a newer
    /// version, no permission. [`PortError::Throttled`] when other processes kept it busy for too long.
    pub async fn open(path: &Path) -> Result<Self, PortError> {
        let doing = format!("opening the state file {}", path.display());
        let path = path.to_owned();
        let threads = Threads::new(NonZeroUsize::MIN);
        let open = move || schema::open(&path, BUSY_TIMEOUT);
        let connection = threads.run(doing, open, Failure::while_doing).await?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            threads,
        })
    }

    async fn read<R: Send + 'static>(
        &self,
        doing: impl Into<String>,
        look: impl FnOnce(&Connection) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, PortError> {
        let connection = Arc::clone(&self.connection);
        let look = move || look(&connection.lock().unwrap_or_else(PoisonError::into_inner));
        self.threads.run(doing.into(), look, Failure::while_doing).await
    }

    async fn write<R: Send + 'static>(
        &self,
        doing: impl Into<String>,
        durability: Durability,
        change: impl FnOnce(&Transaction<'_>) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, PortError> {
        let connection = Arc::clone(&self.connection);
        let write = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let synchronous = match durability {
                Durability::Synced => "FULL",
                Durability::Lazy => "NORMAL",
            };
            connection.pragma_update(None, "synchronous", synchronous)?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = change(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        self.threads.run(doing.into(), write, Failure::while_doing).await
    }
}

/// The two columns every key is made of.
fn columns(key: &ChannelKey) -> (String, String) {
    (key.device.as_str().to_owned(), key.channel.as_str().to_owned())
}

/// A time as text whose order is the order of times: always nine digits of a second, in UTC.
fn sortable(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// What a conditional statement that changed so many rows became.
fn put_of(changed_rows: usize) -> Put {
    if changed_rows == 0 {
        Put::Stale
    } else {
        Put::Written
    }
}
