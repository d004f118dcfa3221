//! What becomes of recordings: events, episodes, the ledger, playing over a gap, deleting.

use crate::support::browser;
use crate::support::rig::Rig;
use domain::ports::Archive;
use domain::{ChannelKey, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use local::Folder;
use serde_json::Value;
use simulator::frames;
use simulator::media::{AudioCodec, LoopSpec};
use simulator::rtsp::StreamFault;
use simulator::scenario::{ChannelSpec, DeviceSpec, DeviceStatus};
use simulator::{Operation, Scenario};
use std::ops::Range;
use std::time::Duration;
use tokio::time::sleep;

const CONFIG: &str = "
[recording]
segment-seconds = 2
retention-days = 1
";

/// So far apart that only an event explains a poll in time.
const FLAGS: [&str; 6] = [
    "--poll-interval",
    "1h",
    "--dispatch-interval",
    "1s",
    "--pull-interval",
    "1s",
];

fn sleeping_camera() -> Scenario {
    let channel = ChannelSpec {
        audio: Some(AudioCodec::Aac),
        ..ChannelSpec::new(1)
    };
    let camera = DeviceSpec {
        channels: vec![channel],
        status: DeviceStatus::Offline,
        ..DeviceSpec::camera("A", "A")
    };
    Scenario::with_devices([camera])
}

pub(crate) async fn say(rig: &Rig, arguments: &[&str]) -> String {
    let output = rig
        .command(arguments[0])
        .args(&arguments[1..])
        .output()
        .await
        .unwrap();
    let [text, complaints] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{arguments:?}: {text}{complaints}");
    text
}

async fn json(rig: &Rig, arguments: &[&str]) -> Value {
    serde_json::from_str(&say(rig, arguments).await).unwrap()
}

fn stream(fault: Option<StreamFault>) -> Operation {
    Operation::StreamFault {
        device: "A".into(),
        channel: None,
        fault,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_comes_is_recorded_at_once_its_alarm_is_kept_and_it_plays_and_exports_over_a_gap() {
    let mut rig = Rig::start(sleeping_camera(), &FLAGS, CONFIG).await;
    let (patience, log) = (Duration::from_secs(30), || rig.logs());
    rig.wait_until("the first poll", patience, async || {
        rig.data().join("state.sqlite").exists()
    })
    .await;
    sleep(Duration::from_secs(3)).await;
    let came = Timestamp::now();
    rig.apply(Operation::SetStatus {
        device: "A".into(),
        status: DeviceStatus::Online,
        hint: None,
    });
    rig.wait_until_recording(&["A"]).await;

    sleep(Duration::from_secs(5)).await;
    for _ in 0..50 {
        rig.apply(Operation::SendEvent {
            device: "A".into(),
            channel: Some(1.into()),
            kind: "VMD".into(),
            active: true,
            description: String::new(),
        });
    }
    rig.wait_until("the alarm is an episode", patience, async || {
        json(&rig, &["episodes", "list", "--json"]).await[0]["reason"] == "alarm: motion"
    })
    .await;
    let episodes = json(&rig, &["episodes", "list", "A", "1", "--json"]).await;
    assert_eq!(
        episodes.as_array().map(Vec::len),
        Some(1),
        "{episodes}\n{}",
        log()
    );

    cut_for(&rig, Duration::from_secs(4)).await;
    sleep(Duration::from_secs(5)).await;
    rig.stop().await;

    let segments = segments(&rig).await;
    let first = segments[0].start.duration_since(came);
    println!("from online to the first picture: {:.1} s", first.as_secs_f64());
    ledger(&rig).await;
    let text = plays(&rig, &segments).await;
    assert!(text.contains("X-CAUSE=\""), "{text}");
    let manifest = exports_exactly(&rig, &segments, within(&segments), &LoopSpec::default()).await;
    assert!(
        manifest["missing"]
            .as_array()
            .is_some_and(|missing| !missing.is_empty()),
        "{manifest:#}"
    );
    rules(&rig, &segments).await;
    gets_a_picture_unasked(&mut rig).await;
}

/// The alarm's episode, of which nobody asked for a picture, has one soon after `millrace run` has started.
async fn gets_a_picture_unasked(rig: &mut Rig) {
    let shown = async |rig: &Rig| json(rig, &["episodes", "list", "--json"]).await[0]["preview"].clone();
    assert_eq!(shown(rig).await, Value::Null);
    rig.run();
    let patience = Duration::from_secs(30);
    rig.wait_until("the alarm has its picture", patience, async || {
        shown(rig).await.is_string()
    })
    .await;
    rig.stop().await;
    let file = rig.archive().join(shown(rig).await.as_str().unwrap());
    let frames = frames::read(&file).unwrap();
    assert!(frames.len() == 1 && frames[0].index.is_some(), "{frames:?}");
    assert!(!rig.data().join("preview.jpg").exists());
}

/// Cuts the stream of device A; it is recorded again when this returns.
pub(crate) async fn cut_for(rig: &Rig, time: Duration) {
    rig.apply(stream(Some(StreamFault::Drop)));
    sleep(time).await;
    rig.apply(stream(None));
    rig.wait_until_recording(&["A"]).await;
}

pub(crate) async fn segments(rig: &Rig) -> Vec<SegmentKey> {
    segments_of(rig, &ChannelKey::new("A", "1")).await
}

pub(crate) async fn segments_of(rig: &Rig, key: &ChannelKey) -> Vec<SegmentKey> {
    let archive = Folder::at(rig.archive());
    archive
        .list_segments(key, Timestamp::MIN, Timestamp::MAX)
        .await
        .unwrap()
}

/// The hole has its cause, and nothing is unexplained between the first frame and the last.
async fn ledger(rig: &Rig) {
    let day = json(rig, &["timeline", "--json"]).await;
    let totals = &day["channels"][0]["totals"];
    let network = totals["lostSeconds"]["network"].as_f64().unwrap_or(0.0);
    let refused = totals["lostSeconds"]["stream refused"].as_f64().unwrap_or(0.0);
    assert!((2.0..10.0).contains(&(network + refused)), "{totals:#}");
    assert!(totals["recordedSeconds"].as_f64().unwrap() > 8.0, "{totals:#}");
    let picture = say(rig, &["timeline"]).await;
    assert!(picture.contains("A/1  ") && picture.contains('^'), "{picture}");
}

/// All of the segments' pictures, each once, in a browser. Answers the playlist.
pub(crate) async fn plays(rig: &Rig, segments: &[SegmentKey]) -> String {
    let channel = &segments[0].channel;
    let from = segments[0].start.to_string();
    let to = segments.last().unwrap().end().to_string();
    let file = rig.archive().join("day.m3u8");
    say(
        rig,
        &[
            "playlist",
            channel.device.as_str(),
            channel.channel.as_str(),
            "--from",
            &from,
            "--to",
            &to,
            "--output",
            file.to_str().unwrap(),
        ],
    )
    .await;
    let text = std::fs::read_to_string(&file).unwrap();
    let recorded: f64 = segments
        .iter()
        .map(|segment| segment.duration.as_secs_f64())
        .sum();
    let played = browser::play(&rig.archive(), "day.m3u8").await;
    assert_eq!(played.error, None, "{text}");
    assert!(
        (played.duration - recorded).abs() < 1.0,
        "{played:?}, recorded {recorded}\n{text}"
    );
    assert_eq!(played.ranges, 1, "{played:?}\n{text}");
    // At four times the speed a browser may leave frames out; playing all segments, it shows most.
    assert!(
        f64::from(played.frames) > recorded * 25.0 / 2.0,
        "{played:?}, recorded {recorded}"
    );
    text
}

/// From within one group of pictures to within another, over all that is between.
pub(crate) fn within(segments: &[SegmentKey]) -> Range<Timestamp> {
    let ms = |ms| SignedDuration::from_millis(ms);
    segments[0].start + ms(1_300)..segments.last().unwrap().end() - ms(700)
}

/// Exactly the frames that were on air in a range and are in the archive, each once. Answers the manifest.
pub(crate) async fn exports_exactly(
    rig: &Rig,
    segments: &[SegmentKey],
    range: Range<Timestamp>,
    picture: &LoopSpec,
) -> Value {
    let ms = |ms| SignedDuration::from_millis(ms);
    let Range { start: from, end: to } = range;
    let channel = &segments[0].channel;
    let name = format!("clip-{}-{}.mp4", channel.device, from.as_millisecond());
    let file = rig.data().join(name);
    let (start, end, output) = (from.to_string(), to.to_string(), file.to_str().unwrap());
    let export = [
        "export",
        channel.device.as_str(),
        channel.channel.as_str(),
        "--from",
        &start,
        "--to",
        &end,
        "--output",
        output,
    ];
    say(rig, &export).await;

    let mut expected = Vec::new();
    for segment in segments {
        for frame in frames::read(&rig.archive().join(&segment.object_key().0)).unwrap() {
            let shown = segment.start + ms(frame.pts_ms);
            if from <= shown && shown < to {
                expected.push(frames::absolute(frame.index.unwrap(), shown, picture));
            }
        }
    }
    let mut exported = Vec::new();
    for frame in frames::read(&file).unwrap() {
        exported.push(frames::absolute(
            frame.index.unwrap(),
            from + ms(frame.pts_ms),
            picture,
        ));
    }
    // A frame at the very edge may fall to either side of the millisecond that segments' names are cut to.
    let inner = |frames: &[u64]| frames[1..frames.len() - 1].to_vec();
    assert!(
        exported.len().abs_diff(expected.len()) <= 1,
        "{} for {}",
        exported.len(),
        expected.len()
    );
    let shared: Vec<u64> = exported
        .iter()
        .copied()
        .filter(|frame| expected.contains(frame))
        .collect();
    assert!(shared.len() + 1 >= expected.len() && shared.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(
        inner(&exported).iter().all(|frame| expected.contains(frame)),
        "{exported:?}\n{expected:?}"
    );

    let manifest: Value = serde_json::from_slice(&std::fs::read(format!("{output}.json")).unwrap()).unwrap();
    // The last may be so short that it begins after the range.
    let in_range = segments
        .iter()
        .filter(|segment| segment.start < to && from < segment.end());
    assert_eq!(
        manifest["sources"].as_array().map(Vec::len),
        Some(in_range.count())
    );
    assert!(
        manifest["sources"]
            .as_array()
            .unwrap()
            .iter()
            .all(|source| source["matchesStoredHash"] == true)
    );
    manifest
}

/// Young video is kept, and a person can keep it for longer.
async fn rules(rig: &Rig, segments: &[SegmentKey]) {
    let first = segments[0].object_key().0;
    let why = say(rig, &["why", &first]).await;
    assert!(why.starts_with("kept: its retention lasts until"), "{why}");
    let dry = json(rig, &["keep", "--dry-run", "--json"]).await;
    assert_eq!(
        (dry["deleted"].as_u64(), dry["channels"].as_u64()),
        (Some(0), Some(1)),
        "{dry}"
    );

    let from = segments[0].start.to_string();
    let create = [
        "episodes",
        "create",
        "A",
        "1",
        "--from",
        &from,
        "--reason",
        "visit",
        "--label",
        "case=4711",
    ];
    say(rig, &create).await;
    say(rig, &["episodes", "end", "A", "1", &from]).await;
    let listed = json(rig, &["episodes", "list", "--json"]).await;
    let ours = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["reason"] == "visit")
        .unwrap();
    assert_eq!(
        (&ours["labels"]["case"], ours["end"].is_string()),
        (&Value::from("4711"), true),
        "{ours}"
    );
    has_a_picture(rig, segments, &from).await;
    say(rig, &["episodes", "delete", "A", "1", &from]).await;
    assert_eq!(
        json(rig, &["episodes", "list", "--json"])
            .await
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

/// The frame the episode begins with; it lies where the keep loop finds it, and is not taken twice.
async fn has_a_picture(rig: &Rig, segments: &[SegmentKey], start: &str) {
    for name in ["first.jpg", "second.jpg"] {
        let file = rig.data().join(name);
        let preview = [
            "episodes",
            "preview",
            "A",
            "1",
            start,
            "--output",
            file.to_str().unwrap(),
        ];
        say(rig, &preview).await;
        let shown = frames::read(&file).unwrap();
        let first = frames::read(&rig.archive().join(&segments[0].object_key().0)).unwrap();
        assert_eq!(shown.len(), 1);
        assert!(
            shown[0].index.is_some() && shown[0].index == first[0].index,
            "{shown:?}"
        );
    }
    let listed = json(rig, &["episodes", "list", "--json"]).await;
    let rows = listed.as_array().unwrap();
    let key = rows.iter().find_map(|row| row["preview"].as_str()).unwrap();
    assert!(rig.archive().join(key).exists());
    let why = say(rig, &["why", key]).await;
    assert!(why.starts_with("kept: "), "{why}");
}
