//! Stream copy: every frame once, in files that players like.

use crate::camera::{Camera, FPS, Sound, demux, start};
use crate::harness::{Folder, channel, closed, events, ffprobe, indexes, record, settings};
use domain::SegmentKey;
use jiff::SignedDuration;
use recorder::media::frame::{Frame, MediaTime, StreamParams, Track};
use recorder::media::mux::AUDIO_TRACK;
use recorder::media::pipeline::{Break, Event};
use simulator::media::{Codec, LoopSpec};
use std::path::Path;
use std::process::Command;

#[tokio::test]
async fn every_frame_is_in_exactly_one_segment_and_segments_abut() {
    for (codec, name) in [(Codec::H264, "avc1."), (Codec::H265, "hvc1.")] {
        let camera = Camera::film(codec, 10, Sound::Aac).await;
        let folder = Folder::new();
        let mut pipeline = folder.pipeline(settings(3));
        let events = record(&mut pipeline, &camera).await;
        let closed = closed(&events);

        let lengths: Vec<i128> = closed
            .iter()
            .map(|segment| length(segment.segment.as_ref()))
            .collect();
        assert_eq!(lengths, [3_000, 3_000, 3_000, 1_000]);
        assert_eq!(closed[0].start, start());
        for pair in closed.windows(2) {
            assert_eq!(pair[0].segment.as_ref().unwrap().end(), pair[1].start);
        }
        assert_eq!(indexes(&closed).await, (0..10 * FPS).collect::<Vec<_>>());
        assert!(
            closed[0].meta.codecs.starts_with(name),
            "{}",
            closed[0].meta.codecs
        );
        assert!(
            closed[0].meta.codecs.ends_with(",mp4a.40.2"),
            "{}",
            closed[0].meta.codecs
        );
        assert_eq!(closed[0].meta.note, None);
    }
}

fn length(segment: Option<&SegmentKey>) -> i128 {
    segment.unwrap().duration.as_millis()
}

/// Of two sessions the first ends, and the second begins, in the middle of a group of pictures.
#[tokio::test]
async fn what_a_session_begins_with_is_decodable_and_no_frame_is_shown_twice() {
    for codec in [Codec::H264, Codec::H265] {
        let camera = Camera::film(codec, 4, Sound::None).await;
        let folder = Folder::new();
        let mut pipeline = folder.pipeline(settings(2));
        let key = usize::try_from(FPS).unwrap();
        let cut = key + 10;
        let sessions = [
            (&camera.frames[..cut], vec![]),
            (&camera.frames[cut..], camera.frames[key..cut].to_vec()),
        ];
        for (frames, lead_in) in sessions {
            pipeline.begin(camera.params.clone()).await.unwrap();
            pipeline.lead_in(lead_in);
            for frame in frames {
                pipeline.push(frame.clone()).await.unwrap();
            }
            pipeline.finish().await.unwrap();
        }
        let closed = closed(&events(&mut pipeline));

        let second = closed[1].segment.as_ref().unwrap();
        assert_eq!(closed[0].segment.as_ref().unwrap().end(), second.start);
        assert_eq!(second.start, camera.frames[cut].arrived_at);
        assert_eq!(indexes(&closed).await, (0..4 * FPS).collect::<Vec<_>>());
        let note = closed[1].meta.note.as_deref();
        assert_eq!(note, Some("10 pictures before the first are there to decode it"));
        let told: f64 = ffprobe("-show_entries format=duration", &closed[1].file)
            .parse()
            .unwrap();
        assert!(
            (told - second.duration.as_secs_f64()).abs() < 0.001,
            "{told} s for {second}"
        );
    }
}

#[tokio::test]
async fn sound_keeps_its_time_and_every_access_unit() {
    let camera = Camera::film(Codec::H264, 9, Sound::Aac).await;
    let folder = Folder::new();
    let events = record(&mut folder.pipeline(settings(2)), &camera).await;
    let mut heard = Vec::new();
    for segment in closed(&events) {
        let offset = segment.start.duration_since(start());
        let (_, samples) = demux(&std::fs::read(&segment.file).unwrap());
        let sounds = samples.into_iter().filter(|sample| sample.track == AUDIO_TRACK);
        heard.extend(sounds.map(|sample| (offset + sample.time.since_start(), sample.data)));
    }
    let sent = camera.sounds();
    assert_eq!(heard.len(), sent.len());
    for ((at, data), frame) in heard.iter().zip(sent) {
        assert_eq!(data, &frame.data);
        let off = (*at - frame.time.since_start()).abs();
        assert!(off < SignedDuration::from_micros(100), "{off:?}");
    }
}

