//! The program itself: killed, terminated, looked into.

use crate::bed::{Bed, PASSWORD, USER, channel, eventually, target, task};
use domain::ports::{Archive, GapsTable, Put, TasksTable};
use domain::{Assignment, Gap, GapCause, SegmentKey};
use jiff::Timestamp;
use local::Sqlite;
use simulator::rtsp::StreamSpec;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::time::sleep;

/// As many as the program has threads for its spool.
pub(crate) const UPLOADS_MAX: usize = 8;

/// A recorder in a process of its own, with its tables in a file.
pub(crate) struct Program<'a> {
    bed: &'a Bed,
    pub(crate) tables: Sqlite,
}

impl<'a> Program<'a> {
    pub(crate) async fn assigned(bed: &'a Bed) -> Self {
        Self::with(bed, &bed.assignment(1, 1)).await
    }

    pub(crate) async fn with(bed: &'a Bed, assignment: &Assignment) -> Self {
        let tables = Sqlite::open(&bed.dir.path().join("state.db")).await.unwrap();
        let put = tables.put_assignment(assignment, None).await.unwrap();
        assert_eq!(put, Put::Written);
        Self { bed, tables }
    }

    pub(crate) fn start(&self) -> Process {
        let dir = self.bed.dir.path();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join("log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_millrace-recorder"))
            .args(["--task-arn", task().as_str()])
            .args(["--state", &format!("sqlite:{}/state.db", dir.display())])
            .args(["--archive", &format!("file:{}/archive", dir.display())])
            .args(["--spool", &format!("{}/spool", dir.display())])
            .args([
                "--pull-interval",
                "300ms",
                "--stop-deadline",
                "20s",
                "--gateway-username",
                USER,
            ])
            .args(["--uploads-max", &UPLOADS_MAX.to_string()])
            .args(["--log", "debug", "--log-format", "json"])
            .env("MILLRACE_GATEWAY_PASSWORD", PASSWORD)
            .stderr(Stdio::from(log))
            .spawn();
        Process(child.unwrap())
    }

    async fn gaps(&self) -> Vec<Gap> {
        self.tables
            .list_gaps(&channel(1), Timestamp::MIN, Timestamp::MAX)
            .await
            .unwrap()
    }

    async fn segments(&self) -> Vec<SegmentKey> {
        self.bed.segments(1).await
    }

    pub(crate) async fn archives(&self, segments: usize) {
        eventually("segments are archived", async || {
            self.segments().await.len() >= segments
        })
        .await;
    }
}

/// A program that does not outlive its test, however that ends.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn terminate(process: &Process) {
    let pid = i32::try_from(process.0.id()).unwrap();
    let status = Command::new("kill")
        .args(["-TERM", &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

pub(crate) async fn ends(mut process: Process) -> ExitStatus {
    tokio::task::spawn_blocking(move || process.0.wait().unwrap())
        .await
        .unwrap()
}

/// Fails when any file below the folder contains the password.
pub(crate) fn assert_nowhere(folder: &Path, secret: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_nowhere(&path, secret);
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        let found = content
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{} contains the password", path.display());
    }
}

#[tokio::test]
async fn a_terminated_recorder_uploads_everything_and_says_that_it_ended() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    let program = Program::assigned(&bed).await;
    let child = program.start();
    program.archives(2).await;
    terminate(&child);
    let ended_at = Timestamp::now();
    assert!(ends(child).await.success());

    let segments = program.segments().await;
    let covered = ended_at
        .duration_since(segments.last().unwrap().end())
        .as_secs_f64();
    assert!(
        covered < 1.0,
        "the last segment ends {covered} s before the signal"
    );
    bed.footage(1, &StreamSpec::default()).await.is_whole();
    let open: Vec<Gap> = program
        .gaps()
        .await
        .into_iter()
        .filter(|gap| gap.end.is_none())
        .collect();
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0].cause, GapCause::RecorderRestarted);
    assert_eq!(open[0].start, segments.last().unwrap().end());
}

#[tokio::test]
async fn a_killed_recorder_loses_two_seconds_at_most() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    let program = Program::assigned(&bed).await;
    let mut child = program.start();
    program.archives(1).await;
    sleep(Duration::from_millis(1_700)).await;
    child.0.kill().unwrap();
    let killed_at = Timestamp::now();
    child.0.wait().unwrap();
    sleep(Duration::from_secs(2)).await;
    let restarted_at = Timestamp::now();
    let child = program.start();
    let closed = async || {
        let gaps = program.gaps().await;
        gaps.iter()
            .any(|gap| gap.cause == GapCause::RecorderRestarted && gap.end.is_some())
    };
    eventually("the hole is closed", closed).await;
    sleep(Duration::from_secs(2)).await;
    terminate(&child);
    assert!(ends(child).await.success());

    let holes = bed.footage(1, &StreamSpec::default()).await.holes();
    assert_eq!(holes.len(), 1, "{holes:?}");
    let lost = killed_at.duration_since(holes[0].from).as_secs_f64();
    assert!(lost < 2.0, "{lost} s before the kill are lost");
    let back = holes[0].to.duration_since(restarted_at).as_secs_f64();
    assert!(back < 5.0, "{back} s from the restart to the first frame");
    let gaps = program.gaps().await;
    let row = gaps
        .iter()
        .find(|gap| gap.cause == GapCause::RecorderRestarted && gap.end.is_some())
        .unwrap();
    for (said, seen) in [(row.start, holes[0].from), (row.end.unwrap(), holes[0].to)] {
        assert!(
            said.duration_since(seen).as_secs_f64().abs() < 1.0,
            "{row:?} for {:?}",
            holes[0]
        );
    }
    let archive = bed.archive();
    let segments = archive
        .list_segments(&channel(1), Timestamp::UNIX_EPOCH, crate::bed::far_future())
        .await;
    let salvaged = segments
        .unwrap()
        .into_iter()
        .filter(|segment| is_salvaged(&bed, segment))
        .count();
    assert_eq!(salvaged, 1);
}

fn is_salvaged(bed: &Bed, segment: &SegmentKey) -> bool {
    let path = bed.archive_root().join(format!("{}.json", segment.object_key()));
    std::fs::read_to_string(path).unwrap().contains("salvaged")
}

#[tokio::test]
async fn the_password_is_nowhere_to_be_found() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    let program = Program::assigned(&bed).await;
    let child = program.start();
    program.archives(1).await;
    let argv = std::fs::read_to_string(format!("/proc/{}/cmdline", child.0.id())).unwrap();
    assert!(argv.contains("--gateway-username") && !argv.contains(PASSWORD));
    // Troubles are where secrets leak: a broken stream, a rejected log-in.
    bed.catalog
        .set_credentials(USER, secrecy::SecretString::from("another"));
    bed.catalog.disconnect(&target(1)).unwrap();
    let rejected = async || {
        program
            .gaps()
            .await
            .iter()
            .any(|gap| gap.cause == GapCause::CredentialsRejected)
    };
    eventually("the rejection is noted", rejected).await;
    terminate(&child);
    assert!(ends(child).await.success());

    let log = std::fs::read_to_string(bed.dir.path().join("log")).unwrap();
    assert!(log.contains("401"), "the log tells of the rejection: {log}");
    assert_nowhere(bed.dir.path(), PASSWORD);
}

#[tokio::test]
async fn two_recorders_of_one_name_never_share_a_spool() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    let program = Program::assigned(&bed).await;
    let first = program.start();
    program.archives(1).await;
    let second = program.start();
    assert!(!ends(second).await.success());
    terminate(&first);
    assert!(ends(first).await.success());
}
