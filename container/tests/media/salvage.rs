//! What a killed recorder leaves behind.

use crate::camera::{Camera, FPS, Sound, demux, start};
use crate::harness::{Folder, channel, closed, ffprobe, frames, record, settings};
use domain::segment::format_start;
use domain::{Generation, Origin, TaskArn};
use jiff::SignedDuration;
use recorder::media::mux::VIDEO_TRACK;
use recorder::media::pipeline::Pipeline;
use recorder::media::salvage::{Salvaged, salvage};
use recorder::media::spool::Spool;
use simulator::media::Codec;
use std::fs;
use std::path::PathBuf;

/// Feeds a pipeline and drops it, as a kill would: nothing is closed. Answers the open file.
async fn killed(folder: &Folder, camera: &Camera) -> PathBuf {
    let mut pipeline = folder.pipeline(settings(30));
    pipeline.begin(camera.params.clone()).await.unwrap();
    for frame in &camera.frames {
        pipeline.push(frame.clone()).await.unwrap();
    }
    drop(pipeline);
    let name = format!("{}_7.part", format_start(start()));
    folder.spool.folder().join(channel().prefix()).join(name)
}

/// A folder with one `.part` file of these bytes, salvaged.
fn salvaged(bytes: &[u8]) -> (Folder, Salvaged) {
    let folder = Folder::new();
    let place = folder.spool.folder().join(channel().prefix());
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(format!("{}_7.part", format_start(start()))), bytes).unwrap();
    let salvaged = salvage(&folder.spool).unwrap();
    (folder, salvaged)
}

#[tokio::test]
async fn a_kill_loses_less_than_a_second_and_the_rest_plays() {
    let camera = Camera::film(Codec::H264, 6, Sound::Aac).await;
    let folder = Folder::new();
    killed(&folder, &camera).await;

    let salvaged = salvage(&folder.spool).unwrap();
    assert_eq!(salvaged.damaged, []);
    let segment = &salvaged.closed[0];
    assert_eq!(segment.meta.origin, Origin::Salvaged);
    assert_eq!(segment.start, start());
    assert!(segment.meta.codecs.starts_with("avc1.") && segment.meta.codecs.ends_with("mp4a.40.2"));
    let read = frames(&segment.file).await;
    assert!(read.len() > 5 * FPS as usize, "{} frames", read.len());
    let wanted = read
        .iter()
        .zip(0..)
        .all(|(frame, index)| frame.index == Some(index));
    assert!(wanted);
    let length = segment.segment.as_ref().unwrap().duration;
    assert_eq!(
        length,
        SignedDuration::from_millis(i64::try_from(read.len()).unwrap() * 40)
    );
    assert_eq!(
        ffprobe("-show_entries format=duration", &segment.file)
            .parse::<f64>()
            .unwrap(),
        length.as_secs_f64()
    );
    assert_eq!(folder.spool.pending().unwrap(), std::slice::from_ref(segment));
}

#[tokio::test]
async fn a_file_cut_at_any_byte_keeps_every_whole_fragment() {
    let camera = Camera::film(Codec::H264, 2, Sound::Aac).await;
    let folder = Folder::new();
    let whole = fs::read(killed(&folder, &camera).await).unwrap();
    let ends = fragment_ends(&whole);
    assert!(ends.len() >= 3, "{ends:?}");
    // Every byte around each end, and a spread between.
    let near = |cut: &usize| ends.iter().any(|(end, _)| cut.abs_diff(*end) < 40) || cut.is_multiple_of(97);
    for cut in (0..=whole.len()).filter(near) {
        let (_folder, salvaged) = salvaged(&whole[..cut]);
        let pictures = ends
            .iter()
            .rev()
            .find(|(end, _)| *end <= cut)
            .map_or(0, |(_, pictures)| *pictures);
        if pictures == 0 {
            assert_eq!(
                (salvaged.closed.len(), salvaged.damaged.len()),
                (0, 1),
                "cut at {cut}"
            );
            assert_eq!(salvaged.damaged[0].start, Some(start()));
            continue;
        }
        let file = &salvaged.closed[0].file;
        let (_, samples) = demux(&fs::read(file).unwrap());
        let found = samples
            .iter()
            .filter(|sample| sample.track == VIDEO_TRACK)
            .count();
        assert_eq!(found, pictures, "cut at {cut}");
    }
}