#[tokio::test]
async fn a_player_knows_the_length_at_once_and_can_seek() {
    let camera = Camera::film(Codec::H264, 9, Sound::Aac).await;
    let folder = Folder::new();
    let events = record(&mut folder.pipeline(settings(30)), &camera).await;
    let file = &closed(&events)[0].file;

    assert_eq!(ffprobe("-show_entries format=duration", file), "9.000000");
    // `-read_intervals` seeks: the answer comes from the index, not from reading on.
    let sought = ffprobe(
        "-select_streams v -read_intervals 6%+#1 -show_entries packet=pts_time,flags",
        file,
    );
    assert_eq!(sought, "6.000000,K_");
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(&bytes[4..12], b"ftypiso6");
    let index = bytes.windows(4).position(|bytes| bytes == b"sidx").unwrap();
    let fragment = bytes.windows(4).position(|bytes| bytes == b"moof").unwrap();
    assert!(index < fragment);
}

#[tokio::test]
async fn what_is_copied_is_not_changed() {
    let camera = Camera::film(Codec::H264, 4, Sound::None).await;
    let folder = Folder::new();
    let events = record(&mut folder.pipeline(settings(30)), &camera).await;
    let (_, samples) = demux(&std::fs::read(&closed(&events)[0].file).unwrap());
    assert_eq!(samples.len(), camera.frames.len());
    for (sample, frame) in samples.iter().zip(&camera.frames) {
        assert_eq!(sample.data, frame.data);
        assert_eq!(sample.time, frame.time);
        assert_eq!(sample.key, frame.key);
    }
}

#[tokio::test]
async fn g711_is_left_out_and_said() {
    let camera = Camera::film(Codec::H264, 3, Sound::Mu).await;
    let folder = Folder::new();
    let events = record(&mut folder.pipeline(settings(30)), &camera).await;
    let segment = &closed(&events)[0];
    assert_eq!(ffprobe("-show_entries stream=codec_type", &segment.file), "video");
    assert!(segment.meta.note.as_ref().unwrap().contains("G.711"));
}

#[tokio::test]
async fn another_resolution_begins_a_new_segment() {
    let small = Camera::film(Codec::H264, 3, Sound::None).await;
    let spec = LoopSpec {
        width: 480,
        height: 270,
        frames: 3 * FPS,
        ..LoopSpec::default()
    };
    let large = Camera::film_spec(&spec, Sound::None).await;
    let folder = Folder::new();
    let mut pipeline = folder.pipeline(settings(30));
    pipeline.begin(small.params.clone()).await.unwrap();
    for frame in &small.frames {
        pipeline.push(frame.clone()).await.unwrap();
    }
    pipeline.reconfigure(large.params.clone());
    for frame in &large.frames {
        let mut frame = frame.clone();
        frame.time = MediaTime::new(frame.time.ticks + 3 * 90_000, frame.time.rate);
        frame.arrived_at += SignedDuration::from_secs(3);
        pipeline.push(frame).await.unwrap();
    }
    pipeline.finish().await.unwrap();
    let events = crate::harness::events(&mut pipeline);
    let closed = closed(&events);
    assert_eq!(closed.len(), 2);
    assert_eq!(closed[0].segment.as_ref().unwrap().end(), closed[1].start);
    let size = "-show_entries stream=width,height";
    assert_eq!(ffprobe(size, &closed[0].file), "320,180");
    assert_eq!(ffprobe(size, &closed[1].file), "480,270");
    let once: Vec<u32> = (0..3 * FPS).collect();
    assert_eq!(indexes(&closed).await, [once.clone(), once].concat());
    assert!(matches!(events.first(), Some(Event::Started { .. })));
    let stops = events
        .iter()
        .filter(|event| matches!(event, Event::Stopped { .. }))
        .count();
    assert_eq!(stops, 1, "segments that abut are no break");
}

