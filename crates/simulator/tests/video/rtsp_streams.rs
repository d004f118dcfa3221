//! What is played is what was published: every frame once, in order, at its time.

use crate::common::library;
use crate::studio::Studio;
use crate::viewer::{Viewer, assert_consecutive};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use simulator::frames::absolute;
use simulator::media::{AudioCodec, Codec, LoopSpec};
use simulator::rtsp::{CameraClock, Kind, StreamSpec};
use tempfile::tempdir;

const TARGET: &str = "/dac/realplay/38941127-49B5-44B3-84FC-219747AFF04E1/MAIN/TCP?streamform=rtp";

fn small(codec: Codec, audio: Option<AudioCodec>) -> StreamSpec {
    StreamSpec {
        video: LoopSpec {
            codec,
            ..LoopSpec::default()
        },
        audio,
        ..StreamSpec::default()
    }
}

/// Plays 75 frames and checks that they, and the sound beside them, are whole and in step.
async fn play(spec: &StreamSpec) -> (Viewer, Studio) {
    let studio = Studio::showing(TARGET, spec).await;
    let mut viewer = Viewer::connect(studio.url(TARGET)).await.unwrap();
    viewer.watch(75).await.unwrap();
    let folder = tempdir().unwrap();
    let (_, indexes) = viewer.decode(folder.path());
    assert!(indexes.len() >= 50);
    assert_consecutive(&indexes, spec.video.frames);
    assert!(viewer.pictures.iter().all(|picture| picture.lost_before == 0));
    for pair in viewer.pictures.windows(2) {
        assert_eq!(pair[1].rtp - pair[0].rtp, 90_000 / i64::from(spec.video.fps));
    }
    (viewer, studio)
}

fn assert_sound_is_whole(viewer: &Viewer, samples: i64) {
    assert!(
        viewer.sounds.len() > 20,
        "{} packets of sound",
        viewer.sounds.len()
    );
    assert!(viewer.sounds.iter().all(|sound| sound.lost_before == 0));
    for pair in viewer.sounds.windows(2) {
        assert_eq!(pair[1].rtp - pair[0].rtp, samples);
    }
}

#[tokio::test]
async fn h264_with_aac_is_played_whole() {
    let (viewer, _studio) = play(&small(Codec::H264, Some(AudioCodec::Aac))).await;
    assert_sound_is_whole(&viewer, 1_024);
    assert!(
        viewer.sounds.iter().all(|sound| sound.data.starts_with(&[0xff])),
        "ADTS"
    );
}

#[tokio::test]
async fn h265_with_g711_is_played_whole() {
    let specs = [AudioCodec::PcmMu, AudioCodec::PcmA].map(|codec| small(Codec::H265, Some(codec)));
    for (viewer, _studio) in join_all(specs.iter().map(play)).await {
        assert_sound_is_whole(&viewer, 320);
        assert!(viewer.sounds.iter().all(|sound| sound.data.len() == 320));
    }
}

#[tokio::test]
async fn a_wrap_of_rtp_time_goes_unnoticed() {
    let spec = StreamSpec {
        // One second before the wrap.
        rtp_start: Some(u32::MAX - 90_000),
        ..small(Codec::H264, None)
    };
    let (viewer, _studio) = play(&spec).await;
    let wire: Vec<u32> = viewer.pictures.iter().map(|picture| picture.rtp as u32).collect();
    assert!(wire.last() < wire.first(), "it wrapped");
}

/// By how much a camera's clock, as its sender reports tell it, is ahead of the numbers in its pictures: for
/// every report, of video and of audio.
async fn clock_errors(spec: &StreamSpec) -> Vec<SignedDuration> {
    let (viewer, _studio) = play(spec).await;
    let folder = tempdir().unwrap();
    let (first, indexes) = viewer.decode(folder.path());
    let number = absolute(indexes[0], Timestamp::now(), &spec.video);
    let rhythm = spec.video.rhythm();
    let picture = (viewer.pictures[first].rtp, rhythm.start_of(number));
    // Sound begins with the first unit that starts no earlier than the session's first picture.
    let begin = rhythm.start_of(number - first as u64);
    let rhythm = AudioCodec::Aac.rhythm();
    let sound = (viewer.sounds[0].rtp, rhythm.start_of(rhythm.first_from(begin)));
    let mut errors = Vec::new();
    for report in &viewer.reports {
        let ((rtp, on_air), rate) = if report.video {
            (picture, 90_000)
        } else {
            (sound, 16_000)
        };
        let ticks = i64::from((rtp as u32).wrapping_sub(report.rtp) as i32);
        let shown = report.clock + SignedDuration::from_nanos(ticks * 1_000_000_000 / rate);
        errors.push(shown.duration_since(on_air));
    }
    for video in [true, false] {
        assert!(viewer.reports.iter().any(|report| report.video == video));
    }
    errors
}

