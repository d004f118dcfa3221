//! What SQLite adds to the ports' promises: several processes, and files it must not trust. Every opened
//! `Sqlite` is a connection of its own, as another process's would be.

use domain::ports::{ControlTable, PortError, Put};
use local::Sqlite;
use serde_json::json;
use std::path::Path;

async fn open(path: &Path) -> Sqlite {
    Sqlite::open(path).await.expect("the file opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_create_and_count_in_one_file_without_losing_a_write() {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move {
                let table = open(&path).await;
                let mut written = 0;
                while written < WRITES {
                    let version = table.get_control("count").await.unwrap().map(|item| item.version);
                    let put = table
                        .put_control("count", &json!(version), version)
                        .await
                        .unwrap();
                    written += u64::from(put == Put::Written);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let item = open(&path).await.get_control("count").await.unwrap().unwrap();
    assert_eq!(item.version, WRITERS * WRITES);
}

#[tokio::test]
async fn what_one_process_wrote_another_reads_also_after_both_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let (first, second) = (open(&path).await, open(&path).await);
    assert_eq!(
        first.put_control("poll", &json!(1), None).await.unwrap(),
        Put::Written
    );
    assert!(second.get_control("poll").await.unwrap().is_some());
    drop((first, second));
    assert!(open(&path).await.get_control("poll").await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(open(&path).await);
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    let error = Sqlite::open(&path).await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    assert!(error.chain().contains("schema 99 is newer"), "{}", error.chain());
    let version: i64 = raw
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let text = "not a database, but longer than the header of one would be: ".repeat(20);
    std::fs::write(&path, &text).unwrap();
    let error = Sqlite::open(&path).await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_row_that_does_not_read_is_an_error_and_never_an_absent_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let table = open(&path).await;
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute(
        "INSERT INTO control (name, version, value) VALUES ('poll', 1, '{')",
        [],
    )
    .unwrap();
    let error = table.get_control("poll").await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error:?}");
}
