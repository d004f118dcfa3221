//! Holes are filled from the devices' own storage: real video, real processes, every frame counted.

use crate::support::archive::Recording;
use crate::support::rig::Rig;
use domain::backfill::{Fate, MEMORY, Memory};
use domain::ports::Footage;
use domain::ports::{ControlTable, PortError};
use domain::{ChannelKey, Generation};
use jiff::{SignedDuration, Timestamp};
use local::Sqlite;
use serde_json::Value;
use simulator::media::{AudioCodec, LoopSpec};
use simulator::rtsp::StreamFault;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use simulator::{Operation, Scenario, frames};
use std::time::Duration;
use tokio::time::sleep;

const CONFIG: &str = "
backfill-interval = '1s'
backfill-after = '15s'
[recording]
segment-seconds = 4
[channel.'SD/1']
segment-seconds = 4
backfill = true
[channel.'BARE/1']
segment-seconds = 4
backfill = true
";

const FLAGS: [&str; 6] = [
    "--poll-interval",
    "1s",
    "--dispatch-interval",
    "1s",
    "--pull-interval",
    "1s",
];

const SEARCH: &str = "POST /ISAPI/ContentMgmt/search";

/// The most that cannot be had: the pictures before the first key frame after the cut need others to be decoded.
const GOP: SignedDuration = SignedDuration::from_secs(1);

fn camera(name: &str, recorded_hours: u32) -> DeviceSpec {
    let channel = ChannelSpec {
        audio: Some(AudioCodec::Aac),
        ..ChannelSpec::new(1)
    };
    DeviceSpec {
        recorded_hours,
        ..DeviceSpec::camera(name, name).with_channels([channel])
    }
}

fn cut(rig: &Rig, fault: Option<StreamFault>) {
    for device in ["SD", "BARE"] {
        rig.apply(Operation::StreamFault {
            device: device.to_owned(),
            channel: None,
            fault,
        });
    }
}

