//! The file: how it is opened, and its schema through time.

use super::error::Failure;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::path::Path;
use std::time::{Duration, Instant};

/// The schema's steps, oldest first; `user_version` counts those the file has seen. A released step never changes.
const MIGRATIONS: &[&str] = &[TABLES, EPISODES, MOVES];

const TABLES: &str = "
    CREATE TABLE channels (
        device TEXT NOT NULL, channel TEXT NOT NULL,
        revision INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (device, channel)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE assignments (
        device TEXT NOT NULL, channel TEXT NOT NULL,
        task TEXT,
        generation INTEGER NOT NULL,
        body TEXT NOT NULL,
        heartbeat_at TEXT, last_segment_at TEXT, last_error TEXT,
        PRIMARY KEY (device, channel)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX assignments_by_task ON assignments (task) WHERE task IS NOT NULL;

    CREATE TABLE gaps (
        device TEXT NOT NULL, channel TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,
        cause TEXT NOT NULL,
        PRIMARY KEY (device, channel, started_at)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE control (
        name TEXT NOT NULL PRIMARY KEY,
        version INTEGER NOT NULL,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

const EPISODES: &str = "
    CREATE TABLE episodes (
        device TEXT NOT NULL, channel TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,
        revision INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (device, channel, started_at)
    ) STRICT, WITHOUT ROWID;
";

const MOVES: &str = "
    ALTER TABLE assignments ADD COLUMN first_picture TEXT;
    ALTER TABLE assignments ADD COLUMN ends_at TEXT;
";

/// Between two tries to turn a new file's journal into a write-ahead log.
const JOURNAL_RETRY: Duration = Duration::from_millis(10);

/// Opens the file and migrates it. Blocks for up to `busy_timeout` a step.
pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<Connection, Failure> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(busy_timeout)?;
    use_write_ahead_log(&connection, busy_timeout)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// SQLite does not always call its busy handler while several processes switch a new file at the same time, so
/// this waits by itself.
fn use_write_ahead_log(connection: &Connection, busy_timeout: Duration) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && started.elapsed() < busy_timeout =>
            {
                std::thread::sleep(JOURNAL_RETRY);
            }
            outcome => return Ok(outcome?),
        }
    }
}

fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    if version(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in &MIGRATIONS[version(&transaction)?..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len())?)?;
    transaction.commit()?;
    Ok(())
}

/// How many steps the file has seen.
fn version(connection: &Connection) -> Result<usize, Failure> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match usize::try_from(found) {
        Ok(seen) if seen <= MIGRATIONS.len() => Ok(seen),
        Ok(_) | Err(_) => Err(Failure::Newer {
            found,
            known: MIGRATIONS.len(),
        }),
    }
}