#[tokio::test]
async fn a_new_session_never_says_a_time_twice() {
    let camera = Camera::film(Codec::H264, 3, Sound::Aac).await;
    let folder = Folder::new();
    let mut pipeline = folder.pipeline(settings(2));
    let mut events = record(&mut pipeline, &camera).await;
    // The same arrival times again, as if our clock had been set back by 3 s in between.
    events.extend(record(&mut pipeline, &camera).await);
    let closed = closed(&events);
    for pair in closed.windows(2) {
        assert!(pair[0].segment.as_ref().unwrap().end() <= pair[1].start);
    }
    let breaks: Vec<Break> = events
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
    assert_eq!(breaks, [Break::Asked, Break::Asked]);
}

#[tokio::test]
async fn a_jump_of_the_media_clock_ends_a_segment_and_loses_no_group_of_pictures() {
    let camera = Camera::film(Codec::H264, 6, Sound::None).await;
    let folder = Folder::new();
    let mut pipeline = folder.pipeline(settings(30));
    pipeline.begin(camera.params.clone()).await.unwrap();
    for (number, frame) in camera.frames.iter().enumerate() {
        let mut frame = frame.clone();
        if number >= 3 * FPS as usize {
            frame.time = MediaTime::new(frame.time.ticks + 3_600 * 90_000, frame.time.rate);
        }
        pipeline.push(frame).await.unwrap();
    }
    pipeline.finish().await.unwrap();
    let events = crate::harness::events(&mut pipeline);
    let closed = closed(&events);
    assert_eq!(indexes(&closed).await, (0..6 * FPS).collect::<Vec<_>>());
    assert_eq!(closed[1].start, start() + SignedDuration::from_secs(3));
    assert!(events.iter().any(|event| matches!(
        event,
        Event::Stopped {
            because: Break::ClockJump,
            ..
        }
    )));
}

#[tokio::test]
async fn a_closed_segment_is_what_its_metadata_says() {
    let camera = Camera::film(Codec::H264, 3, Sound::None).await;
    let folder = Folder::new();
    let events = record(&mut folder.pipeline(settings(30)), &camera).await;
    let segment = &closed(&events)[0];
    let key = segment.segment.as_ref().unwrap();
    assert_eq!(key.channel, channel());
    assert_eq!(segment.object, key.object_key());
    assert_eq!(
        segment.file.file_name().unwrap().to_str().unwrap(),
        key.file_name()
    );
    let hashed = Command::new("sha256sum").arg(&segment.file).output().unwrap();
    let hashed = String::from_utf8(hashed.stdout).unwrap();
    assert_eq!(hashed.split(' ').next().unwrap(), segment.meta.sha256);
    assert_eq!(folder.spool.pending().unwrap(), std::slice::from_ref(segment));
}

#[tokio::test]
async fn pictures_shown_in_another_order_than_decoded_stay_right() {
    let folder = Folder::new();
    let original = folder.root.path().join("original.mp4");
    let made = Command::new("ffmpeg")
        .args(
            "-v error -f lavfi -i testsrc2=size=160x120:rate=25:duration=4 -c:v libx264 -g 25 -bf 3"
                .split(' '),
        )
        .args(
            "-b_strategy 0 -movflags frag_keyframe+empty_moov+default_base_moof -video_track_timescale 90000"
                .split(' '),
        )
        .arg(&original)
        .status()
        .unwrap();
    assert!(made.success());
    let (tracks, samples) = demux(&std::fs::read(&original).unwrap());
    let video = recorder::media::codec::video_params(&tracks[0].entry).unwrap();
    let frames: Vec<Frame> = samples
        .into_iter()
        .map(|sample| Frame {
            track: Track::Video,
            time: sample.time,
            duration: None,
            key: sample.key,
            data: sample.data,
            arrived_at: start() + sample.time.since_start(),
        })
        .collect();
    let reordered = frames
        .windows(2)
        .any(|pair| pair[1].time.ticks < pair[0].time.ticks);
    assert!(reordered, "the encoder made B-frames");
    let camera = Camera {
        params: StreamParams { video, audio: None },
        frames,
    };
    let events = record(&mut folder.pipeline(settings(2)), &camera).await;
    let closed = closed(&events);
    assert_eq!(closed.len(), 2);
    let stored: Vec<String> = closed
        .iter()
        .flat_map(|segment| pictures(&segment.file))
        .collect();
    assert_eq!(stored, pictures(&original));
}

/// A hash of every decoded picture, in the order in which they are shown.
fn pictures(file: &Path) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit(", ").next().unwrap().to_owned())
        .collect()
}
