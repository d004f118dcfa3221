//! What dies and comes back, and what moves, while video is being recorded: nothing is lost that need not be, and
//! nothing is recorded twice.

use crate::support::archive::{Missing, Recording};
use crate::support::rig::{EVERY_TWO_SECONDS, Rig};
use domain::ChannelKey;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use simulator::media::LoopSpec;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use simulator::{Operation, Scenario};
use std::time::Duration;
use tokio::time::sleep;

const CONFIG: &str = "[recording]\nsegment-seconds = 4";

fn two_cameras() -> Scenario {
    let camera = |name: &str| DeviceSpec {
        channels: vec![ChannelSpec::new(1)],
        ..DeviceSpec::camera(name, name)
    };
    Scenario::with_devices(["A", "B"].map(camera))
}

async fn missing(rig: &Rig, device: &str) -> Vec<Missing> {
    let (key, picture) = (ChannelKey::new(device, "1"), LoopSpec::default());
    let recording = Recording::read(&rig.archive(), &rig.data().join("state.sqlite"), &key, &picture).await;
    assert!(recording.segments.len() >= 3, "{key}: {:?}", recording.segments);
    recording.missing(&key, &picture)
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_millrace_itself_stops_no_recorder_and_its_successor_takes_them_over() {
    let mut rig = Rig::start(two_cameras(), &EVERY_TWO_SECONDS, CONFIG).await;
    rig.wait_until_recording(&["A", "B"]).await;
    let recorder = rig.recorder_pid("A").await;
    sleep(Duration::from_secs(5)).await;
    rig.kill_millrace().await;
    sleep(Duration::from_secs(8)).await;
    rig.run();
    sleep(Duration::from_secs(8)).await;
    assert_eq!(
        rig.recorder_pid("A").await,
        recorder,
        "the recorder that went on is the one in charge"
    );
    rig.stop().await;
    for device in ["A", "B"] {
        assert_eq!(missing(&rig, device).await, [], "{device}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_and_a_start_lose_only_the_time_in_between() {
    let mut rig = Rig::start(two_cameras(), &EVERY_TWO_SECONDS, CONFIG).await;
    rig.wait_until_recording(&["A", "B"]).await;
    sleep(Duration::from_secs(6)).await;
    let before: Vec<Value> = rig
        .status()
        .await
        .iter()
        .map(|channel| channel["task"].clone())
        .collect();
    let stopped_at = rig.stop().await;
    rig.run();
    let patience = Duration::from_secs(20);
    rig.wait_until("other recorders record both", patience, async || {
        let status = rig.status().await;
        let is_back =
            |channel: &Value| channel["standing"]["is"] == "recording" && !before.contains(&channel["task"]);
        status.len() == 2 && status.iter().all(is_back)
    })
    .await;
    let recording_at = Timestamp::now();
    sleep(Duration::from_secs(6)).await;
    rig.stop().await;
    for device in ["A", "B"] {
        let missing = missing(&rig, device).await;
        let second = SignedDuration::from_secs(1);
        assert!(
            missing.len() == 1
                && missing[0].start >= stopped_at - second
                && missing[0].end <= recording_at + second,
            "{device}: {missing:?}, {stopped_at} to {recording_at}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_stream_is_recorded_from_its_new_url_within_a_poll_and_a_pull_and_no_other_is_touched() {
    let mut rig = Rig::start(two_cameras(), &EVERY_TWO_SECONDS, CONFIG).await;
    rig.wait_until_recording(&["A", "B"]).await;
    let (recorder, url) = (
        rig.recorder_pid("A").await,
        rig.channel("A").await.unwrap()["mediaUrl"].clone(),
    );
    sleep(Duration::from_secs(5)).await;
    rig.apply(Operation::MoveStream {
        device: "A".to_owned(),
        channel: 1.into(),
    });
    sleep(Duration::from_secs(12)).await;
    assert_ne!(rig.channel("A").await.unwrap()["mediaUrl"], url);
    assert_eq!(rig.recorder_pid("A").await, recorder);
    rig.stop().await;
    let moved = missing(&rig, "A").await;
    // A poll, a pull, and two seconds for a lost GOP and the wait for the next key frame.
    assert!(
        moved.len() == 1 && moved[0].duration() <= SignedDuration::from_secs(2 + 2 + 2),
        "{moved:?}"
    );
    assert_eq!(missing(&rig, "B").await, []);
}
