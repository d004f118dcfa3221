//! The program itself, and an archive on a share: not mounted, or one that hangs.

use crate::bed::{Bed, channel, eventually, files, task};
use crate::process::{Program, UPLOADS_MAX, ends, terminate};
use domain::ports::TasksTable;
use domain::{Assignment, RecordingSettings};
use jiff::{SignedDuration, Timestamp};
use local::Folder;
use recorder::media::spool::Spool;
use simulator::rtsp::StreamSpec;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The bed's archive as a share that can be mounted elsewhere.
struct Share {
    mount_point: PathBuf,
    folder: PathBuf,
}

impl Share {
    fn of(bed: &Bed) -> Self {
        Self {
            mount_point: bed.archive_root(),
            folder: bed.dir.path().join("share"),
        }
    }

    fn goes_away(&self) {
        std::fs::rename(&self.mount_point, &self.folder).unwrap();
        std::fs::create_dir(&self.mount_point).unwrap();
    }

    /// Fails when anything was put where it belongs meanwhile.
    fn comes_back(&self) {
        std::fs::remove_dir(&self.mount_point).expect("nothing is below the mount point");
        std::fs::rename(&self.folder, &self.mount_point).unwrap();
    }
}

/// How many recordings wait in the spool.
fn waiting(bed: &Bed) -> usize {
    let is_recording = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "mp4");
    files(&bed.spool()).iter().filter(is_recording).count()
}

/// Segments of one second, so that many come soon.
fn assignment(bed: &Bed) -> Assignment {
    Assignment {
        settings: RecordingSettings {
            segment_seconds: NonZeroU32::MIN,
            ..RecordingSettings::default()
        },
        ..bed.assignment(1, 1)
    }
}

#[tokio::test]
async fn an_archive_that_is_not_mounted_is_not_replaced_and_gets_everything_when_it_is() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    let share = Share::of(&bed);
    let program = Program::with(&bed, &assignment(&bed)).await;
    let mut child = program.start();
    program.archives(1).await;
    share.goes_away();
    eventually("recordings wait", async || waiting(&bed) >= 2).await;

    child.0.kill().unwrap();
    child.0.wait().unwrap();
    let before = waiting(&bed);
    let child = program.start();
    eventually("more recordings wait", async || waiting(&bed) >= before + 3).await;

    share.comes_back();
    eventually("everything is archived", async || waiting(&bed) == 0).await;
    terminate(&child);
    assert!(ends(child).await.success());
    let holes = bed.footage(1, &StreamSpec::default()).await.holes();
    assert!(holes.len() <= 1, "more is missing than the kill cost: {holes:?}");
}

#[tokio::test]
async fn an_archive_that_hangs_holds_up_neither_recording_nor_heartbeats() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    let share = Share::of(&bed);
    let program = Program::with(&bed, &assignment(&bed)).await;
    share.goes_away();
    let mut child = program.start();
    eventually("recordings wait", async || waiting(&bed) >= UPLOADS_MAX).await;
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    share.comes_back();

    let pipes = pipes(&bed);
    let (child, started_at) = (program.start(), Timestamp::now());
    let (before, tries_before) = (waiting(&bed), tries(&bed));
    eventually("it records on", async || waiting(&bed) >= before + 4).await;
    eventually("it reports on", async || {
        let row = program.tables.assignment(&channel(1)).await.unwrap().unwrap();
        let heard = row.heartbeat.heartbeat_at;
        heard.is_some_and(|heard| heard > started_at + SignedDuration::from_secs(4))
    })
    .await;
    assert_eq!(tries(&bed), tries_before, "no upload has come to an end");

    pipes.iter().for_each(|pipe| lets_go(pipe));
    eventually("everything is archived", async || waiting(&bed) == 0).await;
    terminate(&child);
    assert!(ends(child).await.success());
    let holes = bed.footage(1, &StreamSpec::default()).await.holes();
    assert!(holes.len() <= 1, "more is missing than the kill cost: {holes:?}");
}

/// Named pipes in the places of the oldest objects that wait, one for each upload at once: whoever opens or reads one
/// hangs, as on a share whose server is gone.
fn pipes(bed: &Bed) -> Vec<PathBuf> {
    let waiting = Spool::open(&bed.spool(), &task()).unwrap().pending().unwrap();
    let objects = waiting
        .iter()
        .map(|pending| bed.archive_root().join(&pending.object.0));
    let pipes: Vec<PathBuf> = objects.take(UPLOADS_MAX).collect();
    for pipe in &pipes {
        std::fs::create_dir_all(pipe.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    pipes
}

/// Who hangs in the pipe sees its end, and the object's place is free.
fn lets_go(pipe: &Path) {
    // Who opens both ends does not hang: fifo(7).
    let both_ends = std::fs::File::options().read(true).write(true).open(pipe);
    std::fs::remove_file(pipe).unwrap();
    drop(both_ends.unwrap());
}

/// How many uploads have failed.
fn tries(bed: &Bed) -> usize {
    let log = std::fs::read_to_string(bed.dir.path().join("log")).unwrap();
    log.matches("not archived yet").count()
}

#[tokio::test]
async fn without_an_archive_that_was_ever_made_it_records_and_says_what_to_do() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    std::fs::remove_dir_all(bed.archive_root()).unwrap();
    let program = Program::with(&bed, &assignment(&bed)).await;
    let child = program.start();
    eventually("recordings wait", async || waiting(&bed) >= 2).await;
    assert!(!bed.archive_root().exists());
    let log = std::fs::read_to_string(bed.dir.path().join("log")).unwrap();
    assert!(
        log.contains("is its share mounted? For a new, empty archive, make the folder"),
        "{log}"
    );

    Folder::at(bed.archive_root()).make().await.unwrap();
    eventually("everything is archived", async || waiting(&bed) == 0).await;
    terminate(&child);
    assert!(ends(child).await.success());
    bed.footage(1, &StreamSpec::default()).await.is_whole();
}
