//! Whose folder it is, and what waits in it.

use crate::camera::{Camera, Sound, start};
use crate::harness::{Folder, channel, closed, record, settings};
use domain::{ChannelKey, Generation, TaskArn};
use jiff::SignedDuration;
use recorder::media::salvage::salvage;
use recorder::media::spool::{Spool, SpoolError};
use simulator::media::Codec;
use std::fs;

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
    // What failed before is said again at most once; then recording goes on.
    let _ = pipeline.finish().await;
    let events = record(&mut pipeline, &camera).await;
    let mut closed = closed(&events);
    // Whether the segment that was open could be closed depends on when; its file is there either way.
    let salvaged = salvage(&folder.spool).unwrap();
    closed.extend(salvaged.closed);
    closed.sort_by_key(|pending| pending.start);
    let lengths: Vec<f64> = closed
        .iter()
        .map(|pending| pending.segment.as_ref().unwrap().duration.as_secs_f64().round())
        .collect();
    assert_eq!(lengths, [2.0; 5], "two from before the trouble, three from after");
}
