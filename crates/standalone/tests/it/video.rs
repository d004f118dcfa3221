//! The machine-checked video test: real video, real processes, every trouble once, every frame accounted for.

use crate::support::archive::{Missing, Recording};
use crate::support::rig::{Rig, children, signal};
use domain::{ChannelKey, GapCause};
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use simulator::media::{AudioCodec, Codec, LoopSpec};
use simulator::rtsp::StreamFault;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use simulator::{Operation, Scenario};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const CONFIG: &str = "
[recording]
segment-seconds = 6
[channel.'XCODE/1']
segment-seconds = 6
audio = 'aac'
video = { transcode = { codec = 'h264', bit-rate-kbps = 300 } }
";

const FLAGS: [&str; 10] = [
    "--poll-interval",
    "1s",
    "--dispatch-interval",
    "1s",
    "--pull-interval",
    "1s",
    "--channels-per-task",
    "1",
    "--stop-deadline",
    "30s",
];

/// What a hole may be larger than what made it: a lost GOP, a reconnect, a restart.
const MORE: SignedDuration = SignedDuration::from_secs(2);
/// The test's 90 s, but for the second in which a connected recorder may still wait for the first key frame.
const SPAN: SignedDuration = SignedDuration::from_secs(89);

fn picture(codec: Codec) -> LoopSpec {
    LoopSpec {
        codec,
        ..LoopSpec::default()
    }
}

fn camera(name: &str, codec: Codec, audio: Option<AudioCodec>) -> DeviceSpec {
    let channel = ChannelSpec {
        video: picture(codec),
        audio,
        ..ChannelSpec::new(1)
    };
    DeviceSpec {
        channels: vec![channel],
        ..DeviceSpec::camera(name, name)
    }
}

fn video(device: &str, fault: Option<StreamFault>) -> Operation {
    Operation::StreamFault {
        device: device.to_owned(),
        channel: Some(1.into()),
        fault,
    }
}

/// When something was done to a channel, and until when it lasted.
struct Injected {
    device: &'static str,
    codec: Codec,
    start: Timestamp,
    end: Timestamp,
    is_right: fn(GapCause) -> bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_is_there_but_for_the_injected_holes_and_each_hole_has_its_row() {
    let scenario = Scenario::with_devices([
        camera("DROP", Codec::H264, Some(AudioCodec::Aac)),
        camera("FREEZE", Codec::H265, None),
        camera("KILL", Codec::H264, None),
        camera("XCODE", Codec::H264, Some(AudioCodec::PcmMu)),
    ]);
    let mut rig = Rig::start(scenario, &FLAGS, CONFIG).await;
    rig.wait_until_recording(&["DROP", "FREEZE", "KILL", "XCODE"])
        .await;
    let start = Instant::now();
    let second = |second| sleep_until(start + Duration::from_secs(second));

    second(12).await;
    let dropped_at = Timestamp::now();
    rig.apply(video("DROP", Some(StreamFault::Drop)));
    second(15).await;
    let frozen_at = Timestamp::now();
    rig.apply(video("FREEZE", Some(StreamFault::Freeze)));
    second(17).await;
    wait_for_millisecond(500).await;
    rig.apply(video("DROP", None));
    let dropped_until = Timestamp::now();
    second(30).await;
    wait_for_millisecond(500).await;
    rig.apply(video("FREEZE", None));
    let frozen_until = Timestamp::now();
    second(35).await;
    let recorder = rig.recorder_pid("KILL").await;
    wait_for_millisecond(100).await;
    let killed_at = Timestamp::now();
    signal(recorder, Signal::KILL);
    second(45).await;
    let (archive, away) = (rig.archive(), rig.data().join("archive.away"));
    std::fs::rename(&archive, &away).unwrap();
    std::fs::write(&archive, "not a folder").unwrap();
    second(65).await;
    std::fs::remove_file(&archive).unwrap();
    std::fs::rename(&away, &archive).unwrap();
    second(70).await;
    let ffmpeg = children(rig.recorder_pid("XCODE").await, "ffmpeg");
    assert_eq!(ffmpeg.len(), 2, "pictures and sound have an ffmpeg each");
    let ffmpeg_killed_at = Timestamp::now();
    ffmpeg.into_iter().for_each(|pid| signal(pid, Signal::KILL));
    second(90).await;
    rig.stop().await;

    let holes = [
        Injected {
            device: "DROP",
            codec: Codec::H264,
            start: dropped_at,
            end: dropped_until,
            is_right: |cause| matches!(cause, GapCause::Network | GapCause::StreamRefused),
        },
        Injected {
            device: "FREEZE",
            codec: Codec::H265,
            start: frozen_at,
            end: frozen_until,
            is_right: |cause| cause == GapCause::StreamStalled,
        },
        Injected {
            device: "KILL",
            codec: Codec::H264,
            start: killed_at,
            end: killed_at,
            is_right: |cause| matches!(cause, GapCause::RecorderRestarted | GapCause::RecorderMoved),
        },
        Injected {
            device: "XCODE",
            codec: Codec::H264,
            start: ffmpeg_killed_at,
            end: ffmpeg_killed_at,
            is_right: |cause| cause == GapCause::TransformFailed,
        },
    ];
    for hole in holes {
        check(&rig, &hole).await;
    }
}

/// Waits for a part of the wall clock's second. Key frames are on air at whole seconds, and what comes back just too
/// late for one waits for the next: on a busy machine that would be chance.
async fn wait_for_millisecond(wanted: i64) {
    let now = Timestamp::now().as_millisecond().rem_euclid(1000);
    let wait = (wanted - now).rem_euclid(1000);
    tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap())).await;
}

