//! Holes are filled from the devices' own storage: real video, real processes, every frame counted.

use crate::archive::{exports_exactly, plays, say, within};
use crate::support::archive::Recording;
use crate::support::browser;
use crate::support::rig::{EVERY_SECOND, Rig};
use domain::backfill::{Fate, MEMORY, Memory};
use domain::ports::Footage;
use domain::ports::{ControlTable, PortError};
use domain::{ChannelKey, Generation, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use local::Sqlite;
use serde_json::Value;
use simulator::media::{AudioCodec, LoopSpec};
use simulator::rtsp::StreamFault;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use simulator::{Operation, Scenario, frames};
use std::path::Path;
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

const SEARCH: &str = "POST /ISAPI/ContentMgmt/search";

/// Half a picture at 25 a second.
const SECONDS_LEFT_MAX: f64 = 0.02;

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
    let mut rig = Rig::start(scenario, &EVERY_SECOND, CONFIG).await;
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
        lost_on_the_way(&rig, "SD").await <= SECONDS_LEFT_MAX
    })
    .await;
    assert!(
        lost_on_the_way(&rig, "BARE").await > 19.0,
        "what the device never had is still missing"
    );
    nothing_is_asked_twice(&rig).await;
    rig.stop().await;

    let segments = every_frame_is_there_once(&rig, cut_at).await;
    nobody_sees_where_the_hole_was(&rig, &segments).await;
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

/// The decoded pictures follow each other without a repetition and without a hole; only the first of those that were
/// fetched has a lead-in.
async fn every_frame_is_there_once(rig: &Rig, cut_at: Timestamp) -> Vec<SegmentKey> {
    let (key, picture) = (ChannelKey::new("SD", "1"), LoopSpec::default());
    let state = rig.data().join("state.sqlite");
    let recording = Recording::read(&rig.archive(), &state, &key, &picture).await;
    assert_eq!(recording.missing(&key, &picture), []);
    for pair in recording.segments.windows(2) {
        let overlap = pair[0].end().duration_since(pair[1].start);
        assert!(overlap <= domain::coverage::JOIN, "{} and {}", pair[0], pair[1]);
    }
    let backfilled: Vec<_> = (recording.segments.iter())
        .filter(|segment| segment.generation == Generation::BACKFILL)
        .collect();
    let fetched: SignedDuration = backfilled.iter().map(|segment| segment.duration).sum();
    assert!(
        fetched >= SignedDuration::from_secs(19),
        "{fetched:#} fetched\n{}",
        rig.logs()
    );
    let begins = backfilled[0].start.duration_since(cut_at).abs();
    assert!(begins < SignedDuration::from_secs(2), "{begins:#} from the cut");
    recording.segments
}

/// Players, clips, the timeline and the keep loop take the filled hole for what it is: recorded.
async fn nobody_sees_where_the_hole_was(rig: &Rig, segments: &[SegmentKey]) {
    let picture = LoopSpec::default();
    exports_exactly(rig, segments, within(segments), &picture).await;
    let fetched = (segments
        .iter()
        .find(|segment| segment.generation == Generation::BACKFILL))
    .unwrap();
    for after in [0, 200] {
        let from = fetched.start + SignedDuration::from_millis(after);
        let range = from..from + SignedDuration::from_secs(2);
        exports_exactly(rig, segments, range, &picture).await;
    }
    shows_its_first_picture(rig, fetched).await;
    let text = plays(rig, segments).await;
    assert!(!text.contains("X-CAUSE"), "{text}");
    let alone = browser::play(&rig.archive(), &fetched.object_key().0).await;
    assert_eq!(alone.error, None, "{fetched}");
    let day: Value = serde_json::from_str(&say(rig, &["timeline", "--json"]).await).unwrap();
    let channels = day["channels"].as_array().unwrap();
    let ours = channels
        .iter()
        .find(|channel| channel["channel"]["device"] == "SD")
        .unwrap();
    let lost = &ours["totals"]["lostSeconds"];
    assert!(
        lost["network"].is_null() && lost["stream refused"].is_null(),
        "{ours:#}"
    );
}

/// The picture of an episode that begins where the fetched ones do, which others are decoded before.
async fn shows_its_first_picture(rig: &Rig, fetched: &SegmentKey) {
    let (start, file) = (fetched.start.to_string(), rig.data().join("first.jpg"));
    let from = ["--from", &start, "--reason", "cut"];
    say(rig, &[&["episodes", "create", "SD", "1"], &from[..]].concat()).await;
    let output = ["--output", file.to_str().unwrap()];
    say(
        rig,
        &[&["episodes", "preview", "SD", "1", &start], &output[..]].concat(),
    )
    .await;
    let index = |file: &Path| frames::read(file).unwrap()[0].index;
    let segment = rig.archive().join(&fetched.object_key().0);
    assert!(index(&file).is_some() && index(&file) == index(&segment));
}
