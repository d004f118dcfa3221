//! Whose folder it is, and what waits in it.

use crate::camera::{Camera, FPS, Sound, start};
use crate::harness::{Folder, channel, closed, events, indexes, record, settings};
use domain::{ChannelKey, Generation, TaskArn};
use jiff::{SignedDuration, Timestamp};
use recorder::media::pipeline::{Event, Pipeline, PipelineError};
use recorder::media::salvage::salvage;
use recorder::media::spool::{Spool, SpoolError};
use simulator::media::Codec;
use std::fs;
use std::path::PathBuf;

#[test]
fn a_folder_has_one_owner_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let task = TaskArn::from("task/../1");
    let first = Spool::open(root.path(), &task).unwrap();
    assert!(
        first.folder().parent() == Some(root.path()),
        "no name leaves the root"
    );
    assert!(matches!(
        Spool::open(root.path(), &task),
        Err(SpoolError::InUse { .. })
    ));
    drop(first);
    Spool::open(root.path(), &task).unwrap();
}

#[tokio::test]
async fn what_waits_is_listed_oldest_first_whatever_the_channel() {
    let camera = Camera::film(Codec::H264, 4, Sound::None).await;
    let folder = Folder::new();
    record(&mut folder.pipeline(settings(2)), &camera).await;
    let other = ChannelKey::new("Ä device/with everything", "..");
    let still = folder.spool.channel(other.clone(), Generation(1));
    let taken_at = start() + SignedDuration::from_secs(1);
    still.put_still(taken_at, b"JPEG").unwrap();

    let pending = folder.spool.pending().unwrap();
    let starts: Vec<i64> = pending
        .iter()
        .map(|pending| pending.start.duration_since(start()).as_secs())
        .collect();
    assert_eq!(starts, [0, 1, 2]);
    assert_eq!(pending[1].channel, other);
    assert_eq!(pending[1].segment, None);
    assert!(
        pending[1]
            .object
            .0
            .ends_with("2026/11/21/20261121T090001.000Z_1.jpg")
    );
    assert_eq!(pending[1].size_bytes, 4);
}

#[tokio::test]
async fn what_the_archive_has_is_forgotten_and_what_it_refuses_is_kept_aside() {
    let camera = Camera::film(Codec::H264, 4, Sound::None).await;
    let folder = Folder::new();
    record(&mut folder.pipeline(settings(2)), &camera).await;
    let pending = folder.spool.pending().unwrap();
    Spool::remove(&pending[0]).unwrap();
    Spool::remove(&pending[0]).unwrap();
    let aside = folder.spool.set_aside(&pending[1]).unwrap();
    assert!(aside.exists());
    assert_eq!(folder.spool.pending().unwrap(), []);
    let place = folder.spool.folder().join(channel().prefix());
    assert_eq!(fs::read_dir(place).unwrap().count(), 0);
    assert!(
        !Spool::remove_if_empty(Folder::take(folder)).unwrap(),
        "what was refused stays"
    );
}

#[tokio::test]
async fn a_disk_that_refuses_loses_no_more_than_it_must() {
    let camera = Camera::film(Codec::H264, 6, Sound::None).await;
    let folder = Folder::new();
    let mut pipeline = folder.pipeline(settings(2));
    pipeline.begin(camera.params.clone()).await.unwrap();
    let place = folder.spool.folder().join(channel().prefix());
    let mut failures = 0;
    for (number, frame) in camera.frames.iter().enumerate() {
        if number == 75 {
            // No file can be created where a file is; the open one can still be written.
            fs::rename(&place, place.with_extension("aside")).unwrap();
            fs::write(&place, "").unwrap();
        }
        failures += u32::from(pipeline.push(frame.clone()).await.is_err());
    }
    assert!(failures > 0, "a refusal is never silent");
    fs::remove_file(&place).unwrap();
    fs::rename(place.with_extension("aside"), &place).unwrap();
    // What failed before may be said once more; then what could not be closed is, and recording goes on.
    let _ = pipeline.finish().await;
    pipeline.finish().await.unwrap();
    let events = record(&mut pipeline, &camera).await;
    let lengths: Vec<f64> = closed(&events)
        .iter()
        .map(|pending| pending.segment.as_ref().unwrap().duration.as_secs_f64().round())
        .collect();
    assert_eq!(lengths, [2.0; 5], "two from before the trouble, three from after");
    assert_eq!(salvage(&folder.spool).unwrap().closed, [], "none is left open");
    // The third was never on disk, and is told from where the second ends.
    assert_eq!(lost(&events), [(4, 6)]);
}