#[tokio::test]
async fn sender_reports_tell_when_everything_was_on_air_by_the_cameras_clock() {
    let right = small(Codec::H264, Some(AudioCodec::Aac));
    let wrong = StreamSpec {
        clock: CameraClock {
            offset_ms: 90_000,
            drift_ppm: 0,
        },
        ..right.clone()
    };
    let (of_right, of_wrong) = tokio::join!(clock_errors(&right), clock_errors(&wrong));
    let beyond = |errors: Vec<SignedDuration>, offset_ms: i64| {
        for error in errors {
            let beyond = (error - SignedDuration::from_millis(offset_ms)).abs();
            assert!(
                beyond < SignedDuration::from_millis(1),
                "{error:?}, not {offset_ms} ms"
            );
        }
    };
    beyond(of_right, 0);
    beyond(of_wrong, 90_000);
}

#[tokio::test]
async fn a_playback_is_exactly_its_frames_and_then_ends() {
    let video = LoopSpec::default();
    let key = {
        let number = video.on_air(Timestamp::now()) - 60 * u64::from(video.fps);
        number - number % u64::from(video.gop_frames)
    };
    let at = |number| video.rhythm().start_of(number);
    let just_after = |number| at(number) + SignedDuration::from_nanos(1);
    // From a key frame; from within a group of pictures, which is played from its key frame; and an end that
    // lies within a frame, which is still on air then.
    let cases = [
        (at(key), at(key + 40), key, key + 40),
        (at(key + 30), just_after(key + 59), key + 25, key + 60),
    ];
    let play = async |(start, end, first, until)| {
        let spec = StreamSpec {
            kind: Kind::Playback { start, end },
            ..StreamSpec::default()
        };
        let studio = Studio::showing("/dac/playback/X1", &spec).await;
        let mut viewer = Viewer::connect(studio.url("/dac/playback/X1")).await.unwrap();
        viewer.watch_to_the_end().await.unwrap();
        let folder = tempdir().unwrap();
        let (_, indexes) = viewer.decode(folder.path());
        let wanted: Vec<u32> = (first..until).map(|number| video.index_of(number)).collect();
        assert_eq!(indexes, wanted);
        studio.sessions_become("/dac/playback/X1", 0).await;
    };
    join_all(cases.map(play)).await;
}

#[tokio::test]
async fn a_new_resolution_takes_over_at_a_key_frame_without_losing_a_frame() {
    let spec = small(Codec::H264, None);
    let studio = Studio::showing(TARGET, &spec).await;
    let mut larger = spec.clone();
    (larger.video.width, larger.video.height) = (640, 360);
    library().video(&larger.video).await.unwrap();
    let mut viewer = Viewer::connect(studio.url(TARGET)).await.unwrap();
    viewer.watch(30).await.unwrap();

    studio.catalog.set_spec(TARGET, larger).await.unwrap();
    let so_far = viewer.pictures.len();
    viewer.watch(so_far + 60).await.unwrap();

    let changes: Vec<_> = viewer
        .pictures
        .iter()
        .filter(|picture| picture.new_parameters)
        .collect();
    assert_eq!(changes.len(), 1);
    assert!(changes[0].key);
    let folder = tempdir().unwrap();
    assert_consecutive(&viewer.decode(folder.path()).1, spec.video.frames);
}

#[tokio::test]
async fn a_new_codec_ends_sessions_and_is_described_to_the_next() {
    let studio = Studio::showing(TARGET, &small(Codec::H264, None)).await;
    let mut viewer = Viewer::connect(studio.url(TARGET)).await.unwrap();
    viewer.watch(1).await.unwrap();
    let other = small(Codec::H265, None);
    studio.catalog.set_spec(TARGET, other.clone()).await.unwrap();
    let _how_it_ends = viewer.watch_to_the_end().await;

    let mut viewer = Viewer::connect(studio.url(TARGET)).await.unwrap();
    viewer.watch(50).await.unwrap();
    let folder = tempdir().unwrap();
    assert_consecutive(&viewer.decode(folder.path()).1, other.video.frames);
}

#[tokio::test]
async fn twenty_sessions_at_once_lose_nothing() {
    let spec = small(Codec::H264, Some(AudioCodec::PcmMu));
    let studio = Studio::open();
    let target = |channel: usize| format!("/dac/realplay/D{channel}/MAIN/TCP?streamform=rtp");
    for channel in 0..20 {
        studio
            .catalog
            .publish(&target(channel), spec.clone())
            .await
            .unwrap();
    }
    let viewers = (0..20).map(|channel| {
        let url = studio.url(&target(channel));
        async move {
            let mut viewer = Viewer::connect(url).await.unwrap();
            viewer.watch(100).await.unwrap();
            viewer
        }
    });
    let viewers = join_all(viewers).await;
    for viewer in &viewers {
        assert!(viewer.pictures.iter().all(|picture| picture.lost_before == 0));
        assert!(
            viewer
                .pictures
                .windows(2)
                .all(|pair| pair[1].rtp - pair[0].rtp == 3_600)
        );
        assert!(viewer.sounds.iter().all(|sound| sound.lost_before == 0));
    }
    let folder = tempdir().unwrap();
    for viewer in viewers.iter().step_by(7) {
        assert_consecutive(&viewer.decode(folder.path()).1, spec.video.frames);
    }
}
