//! Transforms with the real ffmpeg: exact times, nothing lost, and clear errors.

use crate::camera::{Camera, FPS, Sound, VIDEO_RATE, demux, start};
use crate::harness::{Folder, channel, closed, events, ffprobe, frames, indexes, settings};
use domain::settings::{Audio, PictureSize, RecordingSettings, Transcode, Video, VideoCodec};
use jiff::SignedDuration;
use recorder::media::frame::Frame;
use recorder::media::mux::{AUDIO_TRACK, VIDEO_TRACK};
use recorder::media::pipeline::{Break, Event, Pipeline, What};
use recorder::media::spool::Pending;
use recorder::media::transform::TransformError;
use simulator::media::{Codec, LoopSpec};
use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn transcode(codec: VideoCodec) -> Transcode {
    Transcode {
        codec,
        bit_rate_kbps: None,
        size: None,
        frame_rate: None,
    }
}

fn with_video(transcode: Transcode) -> RecordingSettings {
    RecordingSettings {
        video: Video::Transcode(transcode),
        ..settings(2)
    }
}

/// How much of what it was given an ffmpeg may hold back until its input ends.
const HELD_BACK: SignedDuration = SignedDuration::from_secs(1);
/// For an ffmpeg to put out some seconds of small pictures, on a machine that many tests share.
const PATIENCE: Duration = Duration::from_secs(120);

/// Records all a camera sent, from the first frame to a finish.
async fn transform(pipeline: &mut Pipeline, camera: &Camera) -> Vec<Event> {
    pipeline.begin(camera.params.clone()).await.unwrap();
    for frame in &camera.frames {
        pipeline.push(frame.clone()).await.unwrap();
    }
    finish(pipeline, camera).await
}

/// Finishes when ffmpeg has caught up with the camera: what it is given to come to an end is counted in seconds.
async fn finish(pipeline: &mut Pipeline, camera: &Camera) -> Vec<Event> {
    let mut seen = catch_up(pipeline, &camera.frames).await;
    pipeline.finish().await.unwrap();
    seen.extend(events(pipeline));
    seen
}

/// Waits until ffmpeg has put out these frames but for what it holds back.
async fn catch_up(pipeline: &mut Pipeline, frames: &[Frame]) -> Vec<Event> {
    let nearly_all = frames.last().unwrap().arrived_at - HELD_BACK;
    let mut seen = Vec::new();
    let catch_up = async {
        while pipeline.recorded_until() < Some(nearly_all) {
            seen.extend(work(pipeline).await);
        }
    };
    let caught_up = tokio::time::timeout(PATIENCE, catch_up).await;
    caught_up.expect("ffmpeg catches up");
    seen
}

/// Lets the pipeline work for a moment.
async fn work(pipeline: &mut Pipeline) -> Option<Event> {
    let event = tokio::time::timeout(Duration::from_millis(5), pipeline.next()).await;
    event.ok().map(Result::unwrap)
}

/// Times of the pictures in files, in ticks of the source's clock.
fn picture_times(segments: &[Pending]) -> Vec<i64> {
    let mut times = Vec::new();
    for segment in segments {
        let offset = segment.start.duration_since(start()).as_millis() * 90;
        let (_, samples) = demux(&fs::read(&segment.file).unwrap());
        let pictures = samples.iter().filter(|sample| sample.track == VIDEO_TRACK);
        times
            .extend(pictures.map(|sample| sample.time.ticks_at(VIDEO_RATE) + i64::try_from(offset).unwrap()));
    }
    times
}

#[tokio::test]
async fn transcoded_pictures_are_all_there_at_their_own_times() {
    for (from, to, name) in [
        (Codec::H265, VideoCodec::H264, "avc1."),
        (Codec::H264, VideoCodec::H265, "hvc1."),
    ] {
        let camera = Camera::film(from, 5, Sound::Aac).await;
        let folder = Folder::new();
        let events = transform(&mut folder.pipeline(with_video(transcode(to))), &camera).await;
        let closed = closed(&events);
        assert_eq!(closed.len(), 3);
        assert!(
            closed[0].meta.codecs.starts_with(name),
            "{}",
            closed[0].meta.codecs
        );
        assert_eq!(indexes(&closed).await, (0..5 * FPS).collect::<Vec<_>>());
        let wanted: Vec<i64> = (0..i64::from(5 * FPS)).map(|index| index * 3_600).collect();
        assert_eq!(picture_times(&closed), wanted);
        // The sound that is only copied is still beside them.
        assert_eq!(
            ffprobe("-show_entries stream=codec_name", &closed[1].file)
                .lines()
                .count(),
            2
        );
    }
}

