//! A data folder put together by hand: tables and an archive, and no `millrace run` beside them.

use crate::support::rig::noon;
use domain::SegmentKey;
use local::Sqlite;
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::Command;

/// The folder and its tables.
pub(crate) struct Shelf {
    folder: TempDir,
    pub(crate) tables: Sqlite,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) well: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Shelf {
    /// Empty tables and an empty archive.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = Sqlite::open(&folder.path().join("state.sqlite")).await.unwrap();
        let archive = local::Folder::at(folder.path().join("archive"));
        archive.make().await.unwrap();
        Self { folder, tables }
    }

    /// A `millrace` command on the folder.
    pub(crate) fn command(&self, command: &str) -> Command {
        let mut millrace = Command::new(env!("CARGO_BIN_EXE_millrace"));
        millrace
            .arg(command)
            .current_dir(self.folder.path())
            .env("MILLRACE_DATA", self.folder.path())
            .env("TZ", noon())
            .stdin(Stdio::null());
        millrace
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments[0]);
        let output = command.args(&arguments[1..]).output().await.unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        let well = output.status.success();
        Said { well, out, err }
    }

    /// Runs a command that must succeed, and says what it wrote.
    pub(crate) async fn say(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments).await;
        assert!(said.well, "{arguments:?}: {said:?}");
        said.out
    }

    /// Puts a segment of no content into the archive.
    pub(crate) fn place(&self, segment: &SegmentKey) {
        let file = self.file("archive").join(segment.object_key().0);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, b"video").unwrap();
    }

    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