async fn check(rig: &Rig, injected: &Injected) {
    let key = ChannelKey::new(injected.device, "1");
    let picture = picture(injected.codec);
    let recording = Recording::read(&rig.archive(), &rig.data().join("state.sqlite"), &key, &picture).await;
    let missing = recording.missing(&key, &picture);
    println!(
        "{key}: {} segments, {} frames, missing {missing:?}",
        recording.segments.len(),
        recording.frames.len()
    );
    println!(
        "{key}: injected {} .. {}, gaps {:?}",
        injected.start, injected.end, recording.gaps
    );

    let recorded = SignedDuration::from_millis(40 * i64::try_from(recording.frames.len()).unwrap());
    let hole_length = injected.end.duration_since(injected.start);
    assert!(
        recorded + hole_length + MORE >= SPAN,
        "{key}: only {recorded:#} recorded"
    );
    assert!(
        missing.len() <= 1,
        "{key}: missing more than the injected hole: {missing:?}"
    );
    for hole in &missing {
        assert!(
            hole.start >= injected.start - MORE && hole.end <= injected.end + MORE,
            "{key}: missing {hole:?}, injected {} to {}",
            injected.start,
            injected.end
        );
        assert!(
            hole.duration() <= hole_length + MORE,
            "{key}: missing {:#}",
            hole.duration()
        );
    }
    check_rows(&key, &recording, &missing, injected);
}

/// Every missing stretch of a second or more has its row, and every row its missing stretch.
fn check_rows(key: &ChannelKey, recording: &Recording, missing: &[Missing], injected: &Injected) {
    let first = recording.segments[0].start;
    let last = recording.segments.last().unwrap().end();
    let rows: Vec<_> = recording
        .gaps
        .iter()
        .filter(|gap| gap.start > first && gap.start < last - SignedDuration::from_secs(1))
        .collect();
    let near = |a: Timestamp, b: Timestamp| a.duration_since(b).abs() <= SignedDuration::from_secs(1);
    for hole in missing
        .iter()
        .filter(|hole| hole.duration() >= SignedDuration::from_secs(1))
    {
        let row = rows
            .iter()
            .find(|gap| near(gap.start, hole.start) && gap.end.is_some_and(|end| near(end, hole.end)));
        let row = row.unwrap_or_else(|| panic!("{key}: {hole:?} has no row: {rows:?}"));
        assert!((injected.is_right)(row.cause), "{key}: {row:?}");
    }
    for gap in rows {
        let real = missing
            .iter()
            .any(|hole| near(gap.start, hole.start) && gap.end.is_some_and(|end| near(end, hole.end)));
        assert!(real, "{key}: {gap:?} is not missing in the archive: {missing:?}");
    }
}