#[tokio::test]
async fn size_bit_rate_and_frame_rate_are_what_was_asked_for() {
    let camera = Camera::film(Codec::H264, 6, Sound::None).await;
    let folder = Folder::new();
    let asked = Transcode {
        bit_rate_kbps: Some(number(60)),
        size: Some(PictureSize {
            width: number(160),
            height: number(120),
        }),
        frame_rate: Some(number(10)),
        ..transcode(VideoCodec::H264)
    };
    let events = transform(&mut folder.pipeline(with_video(asked)), &camera).await;
    let closed = closed(&events);
    assert_eq!(
        ffprobe("-show_entries stream=width,height", &closed[0].file),
        "160,120"
    );
    let times = picture_times(&closed);
    assert!(times.len().abs_diff(60) <= 1, "{} pictures", times.len());
    assert!(times.iter().all(|time| time % 3_600 == 0), "no picture was moved");
    let bytes: u64 = closed.iter().map(|segment| segment.size_bytes).sum();
    assert!(bytes < 6 * 60_000 / 8 * 2, "{bytes} bytes");
}

#[tokio::test]
async fn g711_becomes_aac_in_time_with_the_pictures() {
    for sound in [Sound::Mu, Sound::A] {
        let camera = Camera::film(Codec::H264, 6, sound).await;
        let folder = Folder::new();
        let settings = RecordingSettings {
            audio: Audio::Aac,
            ..settings(2)
        };
        let events = transform(&mut folder.pipeline(settings), &camera).await;
        let closed = closed(&events);
        assert_eq!(indexes(&closed).await, (0..6 * FPS).collect::<Vec<_>>());
        let mut heard = Vec::new();
        for segment in &closed {
            assert!(segment.meta.codecs.ends_with(",mp4a.40.2"));
            let offset = segment.start.duration_since(start());
            let (_, samples) = demux(&fs::read(&segment.file).unwrap());
            let sounds = samples.into_iter().filter(|sample| sample.track == AUDIO_TRACK);
            heard.extend(sounds.map(|sample| offset + sample.time.since_start()));
            let loud = rms(&segment.file);
            assert!((-20.0..-10.0).contains(&loud), "the tone has {loud} dB");
        }
        // 48,000 samples in access units of 1,024, whose times follow each other exactly.
        assert!((46..=48).contains(&heard.len()), "{}", heard.len());
        assert!(heard[0] < SignedDuration::from_millis(130));
        for pair in heard.windows(2) {
            assert_eq!((pair[1] - pair[0]).as_millis(), 128);
        }
    }
}

/// The loudness of a file's sound in dB, as ffmpeg measures it.
fn rms(file: &Path) -> f64 {
    let output = Command::new("ffmpeg")
        .args(["-v", "info", "-nostats", "-i"])
        .arg(file)
        .args(["-map", "0:a", "-af", "volumedetect", "-f", "null", "-"])
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, after) = log.split_once("mean_volume: ").unwrap();
    after.split_once(" dB").unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn sound_that_is_off_is_gone_without_a_note() {
    let camera = Camera::film(Codec::H264, 2, Sound::Aac).await;
    let folder = Folder::new();
    let settings = RecordingSettings {
        audio: Audio::Off,
        ..settings(30)
    };
    let events = transform(&mut folder.pipeline(settings), &camera).await;
    let segment = &closed(&events)[0];
    assert_eq!(ffprobe("-show_entries stream=codec_type", &segment.file), "video");
    assert_eq!(segment.meta.note, None);
}

