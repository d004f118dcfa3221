//! Planned moves of real video between real processes: every picture is there, and none twice.

use crate::archive::{exports_exactly, plays, segments_of, within};
use crate::support::archive::Recording;
use crate::support::rig::{EVERY_TWO_SECONDS, Rig, signal};
use domain::{ChannelKey, GapCause, Generation, SegmentKey};
use jiff::SignedDuration;
use rustix::process::Signal;
use simulator::media::{AudioCodec, Codec, LoopSpec};
use simulator::scenario::{ChannelSpec, DeviceSpec};
use simulator::{Operation, Scenario};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

const CONFIG: &str = "[recording]\nsegment-seconds = 4";
const TWO_A_TASK: [&str; 2] = ["--channels-per-task", "2"];
const CAMERAS: [(&str, Codec, Option<AudioCodec>); 4] = [
    ("A", Codec::H264, None),
    ("B", Codec::H265, None),
    ("C", Codec::H264, Some(AudioCodec::Aac)),
    ("D", Codec::H264, None),
];

fn picture(codec: Codec) -> LoopSpec {
    LoopSpec {
        codec,
        ..LoopSpec::default()
    }
}

fn cameras() -> Scenario {
    Scenario::with_devices(CAMERAS.map(|(name, codec, audio)| DeviceSpec {
        channels: vec![ChannelSpec {
            video: picture(codec),
            audio,
            ..ChannelSpec::new(1)
        }],
        ..DeviceSpec::camera(name, name)
    }))
}

async fn recording() -> Rig {
    recording_with(&[]).await
}

async fn recording_with(flags: &[&str]) -> Rig {
    let rig = Rig::start(
        cameras(),
        &[&EVERY_TWO_SECONDS[..], &TWO_A_TASK, flags].concat(),
        CONFIG,
    )
    .await;
    rig.wait_until_recording(&CAMERAS.map(|(name, ..)| name)).await;
    sleep(Duration::from_secs(5)).await;
    rig
}

async fn recorders(rig: &Rig) -> BTreeSet<i32> {
    let mut pids = BTreeSet::new();
    for (name, ..) in CAMERAS {
        pids.insert(rig.recorder_pid(name).await);
    }
    pids
}

/// Waits until other recorders have all channels and none of these processes is left.
async fn moved(rig: &Rig, old: &BTreeSet<i32>) {
    let gone = |pid: &i32| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    rig.wait_until(
        "the old recorders have handed over and ended",
        Duration::from_secs(40),
        async || old.iter().all(gone),
    )
    .await;
    rig.wait_until_recording(&CAMERAS.map(|(name, ..)| name)).await;
    sleep(Duration::from_secs(5)).await;
}

/// Every picture once, by recorders of so many generations, and nothing said to be missing.
async fn assert_seamless(rig: &Rig, generations: u64) {
    for (name, ..) in CAMERAS {
        let seen = assert_every_picture_once(rig, name).await;
        assert_eq!(seen, (1..=generations).map(Generation).collect(), "{name}");
    }
}

/// The generations of the recorders that a channel's pictures are from.
async fn assert_every_picture_once(rig: &Rig, name: &str) -> BTreeSet<Generation> {
    let (_, codec, _) = CAMERAS.into_iter().find(|camera| camera.0 == name).unwrap();
    let (key, picture) = (ChannelKey::new(name, "1"), picture(codec));
    let recording = Recording::read(&rig.archive(), &rig.data().join("state.sqlite"), &key, &picture).await;
    assert_eq!(recording.missing(&key, &picture), [], "{key}\n{}", rig.logs());
    let moved = recording
        .gaps
        .iter()
        .find(|gap| gap.cause == GapCause::RecorderMoved);
    assert_eq!(moved, None, "{key}");
    recording
        .segments
        .iter()
        .map(|segment| segment.generation)
        .collect()
}

/// Where one recorder took over from another, a clip has each picture once, also if their clocks had been apart.
async fn assert_exports_over_the_seam(rig: &Rig) {
    for (name, codec, _) in CAMERAS {
        let key = ChannelKey::new(name, "1");
        let picture = picture(codec);
        let segments = segments_of(rig, &key).await;
        exports_exactly(rig, &segments, within(&segments), &picture).await;
        let later = SignedDuration::from_millis(40);
        for (n, apart_ms) in [(1, -60), (2, 120)] {
            let segments = set_clock(rig, &key, SignedDuration::from_millis(apart_ms)).await;
            let mut range = within(&segments);
            range.start += later * n;
            exports_exactly(rig, &segments, range, &picture).await;
        }
    }
}

/// The channel's segments as if the clock of its second recorder had been off by so much more.
async fn set_clock(rig: &Rig, key: &ChannelKey, off: SignedDuration) -> Vec<SegmentKey> {
    for segment in segments_of(rig, key).await {
        if segment.generation == Generation(2) {
            let named = SegmentKey {
                start: segment.start + off,
                ..segment.clone()
            };
            for suffix in ["", ".json"] {
                let file = |segment: &SegmentKey| rig.archive().join(segment.object_key().0 + suffix);
                std::fs::rename(file(&segment), file(&named)).unwrap();
            }
        }
    }
    segments_of(rig, key).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_is_told_to_end_hands_over_without_losing_a_picture() {
    let mut rig = recording().await;
    let old = recorders(&rig).await;
    old.iter().for_each(|pid| signal(*pid, Signal::TERM));
    moved(&rig, &old).await;
    rig.stop().await;
    assert_seamless(&rig, 2).await;
    let playlist = plays(&rig, &segments_of(&rig, &ChannelKey::new("A", "1")).await).await;
    assert!(!playlist.contains("DATERANGE"), "nothing is missing: {playlist}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_moves_every_channel_without_losing_a_picture() {
    let mut rig = recording().await;
    let old = recorders(&rig).await;
    rig.kill_millrace().await;
    rig.add_flags(&["--spool-max", "9GiB"]);
    rig.run();
    moved(&rig, &old).await;
    rig.stop().await;
    assert_seamless(&rig, 2).await;
    assert_exports_over_the_seam(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparse_recorder_is_emptied_into_another_without_losing_a_picture() {
    let flags = [
        "--repack-after",
        "3s",
        "--offline-grace",
        "1s",
        "--mass-removal-percent",
        "100",
    ];
    let mut rig = recording_with(&flags).await;
    let (left, gone) = (["A", "D"], ["B", "C"]);
    assert_ne!(rig.recorder_pid("A").await, rig.recorder_pid("D").await);
    for device in gone {
        rig.apply(Operation::RemoveDevice {
            device: device.into(),
        });
    }
    rig.wait_until(
        "one recorder has both channels",
        Duration::from_secs(60),
        async || rig.status().await.len() == 2 && rig.recorder_pid("A").await == rig.recorder_pid("D").await,
    )
    .await;
    rig.wait_until_recording(&left).await;
    sleep(Duration::from_secs(5)).await;
    rig.stop().await;
    let mut moves = 0;
    for device in left {
        moves += assert_every_picture_once(&rig, device).await.len() - 1;
    }
    assert_eq!(moves, 1, "one of the two was moved, once");
}