/// Where fragments end, and how many pictures there are until then.
fn fragment_ends(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut at, mut ends) = (0, Vec::new());
    while at < bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let is_data = &bytes[at + 4..at + 8] == b"mdat";
        at += size;
        if is_data {
            let (_, samples) = demux(&bytes[..at]);
            let pictures = samples
                .iter()
                .filter(|sample| sample.track == VIDEO_TRACK)
                .count();
            ends.push((at, pictures));
        }
    }
    ends
}

#[tokio::test]
async fn salvaging_can_be_killed_and_repeated() {
    let camera = Camera::film(Codec::H264, 3, Sound::None).await;
    let folder = Folder::new();
    let part = killed(&folder, &camera).await;
    let bytes = fs::read(&part).unwrap();
    let once = salvage(&folder.spool).unwrap().closed.remove(0);
    let cut_and_patched = fs::read(&once.file).unwrap();

    // Killed after the file was cut and patched, before it was renamed: what it had written is found again.
    fs::rename(&once.file, &part).unwrap();
    let again = salvage(&folder.spool).unwrap().closed.remove(0);
    assert_eq!(again, once);
    assert_eq!(fs::read(&again.file).unwrap(), cut_and_patched);
    assert!(bytes.len() >= cut_and_patched.len());

    // Nothing is left to do.
    let nothing = salvage(&folder.spool).unwrap();
    assert_eq!((nothing.closed, nothing.damaged), (vec![], vec![]));
}

#[tokio::test]
async fn a_closed_file_that_lost_its_metadata_is_hashed_again() {
    let camera = Camera::film(Codec::H264, 2, Sound::None).await;
    let folder = Folder::new();
    let events = record(&mut folder.pipeline(settings(30)), &camera).await;
    let segment = &closed(&events)[0];
    let mut meta = segment.file.clone().into_os_string();
    meta.push(".json");
    fs::remove_file(&meta).unwrap();
    assert_eq!(folder.spool.pending().unwrap(), []);
    let restored = salvage(&folder.spool).unwrap().closed.remove(0);
    assert_eq!(restored.object, segment.object);
    assert_eq!(restored.meta.sha256, segment.meta.sha256);
}

#[tokio::test]
async fn leftovers_of_half_done_work_go() {
    let folder = Folder::new();
    let place = folder.spool.folder().join(channel().prefix());
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("20261121T090000.000Z_1_7.mp4.json.tmp"), "{").unwrap();
    fs::write(place.join("20261121T090000.000Z_1_7.mp4.json"), "{}").unwrap();
    fs::write(place.join("not-a-time_7.part"), "x").unwrap();
    let salvaged = salvage(&folder.spool).unwrap();
    assert_eq!(salvaged.closed, []);
    assert_eq!(salvaged.damaged.len(), 1, "the .part is reported");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
}

#[tokio::test]
async fn a_dead_recorders_folder_is_salvaged_by_the_next_and_then_gone() {
    let camera = Camera::film(Codec::H264, 2, Sound::None).await;
    let folder = Folder::new();
    killed(&folder, &camera).await;
    let (root, living) = (folder.root, folder.spool);

    let next = Spool::open(root.path(), &TaskArn::from("arn:aws:ecs:eu-west-1:1:task/2")).unwrap();
    assert!(next.dead().unwrap().is_empty(), "its owner lives");
    drop(living);
    let mut dead = next.dead().unwrap();
    assert_eq!(dead.len(), 1);
    let dead = dead.remove(0);
    assert_eq!(salvage(&dead).unwrap().closed.len(), 1);
    let pending = dead.pending().unwrap();
    Spool::remove(&pending[0]).unwrap();
    assert!(dead.remove_if_empty().unwrap());
    assert!(next.dead().unwrap().is_empty());
}

#[tokio::test]
async fn recording_goes_on_after_what_was_salvaged() {
    let camera = Camera::film(Codec::H264, 3, Sound::None).await;
    let folder = Folder::new();
    killed(&folder, &camera).await;
    let salvaged = salvage(&folder.spool).unwrap().closed.remove(0);
    let until = salvaged.segment.as_ref().unwrap().end();
    let place = folder.spool.channel(channel(), Generation(7));
    let mut pipeline = Pipeline::new(place, settings(30), Some(until));
    let events = record(&mut pipeline, &camera).await;
    assert!(closed(&events)[0].start >= until);
}