#[tokio::test]
async fn stills_are_jpegs_of_the_right_moment() {
    // Key frames come every second: every third is enough, and every one is not enough for two a second.
    for (every, wanted) in [(3, vec![0, 3, 6]), (1, vec![0, 1, 2, 3, 4, 5, 6])] {
        let camera = Camera::film(Codec::H264, 8, Sound::None).await;
        let folder = Folder::new();
        let settings = RecordingSettings {
            stills_every_seconds: Some(number(every)),
            ..settings(30)
        };
        let mut pipeline = folder.pipeline(settings);
        pipeline.begin(camera.params.clone()).await.unwrap();
        for frame in &camera.frames {
            pipeline.push(frame.clone()).await.unwrap();
        }
        let stills = wait_for_stills(&mut pipeline, wanted.len()).await;
        let moments: Vec<i64> = stills
            .iter()
            .map(|still| still.start.duration_since(start()).as_secs())
            .collect();
        assert_eq!(moments, wanted);
        for (still, moment) in stills.iter().zip(wanted) {
            let read = frames(&still.file).await;
            assert_eq!(read[0].index, Some(u32::try_from(moment).unwrap() * FPS));
            assert_eq!((still.segment.as_ref(), &still.channel), (None, &channel()));
        }
    }
}

async fn wait_for_stills(pipeline: &mut Pipeline, count: usize) -> Vec<Pending> {
    let mut stills = Vec::new();
    while stills.len() < count {
        let event = tokio::time::timeout(Duration::from_secs(30), pipeline.next()).await;
        if let Event::Still(pending) = event.expect("a still in time").unwrap() {
            stills.push(pending);
        }
    }
    stills.sort_by_key(|still: &Pending| still.start);
    stills
}

/// An ffmpeg that leaves its process id in a file.
fn traceable(folder: &Path) -> (PathBuf, PathBuf) {
    let pid = folder.join("pid");
    let script = format!("#!/bin/sh\necho $$ > '{}'\nexec ffmpeg \"$@\"\n", pid.display());
    (program(folder, &script), pid)
}

