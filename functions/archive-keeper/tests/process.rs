//! The keeper as Lambda runs it: its own process, emulated tables and an emulated bucket.
#![allow(clippy::unwrap_used)]

use aws::harness::{create_bucket, unused_name};
use aws_sdk_s3::primitives::ByteStream;
use domain::coverage::{HourPolicy, last_full_hour};
use domain::fakes::rows;
use domain::ports::{EpisodesTable, GapsTable, Put};
use domain::settings::{Overrides, OwnSettings};
use domain::{ChannelKey, Gap, GapCause, Generation, ObjectKey, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use lambda::harness::{Cloud, Function};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const SEGMENT: SignedDuration = SignedDuration::from_secs(30);

/// As the template has it.
const INVOCATION: Duration = Duration::from_secs(900);

/// A stack with a bucket.
struct Bed {
    cloud: Cloud,
    s3: aws_sdk_s3::Client,
    bucket: String,
}

impl Bed {
    async fn start() -> Self {
        let (cloud, bucket) = (Cloud::start().await, unused_name());
        let s3 = create_bucket(cloud.sdk(), &bucket).await;
        Self { cloud, s3, bucket }
    }

    async fn keeper(&self, with: &[(&'static str, String)]) -> Function {
        let mut environment = self.cloud.environment();
        environment.push(("MILLRACE_ARCHIVE", format!("s3://{}", self.bucket)));
        environment.extend(with.iter().cloned());
        Function::start(env!("CARGO_BIN_EXE_archive-keeper"), &environment).await
    }

    async fn record(&self, device: &str, start: Timestamp, length: SignedDuration) -> String {
        let segment = SegmentKey::new(ChannelKey::new(device, "1"), start, length, Generation(1));
        self.put(segment.object_key()).await
    }

    async fn put(&self, key: ObjectKey) -> String {
        let put = self.s3.put_object().bucket(&self.bucket).key(&key.0);
        put.body(ByteStream::from_static(b"video")).send().await.unwrap();
        key.0
    }

    async fn keys(&self) -> Vec<String> {
        let listed = self
            .s3
            .list_objects_v2()
            .bucket(&self.bucket)
            .send()
            .await
            .unwrap();
        let keys = listed.contents().iter().filter_map(|object| object.key());
        keys.map(str::to_owned).collect()
    }

    async fn episode(&self, device: &str, start: Timestamp, end: Timestamp) {
        let row = rows::episode(ChannelKey::new(device, "1"), start, Some(end));
        assert_eq!(
            self.cloud.tables.put_episode(&row, None).await.unwrap(),
            Put::Written
        );
    }
}

/// The last of the wide events that this invocation wrote.
async fn run(keeper: &Function, name: &str, limit: Duration) -> Value {
    let event = json!({"detail-type": "Scheduled Event"});
    keeper.report_within(event, name, limit).await.pop().unwrap()
}

fn retention(days: u32) -> (&'static str, String) {
    ("MILLRACE_RETENTION_DAYS", days.to_string())
}

#[tokio::test]
async fn the_hour_is_measured_and_people_hear_which_channel_and_cause_are_behind_it() {
    let bed = Bed::start().await;
    let hour = last_full_hour(Timestamp::now(), HourPolicy::default().settle + SEGMENT);
    let half = SignedDuration::from_mins(30);
    for device in ["A", "B"] {
        bed.cloud.want(device, hour.start - DAY).await;
    }
    bed.record("A", hour.start, half + half).await;
    bed.record("B", hour.start, half).await;
    let gap = Gap {
        key: ChannelKey::new("B", "1"),
        start: hour.start + half,
        end: Some(hour.end),
        cause: GapCause::GatewayDown,
    };
    bed.cloud.tables.put_gap(&gap).await.unwrap();

    let keeper = bed.keeper(&[]).await;
    let event = run(&keeper, "coverage", INVOCATION).await;
    assert_eq!(
        ["CoveragePercent", "ChannelsBelowObjective", "CoverageUnknown"].map(|name| event[name].as_f64()),
        [Some(75.0), Some(1.0), Some(0.0)],
        "{event}"
    );
    let worst = &event["report"]["channels"][0];
    assert_eq!(
        (&worst["channel"], &worst["percent"]),
        (&json!("B/1"), &json!(50.0))
    );
    let told = keeper.alerts().join("\n");
    assert!(
        told.contains(": of what was wanted") && told.contains("gateway down, 1800 s"),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_past_its_retention_goes_at_the_second_look_unless_an_episode_wants_it() {
    let bed = Bed::start().await;
    let now = Timestamp::now();
    bed.record("A", now - DAY * 40, SEGMENT).await;
    let kept = bed.record("A", now - DAY * 39, SEGMENT).await;
    bed.episode("A", now - DAY * 39 + SEGMENT, now - DAY * 38).await;
    let young = bed.record("A", now - DAY * 2, SEGMENT).await;
    let foreign = bed.put(ObjectKey("A/1/notes.txt".into())).await;

    let keeper = bed.keeper(&[retention(7)]).await;
    let first = run(&keeper, "keep", INVOCATION).await;
    assert!(first["report"]["held"].is_string(), "{first}");
    let second = run(&keeper, "keep", INVOCATION).await;
    assert_eq!(
        ["ObjectsDeleted", "KeepFailed"].map(|name| second[name].as_f64()),
        [Some(1.0), Some(0.0)],
        "{second}"
    );
    let mut left = [kept, young, foreign];
    left.sort();
    assert_eq!(bed.keys().await, left);
}

#[tokio::test]
async fn a_channel_with_settings_of_its_own_has_the_stacks_retention_unless_it_says_another() {
    let bed = Bed::start().await;
    let old = Timestamp::now() - DAY * 40;
    bed.record("A", old, SEGMENT).await;
    let kept = bed.record("B", old, SEGMENT).await;
    let mut overrides = Overrides::default();
    for (device, own) in [
        ("A", json!({"backfill": true})),
        ("B", json!({"retention-days": 50})),
    ] {
        let own: OwnSettings = serde_json::from_value(own).unwrap();
        overrides.set(&ChannelKey::new(device, "1"), own);
    }
    let put = overrides.store(&bed.cloud.tables, None).await;
    assert_eq!(put.unwrap(), Put::Written);

    let keeper = bed.keeper(&[retention(7)]).await;
    for _ in 0..2 {
        run(&keeper, "keep", INVOCATION).await;
    }
    assert_eq!(bed.keys().await, [kept]);
}

#[tokio::test]
async fn nothing_goes_while_the_episodes_cannot_be_read_or_time_is_short_or_all_is_to_be_kept() {
    let bed = Bed::start().await;
    let old = bed.record("A", Timestamp::now() - DAY * 40, SEGMENT).await;
    let mut names = bed.cloud.names.clone();
    names.episodes = Some("no-such-table".to_owned());
    let blind = bed
        .keeper(&[retention(7), ("MILLRACE_STATE", names.to_string())])
        .await;
    run(&blind, "keep", INVOCATION).await;
    let event = run(&blind, "keep", INVOCATION).await;
    assert_eq!(event["KeepFailed"].as_f64(), Some(1.0), "{event}");
    assert_eq!(bed.keys().await, std::slice::from_ref(&old));

    let hurried = bed.keeper(&[retention(7)]).await;
    let event = run(&hurried, "keep", Duration::from_secs(60)).await;
    assert_eq!(event["report"]["unfinished"], true, "{event}");
    assert_eq!(bed.keys().await, std::slice::from_ref(&old));

    let all = bed.keeper(&[retention(0)]).await;
    let event = run(&all, "keep", INVOCATION).await;
    assert_eq!(
        (&event["report"]["listed"], &event["report"]["held"]),
        (&json!(0), &Value::Null),
        "{event}"
    );
    assert_eq!(bed.keys().await, [old]);
}
