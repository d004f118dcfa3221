//! What is recorded of a healthy stream: everything, once.

use crate::bed::{Bed, channel, eventually};
use domain::GapCause;
use domain::coverage::{State, coverage};
use domain::ports::TasksTable;
use domain::segment::Origin;
use domain::settings::{Transcode, Video, VideoCodec};
use jiff::Timestamp;
use simulator::media::{AudioCodec, Codec, LoopSpec};
use simulator::rtsp::StreamSpec;
use std::num::NonZeroU32;
use std::process::Command;
use std::time::Duration;
use tokio::time::sleep;

fn h264_with_aac() -> StreamSpec {
    StreamSpec {
        audio: Some(AudioCodec::Aac),
        ..StreamSpec::default()
    }
}

fn h265() -> StreamSpec {
    let video = LoopSpec {
        codec: Codec::H265,
        ..LoopSpec::default()
    };
    StreamSpec {
        video,
        ..StreamSpec::default()
    }
}

#[tokio::test]
async fn every_frame_of_every_channel_is_in_the_archive_once() {
    let streams = [h264_with_aac(), h265()];
    let bed = Bed::with(&streams).await;
    bed.assign(&bed.assignment(1, 1)).await;
    bed.assign(&bed.assignment(2, 1)).await;
    let running = bed.run();
    bed.records(1).await;
    bed.records(2).await;
    sleep(Duration::from_secs(10)).await;
    let summary = running.stops().await;

    assert_eq!((summary.left, summary.rows_left), (0, 0));
    for (n, spec) in (1..).zip(&streams) {
        let footage = bed.footage(n, spec).await;
        footage.is_whole();
        assert!(footage.seconds() > 9.0, "{} s", footage.seconds());
        let segments = bed.segments(n).await;
        assert!(segments.len() >= 3, "{segments:?}");
        let causes: Vec<_> = bed.gaps(n).await.iter().map(|gap| gap.cause).collect();
        let before = causes
            .iter()
            .all(|cause| matches!(cause, GapCause::Starting | GapCause::RecorderRestarted));
        assert!(
            before && causes.len() <= 2,
            "only before the first frame and after the last: {causes:?}"
        );
        let row = bed.tables.assignment(&channel(n)).await.unwrap().unwrap();
        assert_eq!(
            row.heartbeat.last_segment_at,
            segments.last().map(domain::SegmentKey::end)
        );
    }
}

#[tokio::test]
async fn a_segment_is_what_its_metadata_says() {
    let bed = Bed::with(&[h264_with_aac()]).await;
    bed.assign(&bed.assignment(1, 7)).await;
    let running = bed.run();
    eventually("two segments are archived", async || {
        bed.segments(1).await.len() >= 2
    })
    .await;
    running.stops().await;

    let segments = bed.segments(1).await;
    for segment in &segments {
        assert_eq!(segment.generation.0, 7);
        let path = bed.archive_root().join(segment.object_key().0);
        let meta = std::fs::read_to_string(format!("{}.json", path.display())).unwrap();
        let meta: domain::SegmentMeta = serde_json::from_str(&meta).unwrap();
        assert_eq!(meta.origin, Origin::Live);
        assert!(meta.codecs.starts_with("avc1."), "{}", meta.codecs);
        assert!(meta.codecs.ends_with(",mp4a.40.2"), "{}", meta.codecs);
        let probe = Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-show_entries",
                "format=duration:stream=codec_name",
                "-of",
                "csv=p=0",
            ])
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8(probe.stdout).unwrap();
        assert!(said.contains("h264") && said.contains("aac"), "{said}");
        let seconds: f64 = said
            .lines()
            .last()
            .unwrap()
            .trim_end_matches(',')
            .parse()
            .unwrap();
        let named = segment.duration.as_secs_f64();
        assert!(
            (seconds - named).abs() < 0.1,
            "{seconds} s in the file, {named} s in its name"
        );
    }
}

#[tokio::test]
async fn a_changed_picture_begins_a_new_segment_and_loses_nothing() {
    let small = StreamSpec::default();
    let bed = Bed::with(std::slice::from_ref(&small)).await;
    bed.assign(&bed.assignment(1, 1)).await;
    let running = bed.run();
    bed.records(1).await;
    sleep(Duration::from_secs(2)).await;
    let mut large = small.clone();
    (large.video.width, large.video.height) = (640, 360);
    bed.catalog.set_spec(&crate::bed::target(1), large).await.unwrap();
    sleep(Duration::from_secs(4)).await;
    running.stops().await;

    bed.footage(1, &small).await.is_whole();
    let mut widths = Vec::new();
    for segment in bed.segments(1).await {
        let probe = Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "stream=width", "-of", "csv=p=0"])
            .arg(bed.archive_root().join(segment.object_key().0))
            .output()
            .unwrap();
        widths.push(String::from_utf8(probe.stdout).unwrap().trim().to_owned());
    }
    widths.dedup();
    assert_eq!(widths, ["320", "640"]);
}

