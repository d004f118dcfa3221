//! What it costs when a recorder of many channels dies: one hole a camera, as long for many as for one.

use crate::support::archive::{Missing, Recording};
use crate::support::rig::{Rig, signal};
use domain::ChannelKey;
use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use simulator::Scenario;
use simulator::media::LoopSpec;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// `PACKED_CAMERAS=20` measures a task of so many.
fn cameras() -> Vec<String> {
    let count = std::env::var("PACKED_CAMERAS").map_or(6, |count| count.parse().unwrap());
    (0..count).map(|n| format!("C{n:03}")).collect()
}

fn scenario(names: &[String]) -> Scenario {
    Scenario::with_devices(names.iter().map(|name| DeviceSpec {
        channels: vec![ChannelSpec::new(1)],
        ..DeviceSpec::camera(name, name)
    }))
}

/// The tasks that have the channels.
async fn tasks(rig: &Rig) -> BTreeSet<String> {
    let channels = rig.status().await.into_iter();
    let task = |channel: serde_json::Value| channel["task"].as_str().unwrap_or_default().to_owned();
    channels.map(task).collect()
}

/// The one stretch without pictures that a camera has; it is explained.
async fn hole(rig: &Rig, name: &str, killed_at: Timestamp) -> Missing {
    let (key, picture) = (ChannelKey::new(name, "1"), LoopSpec::default());
    let recording = Recording::read(&rig.archive(), &rig.data().join("state.sqlite"), &key, &picture).await;
    let missing = recording.missing(&key, &picture);
    let [hole] = missing.as_slice() else {
        panic!("{key}: {missing:?}\n{}", rig.logs())
    };
    let around = SignedDuration::from_secs(3);
    assert!(
        hole.start < killed_at + around && killed_at - around < hole.end,
        "{key}: {hole:?}, {killed_at}"
    );
    let explains = |gap: &&domain::Gap| gap.start < hole.end && gap.end.is_some_and(|end| end > hole.start);
    assert!(
        recording.gaps.iter().any(|gap| explains(&gap)),
        "{key}: {hole:?}, {:?}",
        recording.gaps
    );
    *hole
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_is_killed_costs_each_of_its_cameras_one_hole_with_its_cause() {
    let cameras = cameras();
    let names: Vec<&str> = cameras.iter().map(String::as_str).collect();
    let mut rig = Rig::start(
        scenario(&cameras),
        &["--poll-interval", "2s"],
        "[recording]\nsegment-seconds = 4",
    )
    .await;
    rig.wait_until_recording(&names).await;
    sleep(Duration::from_secs(6)).await;
    let before = tasks(&rig).await;
    assert_eq!(before.len(), 1, "all in one task");

    let (killed_at, clock) = (Timestamp::now(), Instant::now());
    signal(rig.recorder_pid(names[0]).await, Signal::KILL);
    rig.wait_until("all are given to another", Duration::from_secs(60), async || {
        let now = tasks(&rig).await;
        now.len() == 1 && now != before
    })
    .await;
    let reassigned = clock.elapsed();
    rig.wait_until_recording(&names).await;
    sleep(Duration::from_secs(6)).await;
    rig.stop().await;

    let mut lengths = Vec::new();
    for name in names {
        lengths.push(hole(&rig, name, killed_at).await.duration());
    }
    lengths.sort();
    println!(
        "{} cameras: reassigned after {:.1} s; missing at least {:.2} s, in the middle {:.2} s, at most {:.2} s",
        lengths.len(),
        reassigned.as_secs_f64(),
        lengths[0].as_secs_f64(),
        lengths[lengths.len() / 2].as_secs_f64(),
        lengths[lengths.len() - 1].as_secs_f64()
    );
}