fn program(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("program");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_killed_ffmpeg_loses_no_picture() {
    for rate in [None, Some(number(10))] {
        let camera = Camera::film(Codec::H264, 6, Sound::None).await;
        let folder = Folder::new();
        let scripts = tempfile::tempdir().unwrap();
        let (program, pid) = traceable(scripts.path());
        let asked = Transcode {
            frame_rate: rate,
            ..transcode(VideoCodec::H264)
        };
        let mut pipeline = folder
            .pipeline(with_video(asked.clone()))
            .with_program(program.to_str().unwrap());
        let mut seen = Vec::new();
        pipeline.begin(camera.params.clone()).await.unwrap();
        for (number, frame) in camera.frames.iter().enumerate() {
            // In the middle of a group of pictures, twice: the second time at once after the restart.
            if number == 60 || number == 85 {
                kill(&pid, &mut pipeline, &mut seen).await;
            }
            pipeline.push(frame.clone()).await.unwrap();
        }
        seen.extend(finish(&mut pipeline, &camera).await);
        let events = seen;
        let failures: Vec<&TransformError> = events.iter().filter_map(failure).collect();
        assert!(!failures.is_empty() && failures.len() <= 2, "{failures:?}");
        assert!(failures[0].to_string().contains("signal: 9"), "{}", failures[0]);
        let undisturbed = folder_without_trouble(&camera, asked).await;
        assert_eq!(picture_times(&closed(&events)), undisturbed);
        if rate.is_none() {
            assert_eq!(indexes(&closed(&events)).await, (0..6 * FPS).collect::<Vec<_>>());
        }
    }
}

/// Kills the ffmpeg that has put out pictures since the last one was killed.
async fn kill(pid: &Path, pipeline: &mut Pipeline, seen: &mut Vec<Event>) {
    let before = pipeline.recorded_until();
    while !pid.exists() || pipeline.recorded_until() == before {
        seen.extend(work(pipeline).await);
    }
    signal("-KILL", pid);
    fs::remove_file(pid).unwrap();
}

fn signal(signal: &str, pid: &Path) {
    let pid = fs::read_to_string(pid).unwrap();
    let sent = Command::new("kill").args([signal, pid.trim()]).status().unwrap();
    assert!(sent.success());
}

async fn folder_without_trouble(camera: &Camera, asked: Transcode) -> Vec<i64> {
    let folder = Folder::new();
    let events = transform(&mut folder.pipeline(with_video(asked)), camera).await;
    picture_times(&closed(&events))
}

fn failure(event: &Event) -> Option<&TransformError> {
    match event {
        Event::TransformFailed {
            error,
            what: What::Pictures,
            ..
        } => Some(error),
        Event::TransformFailed { .. }
        | Event::Started { .. }
        | Event::Stopped { .. }
        | Event::OnDisk(_)
        | Event::Closed { .. }
        | Event::Lost { .. }
        | Event::Still(_) => None,
    }
}

#[tokio::test]
async fn a_missing_ffmpeg_is_said_and_tried_again_with_pauses() {
    let camera = Camera::film(Codec::H264, 2, Sound::None).await;
    let folder = Folder::new();
    let mut pipeline = folder
        .pipeline(with_video(transcode(VideoCodec::H264)))
        .with_program("/nowhere/ffmpeg");
    pipeline.begin(camera.params.clone()).await.unwrap();
    for frame in &camera.frames {
        pipeline.push(frame.clone()).await.unwrap();
    }
    let mut pauses = Vec::new();
    while pauses.len() < 3 {
        if let Event::TransformFailed { error, again_in, .. } = pipeline.next().await.unwrap() {
            assert!(matches!(error, TransformError::Start { .. }));
            assert!(error.to_string().contains("/nowhere/ffmpeg"), "{error}");
            pauses.push(again_in.as_secs());
        }
    }
    assert_eq!(pauses, [0, 1, 2]);
    pipeline.finish().await.unwrap();
    assert!(closed(&events(&mut pipeline)).is_empty());
}

#[tokio::test]
async fn an_ffmpeg_that_complains_is_quoted() {
    let camera = Camera::film(Codec::H264, 1, Sound::None).await;
    let folder = Folder::new();
    let scripts = tempfile::tempdir().unwrap();
    let program = program(scripts.path(), "#!/bin/sh\necho 'no such encoder' >&2\nexit 3\n");
    let mut pipeline = folder
        .pipeline(with_video(transcode(VideoCodec::H264)))
        .with_program(program.to_str().unwrap());
    pipeline.begin(camera.params.clone()).await.unwrap();
    pipeline.push(camera.frames[0].clone()).await.unwrap();
    let event = pipeline.next().await.unwrap();
    let error = failure(&event).unwrap().to_string();
    assert!(
        error.contains("exit status: 3") && error.contains("no such encoder"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_ffmpeg_that_hangs_is_given_up_and_a_camera_that_pauses_is_not() {
    let camera = Camera::film(Codec::H264, 4, Sound::None).await;
    let folder = Folder::new();
    let scripts = tempfile::tempdir().unwrap();
    let program = program(scripts.path(), "#!/bin/sh\nexec sleep 600\n");
    let mut pipeline = folder
        .pipeline(with_video(transcode(VideoCodec::H264)))
        .with_program(program.to_str().unwrap());
    pipeline.begin(camera.params.clone()).await.unwrap();
    pipeline.push(camera.frames[0].clone()).await.unwrap();
    let minute = tokio::time::timeout(Duration::from_secs(60), pipeline.next()).await;
    assert!(
        minute.is_err(),
        "one picture may be held back for ever: {minute:?}"
    );
    // Enough that an answer is owed; not so much that taking it would have to wait for the child.
    for frame in camera.frames.iter().step_by(4) {
        pipeline.push(frame.clone()).await.unwrap();
    }
    let event = pipeline.next().await.unwrap();
    assert!(
        matches!(failure(&event), Some(TransformError::Stuck { seconds: 10 })),
        "{event:?}"
    );
}

/// Two seconds of frames reach an ffmpeg, which then hangs; the rest is more than it and all before it have room for.
#[tokio::test]
async fn an_ffmpeg_that_hangs_at_a_real_bit_rate_is_given_up_and_nothing_is_lost() {
    let of_sound = RecordingSettings {
        audio: Audio::Aac,
        ..settings(2)
    };
    let of_pictures = with_video(transcode(VideoCodec::H264));
    let spec = LoopSpec {
        frames: 8 * FPS,
        ..LoopSpec::full_hd(Codec::H264)
    };
    for (settings, sound, hangs) in [
        (of_pictures, Sound::None, What::Pictures),
        (of_sound, Sound::Mu, What::Sound),
    ] {
        let camera = Camera::film_spec(&spec, sound).await;
        let folder = Folder::new();
        let scripts = tempfile::tempdir().unwrap();
        let (program, pid) = traceable(scripts.path());
        let mut pipeline = folder.pipeline(settings).with_program(program.to_str().unwrap());
        let hang_at = start() + SignedDuration::from_secs(2);
        let (before, after) = camera
            .frames
            .split_at(camera.frames.partition_point(|frame| frame.arrived_at < hang_at));
        pipeline.begin(camera.params.clone()).await.unwrap();
        for frame in before {
            pipeline.push(frame.clone()).await.unwrap();
        }
        let mut seen = catch_up(&mut pipeline, before).await;
        while fs::read_to_string(&pid).unwrap_or_default().is_empty() {
            seen.extend(work(&mut pipeline).await);
        }
        signal("-STOP", &pid);
        let rest = async {
            for frame in after {
                pipeline.push(frame.clone()).await.unwrap();
            }
        };
        let taken = tokio::time::timeout(PATIENCE, rest).await;
        taken.unwrap_or_else(|_| panic!("{hangs:?}: the hang is noticed"));
        seen.extend(finish(&mut pipeline, &camera).await);
        let stuck = |event: &&Event| matches!(event, Event::TransformFailed { what, error: TransformError::Stuck { .. }, .. } if *what == hangs);
        assert_eq!(seen.iter().filter(stuck).count(), 1, "{hangs:?}: {seen:?}");
        assert_eq!(indexes(&closed(&seen)).await, (0..8 * FPS).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_kills_every_ffmpeg_is_given_up() {
    let camera = Camera::film(Codec::H264, 2, Sound::None).await;
    let folder = Folder::new();
    let scripts = tempfile::tempdir().unwrap();
    // It dies of everything until it has died three times.
    let script = format!(
        "#!/bin/sh\necho >> '{0}/deaths'\nif [ $(wc -l < '{0}/deaths') -le 3 ]; then head -c 5000 >&2; exit 1; fi\n\
         exec ffmpeg \"$@\"\n",
        scripts.path().display()
    );
    let mut pipeline = folder
        .pipeline(with_video(transcode(VideoCodec::H264)))
        .with_program(program(scripts.path(), &script).to_str().unwrap());
    pipeline.begin(camera.params.clone()).await.unwrap();
    let mut seen = Vec::new();
    let (first, second) = camera.frames.split_at(FPS as usize);
    for frame in first {
        pipeline.push(frame.clone()).await.unwrap();
    }
    while seen.iter().filter_map(failure).count() < 3 {
        seen.push(pipeline.next().await.unwrap());
    }
    for frame in second {
        pipeline.push(frame.clone()).await.unwrap();
    }
    while !seen.iter().any(|event| matches!(event, Event::Started { .. })) {
        seen.push(pipeline.next().await.unwrap());
    }
    pipeline.finish().await.unwrap();
    seen.extend(events(&mut pipeline));
    let found = indexes(&closed(&seen)).await;
    assert_eq!(found.last(), Some(&(2 * FPS - 1)), "recording goes on: {found:?}");
}

#[tokio::test]
async fn settings_change_while_recording_without_losing_a_picture() {
    let camera = Camera::film(Codec::H264, 8, Sound::Aac).await;
    let folder = Folder::new();
    let mut pipeline = folder.pipeline(settings(30));
    pipeline.begin(camera.params.clone()).await.unwrap();
    for frame in &camera.frames {
        // A change at a key frame; in the middle of a group of pictures the rest of it would be missing.
        match frame.arrived_at.duration_since(start()).as_millis() {
            2_000 if frame.key => pipeline.apply(with_video(transcode(VideoCodec::H264))),
            5_000 if frame.key => pipeline.apply(settings(30)),
            _ => {}
        }
        pipeline.push(frame.clone()).await.unwrap();
    }
    pipeline.finish().await.unwrap();
    let events = events(&mut pipeline);
    assert_eq!(indexes(&closed(&events)).await, (0..8 * FPS).collect::<Vec<_>>());
    let stops: Vec<Break> = events
        .iter()
        .filter_map(|event| match event {
            Event::Stopped { because, .. } => Some(*because),
            Event::Started { .. }
            | Event::OnDisk(_)
            | Event::Closed { .. }
            | Event::Lost { .. }
            | Event::Still(_)
            | Event::TransformFailed { .. } => None,
        })
        .collect();
    assert_eq!(stops, [Break::Asked]);
}