/// From when to when pictures are told to be lost, in seconds.
fn lost(events: &[Event]) -> Vec<(i64, i64)> {
    let seconds = |at: &Timestamp| at.duration_since(start()).as_secs();
    events
        .iter()
        .filter_map(|event| match event {
            Event::Lost { start, end } => Some((seconds(start), seconds(end))),
            Event::Started { .. }
            | Event::Stopped { .. }
            | Event::OnDisk(_)
            | Event::Closed { .. }
            | Event::Still(_)
            | Event::TransformFailed { .. } => None,
        })
        .collect()
}

/// A pipeline whose first segment of two seconds cannot be closed: a folder is where its metadata would be written.
fn with_an_obstacle(folder: &Folder) -> (Pipeline, PathBuf) {
    let place = folder.spool.folder().join(channel().prefix());
    let obstacle = place.join("20261121T090000.000Z_2000_7.mp4.json.tmp");
    fs::create_dir_all(&obstacle).unwrap();
    (folder.pipeline(settings(2)), obstacle)
}

#[tokio::test]
async fn what_could_not_be_closed_is_closed_by_another_finish() {
    let camera = Camera::film(Codec::H264, 2, Sound::None).await;
    let folder = Folder::new();
    let (mut pipeline, obstacle) = with_an_obstacle(&folder);
    pipeline.begin(camera.params.clone()).await.unwrap();
    for frame in &camera.frames {
        pipeline.push(frame.clone()).await.unwrap();
    }
    for _ in 0..2 {
        let refused = pipeline.finish().await;
        assert!(
            matches!(refused, Err(PipelineError::Spool(SpoolError::Io { .. }))),
            "{refused:?}"
        );
        assert_eq!(closed(&events(&mut pipeline)), []);
    }
    fs::remove_dir(obstacle).unwrap();
    pipeline.finish().await.unwrap();
    let closed = closed(&events(&mut pipeline));
    assert_eq!(indexes(&closed).await, (0..2 * FPS).collect::<Vec<_>>());
    assert_eq!(folder.spool.pending().unwrap(), closed);
}

#[tokio::test]
async fn what_could_not_be_closed_is_closed_beside_the_next_segment() {
    let camera = Camera::film(Codec::H264, 6, Sound::None).await;
    let folder = Folder::new();
    let (mut pipeline, obstacle) = with_an_obstacle(&folder);
    pipeline.begin(camera.params.clone()).await.unwrap();
    let mut failures = 0;
    for frame in &camera.frames {
        let mut failed = pipeline.push(frame.clone()).await.is_err();
        // Files are closed beside recording: the failure shows some time before the second segment ends.
        while failures == 0 && !failed && frame.arrived_at > start() + SignedDuration::from_secs(3) {
            failed = pipeline.next().await.is_err();
        }
        if failed {
            failures += 1;
            fs::remove_dir(&obstacle).unwrap();
        }
    }
    pipeline.finish().await.unwrap();
    assert_eq!(failures, 1, "it is told once");
    let events = events(&mut pipeline);
    assert_eq!(indexes(&closed(&events)).await, (0..6 * FPS).collect::<Vec<_>>());
    assert_eq!(lost(&events), []);
}

#[tokio::test]
async fn what_is_never_closed_is_told_as_lost_and_left_to_the_next_salvage() {
    let camera = Camera::film(Codec::H264, 4, Sound::None).await;
    let folder = Folder::new();
    let (mut pipeline, obstacle) = with_an_obstacle(&folder);
    pipeline.begin(camera.params.clone()).await.unwrap();
    for frame in &camera.frames {
        // The failure may show in any of them, and in the end.
        let _ = pipeline.push(frame.clone()).await;
    }
    assert!(pipeline.finish().await.is_err());
    pipeline.give_up();
    let events = events(&mut pipeline);
    assert_eq!(closed(&events).len(), 1);
    assert_eq!(lost(&events), [(0, 2)]);
    drop(pipeline);
    fs::remove_dir(obstacle).unwrap();
    let salvaged = salvage(&folder.spool).unwrap();
    assert_eq!(indexes(&salvaged.closed).await, (0..2 * FPS).collect::<Vec<_>>());
}