#[tokio::test]
async fn a_transformed_channel_is_whole_and_has_its_stills() {
    let spec = StreamSpec::default();
    let bed = Bed::with(std::slice::from_ref(&spec)).await;
    let mut assignment = bed.assignment(1, 1);
    assignment.settings.stills_every_seconds = NonZeroU32::new(2);
    assignment.settings.video = Video::Transcode(Transcode {
        codec: VideoCodec::H264,
        bit_rate_kbps: NonZeroU32::new(300),
        size: None,
        frame_rate: None,
    });
    bed.assign(&assignment).await;
    let running = bed.run();
    eventually("two segments are archived", async || {
        bed.segments(1).await.len() >= 2
    })
    .await;
    running.stops().await;

    bed.footage(1, &spec).await.is_whole();
    let day = bed.segments(1).await[0].object_key().0;
    let day = bed.archive_root().join(day).parent().unwrap().to_owned();
    let names = std::fs::read_dir(day)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stills = names.filter(|name| name.ends_with(".jpg")).count();
    assert!(stills >= 2, "{stills} stills");
}

/// The ffmpeg of this process that encodes with so many kbit/s, if there is one.
fn ffmpeg_of(kbps: u32) -> Option<String> {
    let parent = std::process::id().to_string();
    let output = Command::new("pgrep")
        .args(["-P", &parent, "-f", &format!("b:v {kbps}k")])
        .output()
        .unwrap();
    let pid = String::from_utf8(output.stdout).unwrap();
    pid.lines().next().map(str::to_owned)
}

fn stop(pid: &str) {
    let sent = Command::new("kill").args(["-STOP", pid]).status().unwrap();
    assert!(sent.success());
}

/// A bed whose channel 1 comes with a usual bit rate, and is encoded anew with so many kbit/s.
async fn transcoding(spec: &StreamSpec, kbps: u32) -> Bed {
    let bed = Bed::with(std::slice::from_ref(spec)).await;
    let mut assignment = bed.assignment(1, 1);
    assignment.settings.video = Video::Transcode(Transcode {
        codec: VideoCodec::H264,
        bit_rate_kbps: NonZeroU32::new(kbps),
        size: None,
        frame_rate: None,
    });
    bed.assign(&assignment).await;
    bed
}

fn two_megabits() -> StreamSpec {
    StreamSpec {
        video: LoopSpec {
            width: 640,
            height: 360,
            bit_rate_kbps: 2_000,
            ..LoopSpec::default()
        },
        ..StreamSpec::default()
    }
}

#[tokio::test]
async fn a_channel_whose_ffmpeg_hangs_goes_on_and_says_what_it_lost() {
    let (spec, kbps) = (two_megabits(), 307);
    let bed = transcoding(&spec, kbps).await;
    let running = bed.run();
    eventually("a segment is archived", async || {
        !bed.segments(1).await.is_empty()
    })
    .await;
    let hung = ffmpeg_of(kbps).expect("one is at work");
    stop(&hung);
    eventually("another one takes over", async || {
        ffmpeg_of(kbps).is_some_and(|pid| pid != hung)
    })
    .await;
    let taken_over = Timestamp::now();
    eventually("the channel is recorded again", async || {
        bed.segments(1)
            .await
            .last()
            .is_some_and(|segment| segment.end() > taken_over)
    })
    .await;
    running.stops().await;

    let (gaps, segments) = (bed.gaps(1).await, bed.segments(1).await);
    let (first, last) = (segments[0].start, segments.last().unwrap().end());
    let spans = coverage(&segments, &gaps, first, last);
    assert!(
        spans.iter().all(|span| span.state != State::Unexplained),
        "{spans:?} with {gaps:?} and {segments:?}"
    );
    let within = gaps.iter().filter(|gap| gap.start >= first && gap.start < last);
    let causes: Vec<GapCause> = within.map(|gap| gap.cause).collect();
    assert!(
        causes
            .iter()
            .all(|cause| !matches!(cause, GapCause::StreamStalled | GapCause::Network)),
        "neither camera nor network is to blame: {causes:?}"
    );
}

#[tokio::test]
async fn an_ffmpeg_that_hangs_does_not_hold_up_the_end() {
    let (spec, kbps) = (two_megabits(), 311);
    let bed = transcoding(&spec, kbps).await;
    let running = bed.run();
    eventually("a segment is archived", async || {
        !bed.segments(1).await.is_empty()
    })
    .await;
    stop(&ffmpeg_of(kbps).expect("one is at work"));
    // Until more waits than is taken from the camera.
    sleep(Duration::from_secs(4)).await;
    let summary = running.stops().await;
    assert_eq!((summary.left, summary.rows_left), (0, 0));
    bed.footage(1, &spec).await.is_whole();
}
