//! Loops are what was asked for, and their frames can be told apart after whatever a recorder does to them.

use crate::common::{ffmpeg, fps, library, text, write_stream};
use simulator::frames::{self, ReadFrame};
use simulator::media::{Codec, Library, LoopSpec};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// Writes the first `frames` frames of a loop as an MP4 file.
async fn recording(folder: &TempDir, spec: &LoopSpec, frames: u64) -> PathBuf {
    recording_from(folder, spec, 0, frames).await
}

/// Writes `frames` frames from absolute number `from`.
async fn recording_from(folder: &TempDir, spec: &LoopSpec, from: u64, frames: u64) -> PathBuf {
    let video = library().video(spec).await.unwrap();
    let stream = folder.path().join(format!("{:?}.stream", spec.codec));
    write_stream(&video, from, frames, &stream);
    let file = stream.with_extension("mp4");
    let format = match spec.codec {
        Codec::H264 => "h264",
        Codec::H265 => "hevc",
    };
    let rate = fps(spec);
    ffmpeg(&[
        "-f",
        format,
        "-framerate",
        &rate,
        "-i",
        text(&stream),
        "-c",
        "copy",
        text(&file),
    ]);
    file
}

fn indexes(frames: &[ReadFrame]) -> Vec<u32> {
    frames
        .iter()
        .map(|frame| frame.index.expect("every frame is readable"))
        .collect()
}

fn small(codec: Codec) -> LoopSpec {
    LoopSpec {
        codec,
        ..LoopSpec::default()
    }
}

#[tokio::test]
async fn every_frame_of_a_small_loop_is_readable_and_on_time() {
    let folder = TempDir::new().unwrap();
    for codec in [Codec::H264, Codec::H265] {
        let spec = small(codec);
        let file = recording(&folder, &spec, u64::from(spec.frames)).await;
        let read = frames::read(&file).unwrap();
        assert_eq!(indexes(&read), (0..spec.frames).collect::<Vec<_>>());
        let times: Vec<i64> = read.iter().map(|frame| frame.pts_ms).collect();
        assert_eq!(
            times,
            (0..i64::from(spec.frames)).map(|n| n * 40).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_loop_decodes_across_its_end() {
    let folder = TempDir::new().unwrap();
    for codec in [Codec::H264, Codec::H265] {
        let spec = small(codec);
        let last = spec.frames - 50;
        let file = recording_from(&folder, &spec, u64::from(last), 100).await;
        assert_eq!(
            indexes(&frames::read(&file).unwrap()),
            (last..spec.frames).chain(0..50).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_full_hd_loop_has_the_asked_bit_rate_and_stays_readable() {
    let folder = TempDir::new().unwrap();
    let spec = LoopSpec {
        frames: 125,
        ..LoopSpec::full_hd(Codec::H264)
    };
    let file = recording(&folder, &spec, 125).await;
    let kbps = std::fs::metadata(&file).unwrap().len() * 8 / 5 / 1_000;
    assert!((1_600..=2_400).contains(&kbps), "{kbps} kbit/s");
    assert_eq!(
        indexes(&frames::read(&file).unwrap()),
        (0..125).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn the_frame_code_survives_being_transcoded_and_resized() {
    let folder = TempDir::new().unwrap();
    let file = recording(&folder, &small(Codec::H264), 200).await;
    let cases = [
        ["libx264", "scale=160:90", "60k"],
        ["libx265", "scale=128:128", "60k"],
        ["libx264", "scale=1280:720", "300k"],
    ];
    for [encoder, scale, rate] in cases {
        let changed = folder.path().join(format!("{encoder}-{rate}.mp4"));
        ffmpeg(&[
            "-i",
            text(&file),
            "-vf",
            scale,
            "-c:v",
            encoder,
            "-preset",
            "ultrafast",
            "-b:v",
            rate,
            text(&changed),
        ]);
        let read = frames::read(&changed).unwrap();
        assert_eq!(indexes(&read), (0..200).collect::<Vec<_>>(), "{encoder} {scale}");
    }
}

#[tokio::test]
async fn a_missing_frame_shows_as_a_hole_in_indexes_and_times() {
    let folder = TempDir::new().unwrap();
    let file = recording(&folder, &small(Codec::H264), 100).await;
    let changed = folder.path().join("hole.mp4");
    ffmpeg(&[
        "-i",
        text(&file),
        "-vf",
        "select='not(between(n,40,49))'",
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "-1",
        text(&changed),
    ]);
    let read = frames::read(&changed).unwrap();
    assert_eq!(indexes(&read), (0..40).chain(50..100).collect::<Vec<_>>());
    assert_eq!(read[40].pts_ms - read[39].pts_ms, 440);
}

#[tokio::test]
async fn a_damaged_file_is_an_error() {
    let folder = TempDir::new().unwrap();
    let file = recording(&folder, &small(Codec::H264), 100).await;
    let whole = std::fs::read(&file).unwrap();
    let damaged = folder.path().join("damaged.mp4");

    // The middle of the file is picture data: 2 kB of noise there break several frames.
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    for (at, byte) in bytes[middle..middle + 2_000].iter_mut().enumerate() {
        *byte = (at * 31) as u8;
    }
    std::fs::write(&damaged, bytes).unwrap();
    assert!(frames::read(&damaged).is_err());

    std::fs::write(&damaged, &whole[..middle]).unwrap();
    assert!(frames::read(&damaged).is_err());
    std::fs::write(&damaged, b"not a video").unwrap();
    assert!(frames::read(&damaged).is_err());
    assert!(frames::read(&folder.path().join("absent.mp4")).is_err());
}

#[tokio::test]
async fn equal_specs_are_encoded_once_even_when_asked_at_the_same_time() {
    let spec = LoopSpec {
        frames: 50,
        bit_rate_kbps: 90,
        ..LoopSpec::default()
    };
    let (one, two) = (Library::default(), Library::default());
    let (first, second) = tokio::join!(one.video(&spec), two.video(&spec));
    assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
}