async fn segments(rig: &Rig, device: &str) -> Value {
    let output = rig
        .command("segments")
        .args([device, "1", "--json"])
        .output()
        .await
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// What is missing of a channel because the way to it was broken, in seconds.
async fn lost_on_the_way(rig: &Rig, device: &str) -> f64 {
    let spans = segments(rig, device).await["spans"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let lost = spans.iter().filter(|span| {
        let cause = &span["state"]["gap"];
        cause == "network" || cause == "stream-refused"
    });
    let at = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    lost.map(|span| at(&span["end"]).duration_since(at(&span["start"])).as_secs_f64())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_was_cut_off_for_twenty_seconds_gives_each_of_its_frames_back_once() {
    let scenario = Scenario::with_devices([camera("SD", 1), camera("BARE", 0)]);
    let mut rig = Rig::start(scenario, &FLAGS, CONFIG).await;
    rig.wait_until_recording(&["SD", "BARE"]).await;
    sleep(Duration::from_secs(8)).await;
    let cut_at = Timestamp::now();
    cut(&rig, Some(StreamFault::Drop));
    sleep(Duration::from_secs(20)).await;
    cut(&rig, None);
    rig.wait_until_recording(&["SD", "BARE"]).await;
    let patience = Duration::from_secs(40);
    rig.wait_until("the hole is seen, with its cause", patience, async || {
        (19.0..26.0).contains(&lost_on_the_way(&rig, "SD").await)
    })
    .await;

    one_playback_at_a_time(&rig).await;
    rig.wait_until("the hole is filled", Duration::from_secs(90), async || {
        lost_on_the_way(&rig, "SD").await <= GOP.as_secs_f64()
    })
    .await;
    assert!(
        lost_on_the_way(&rig, "BARE").await > 19.0,
        "what the device never had is still missing"
    );
    nothing_is_asked_twice(&rig).await;
    rig.stop().await;

    let hole_end = every_frame_is_there_once(&rig, cut_at).await;
    exports_over_the_hole(&rig, cut_at, hole_end).await;
}

/// While the device plays to the backfill, it refuses everybody else: the backfill itself must never try.
async fn one_playback_at_a_time(rig: &Rig) {
    let config = isapi::Config::new(
        rig.simulator.api_url().parse().unwrap(),
        rig.simulator.username(),
        rig.simulator.password().into(),
    );
    let client = isapi::Client::new(config).unwrap();
    let key = ChannelKey::new("SD", "1");
    rig.wait_until("the device plays", Duration::from_secs(60), async || {
        let now = Timestamp::now();
        let url = client
            .playback_url(
                &key,
                now - SignedDuration::from_mins(2),
                now - SignedDuration::from_mins(1),
            )
            .await;
        matches!(url, Err(PortError::Throttled { .. }))
    })
    .await;
}

/// The device without storage was asked once, its answer is remembered, and the filled hole is no hole any more.
async fn nothing_is_asked_twice(rig: &Rig) {
    let table = Sqlite::open(&rig.data().join("state.sqlite")).await.unwrap();
    let bare = ChannelKey::new("BARE", "1");
    rig.wait_until("both holes are settled", Duration::from_secs(30), async || {
        let item = table.get_control(MEMORY).await.unwrap();
        let memory: Memory = item.map_or_else(Memory::default, |item| {
            serde_json::from_value(item.value).unwrap()
        });
        let fates: Vec<Fate> = memory.settled(&bare).iter().map(|settled| settled.fate).collect();
        fates == [Fate::NotOnDevice] && !memory.settled(&ChannelKey::new("SD", "1")).is_empty()
    })
    .await;
    let searches = rig.simulator.requests().of(SEARCH);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(rig.simulator.requests().of(SEARCH), searches, "{}", rig.logs());
    let plan = rig.command("backfill").arg("--dry-run").output().await.unwrap();
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("0.0 s of 2 channels are missing"), "{plan}");
}

/// The decoded pictures follow each other without a repetition, and the cut is as long as a group of pictures at most.
async fn every_frame_is_there_once(rig: &Rig, cut_at: Timestamp) -> Timestamp {
    let (key, picture) = (ChannelKey::new("SD", "1"), LoopSpec::default());
    let state = rig.data().join("state.sqlite");
    let recording = Recording::read(&rig.archive(), &state, &key, &picture).await;
    let missing = recording.missing(&key, &picture);
    let backfilled: Vec<_> = recording
        .segments
        .iter()
        .filter(|segment| segment.generation == Generation::BACKFILL)
        .collect();
    println!(
        "{} frames, missing {missing:?}, fetched {backfilled:?}",
        recording.frames.len()
    );
    let fetched: SignedDuration = backfilled.iter().map(|segment| segment.duration).sum();
    assert!(
        fetched >= SignedDuration::from_secs(18),
        "only {fetched:#} fetched\n{}",
        rig.logs()
    );
    assert!(missing.len() <= 1, "{missing:?}");
    for hole in missing {
        assert!(hole.duration() < GOP, "{hole:?}");
        assert!(
            hole.start.duration_since(cut_at).abs() < SignedDuration::from_secs(2),
            "{hole:?}"
        );
    }
    for pair in recording.segments.windows(2) {
        let overlap = pair[0].end().duration_since(pair[1].start);
        assert!(overlap <= domain::coverage::JOIN, "{} and {}", pair[0], pair[1]);
    }
    backfilled.last().unwrap().end()
}

/// A clip over the hole has its frames in order, whatever they came from.
async fn exports_over_the_hole(rig: &Rig, cut_at: Timestamp, hole_end: Timestamp) {
    let clip = rig.data().join("clip.mp4");
    let from = (cut_at - SignedDuration::from_secs(3)).to_string();
    let to = (hole_end + SignedDuration::from_secs(3)).to_string();
    let range = ["--from", &from, "--to", &to, "-o", clip.to_str().unwrap()];
    let output = rig
        .command("export")
        .args(["SD", "1"])
        .args(range)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let shown = frames::read(&clip).unwrap();
    let seconds = hole_end.duration_since(cut_at).as_secs_f64() + 6.0;
    let least = (seconds - GOP.as_secs_f64()) * 25.0 - 5.0;
    assert!(
        shown.len() as f64 >= least,
        "{} frames of {seconds} s",
        shown.len()
    );
    let indexes: Vec<u32> = shown.iter().map(|frame| frame.index.unwrap()).collect();
    let loop_length = LoopSpec::default().frames;
    let breaks = indexes
        .windows(2)
        .filter(|pair| (pair[0] + 1) % loop_length != pair[1])
        .count();
    assert!(breaks <= 1, "{breaks} breaks in {indexes:?}");
}
