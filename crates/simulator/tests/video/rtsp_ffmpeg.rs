//! A second client that shares no code with the first: what ffmpeg records is what was on air.

use crate::common::{ffmpeg, text};
use crate::studio::Studio;
use crate::viewer::assert_consecutive;
use futures::future::join_all;
use simulator::frames;
use simulator::media::{AudioCodec, Codec, LoopSpec};
use simulator::rtsp::StreamSpec;
use std::path::Path;
use std::process::Command;
use tempfile::tempdir;
use tokio::task::spawn_blocking;

const TARGET: &str = "/dac/realplay/X1/MAIN/TCP?streamform=rtp";

/// Records a few seconds with ffmpeg, without decoding.
async fn record(studio: &Studio, file: &Path) {
    let (url, file) = (studio.url_with_login(TARGET), file.to_owned());
    let recorded = spawn_blocking(move || {
        let args = [
            "-rtsp_transport",
            "tcp",
            "-i",
            &url,
            "-t",
            "4",
            "-c",
            "copy",
            text(&file),
        ];
        ffmpeg(&args);
    });
    recorded.await.unwrap();
}

/// The codecs of a file, as ffprobe names them.
fn codecs(file: &Path) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "stream=codec_name",
            "-of",
            "csv=p=0",
        ])
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn ffmpeg_records_every_frame_of_every_codec() {
    let cases = [
        (Codec::H264, AudioCodec::Aac, ["h264", "aac"]),
        (Codec::H265, AudioCodec::PcmMu, ["hevc", "pcm_mulaw"]),
        (Codec::H264, AudioCodec::PcmA, ["h264", "pcm_alaw"]),
    ];
    join_all(cases.map(|(codec, audio, names)| record_and_check(codec, audio, names))).await;
}

async fn record_and_check(codec: Codec, audio: AudioCodec, names: [&str; 2]) {
    let video = LoopSpec {
        codec,
        ..LoopSpec::default()
    };
    let spec = StreamSpec {
        video: video.clone(),
        audio: Some(audio),
        ..StreamSpec::default()
    };
    let studio = Studio::showing(TARGET, &spec).await;
    let folder = tempdir().unwrap();
    let file = folder.path().join("recorded.mkv");
    record(&studio, &file).await;
    assert_eq!(codecs(&file), names);
    let read = frames::read(&file).unwrap();
    let indexes: Vec<u32> = read.iter().map(|frame| frame.index.unwrap()).collect();
    assert!(indexes.len() >= 50, "{} frames", indexes.len());
    assert_consecutive(&indexes, video.frames);
    // ffmpeg starts its clock anew when the first sender report arrives, on a busy machine after the first frames.
    for pair in read[25..].windows(2) {
        assert_eq!(pair[1].pts_ms - pair[0].pts_ms, 40);
    }
}

#[tokio::test]
async fn ffmpeg_with_a_wrong_password_gets_nothing() {
    let studio = Studio::showing(TARGET, &StreamSpec::default()).await;
    let url = studio
        .url(TARGET)
        .to_string()
        .replace("rtsp://", "rtsp://admin:wrong@");
    let output = spawn_blocking(move || {
        Command::new("ffmpeg")
            .args([
                "-v",
                "error",
                "-rtsp_transport",
                "tcp",
                "-i",
                &url,
                "-f",
                "null",
                "-",
            ])
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("401"));
}
