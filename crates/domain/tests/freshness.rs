//! Whether the archive is fresh, from the tables alone.
#![allow(clippy::unwrap_used)]

use domain::fakes::{FakeAlerts, FakeTables, Weather};
use domain::freshness::{GatewayAnswer, Report, SLACK_DEFAULT, check, judge};
use domain::ports::{ChannelsTable, GapsTable, Put, TasksTable};
use domain::task::{Assignment, Heartbeat};
use domain::{
    ChannelKey, ChannelRow, DeviceState, Gap, GapCause, Generation, RecordingSettings, Revision, Severity,
    TaskArn,
};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn channel(device: &str, state: DeviceState) -> ChannelRow {
    ChannelRow {
        key: ChannelKey::new(device, "1"),
        media_url: String::new(),
        device_name: String::new(),
        channel_name: String::new(),
        state,
        device_channels: 1,
        listed_channels: 1,
        wanted_since: at(-9000),
        settings: RecordingSettings::default(),
        revision: Revision(1),
    }
}

struct World {
    tables: FakeTables,
    alerts: FakeAlerts,
}

impl World {
    /// Channels whose newest segment ended then.
    fn new(channels: &[(&str, Option<i64>)]) -> Self {
        let world = Self {
            tables: FakeTables::new(Weather::calm()),
            alerts: FakeAlerts::new(Weather::calm()),
        };
        for (device, newest) in channels {
            block_on(world.add(device, *newest));
        }
        world
    }

    async fn add(&self, device: &str, newest: Option<i64>) {
        let row = channel(device, DeviceState::Present);
        assert_eq!(self.tables.put_channel(&row, None).await.unwrap(), Put::Written);
        let task = TaskArn::new("t");
        let assignment = Assignment {
            key: row.key.clone(),
            task: Some(task.clone()),
            generation: Generation(1),
            media_url: String::new(),
            settings: RecordingSettings::default(),
            device_state: DeviceState::Present,
            started_at: at(-9000),
            attempts: 0,
        };
        let put = self.tables.put_assignment(&assignment, None).await.unwrap();
        assert_eq!(put, Put::Written);
        let beat = Heartbeat {
            heartbeat_at: Some(at(0)),
            last_segment_at: newest.map(at),
            last_error: None,
        };
        let put = self
            .tables
            .heartbeat(&row.key, &task, Generation(1), &beat)
            .await
            .unwrap();
        assert_eq!(put, Put::Written);
    }

    fn check(&self, gateway: GatewayAnswer, second: i64) -> Report {
        block_on(check(
            SLACK_DEFAULT,
            gateway,
            &self.tables,
            &self.alerts,
            at(second),
        ))
    }

    fn told(&self) -> Vec<(Severity, String)> {
        let told = self.alerts.told().into_iter();
        told.map(|alert| (alert.severity, alert.text)).collect()
    }
}

#[test]
fn a_fresh_archive_is_no_news_and_writes_nothing() {
    let world = World::new(&[("A", Some(-20)), ("B", Some(-40))]);
    let before = world.tables.writes();
    let report = world.check(GatewayAnswer::Answered, 0);
    assert_eq!(
        (report.present, report.oldest_seconds, report.stale.len()),
        (2, 40, 0)
    );
    assert_eq!((world.told(), world.tables.writes()), (vec![], before));
}

#[test]
fn a_heartbeat_without_segments_is_no_recording_and_is_told_with_its_cause() {
    let world = World::new(&[("A", Some(-20)), ("B", Some(-600)), ("C", None)]);
    let gap = Gap {
        key: ChannelKey::new("B", "1"),
        start: at(-600),
        end: None,
        cause: GapCause::StreamStalled,
    };
    block_on(world.tables.put_gap(&gap)).unwrap();
    let report = world.check(GatewayAnswer::Answered, 0);
    assert_eq!(
        report.stale.into_iter().collect::<Vec<_>>(),
        [("B/1".into(), 600), ("C/1".into(), 9000)]
    );
    assert_eq!(world.told(), vec![], "one look is no proof");

    world.check(GatewayAnswer::Answered, 60);
    let [(Severity::Critical, text)] = &world.told()[..] else {
        panic!("{:?}", world.told())
    };
    assert!(text.contains("2 of 3 channels"), "{text}");
    assert!(
        text.contains("C/1 for 9060 s (no cause known), B/1 for 660 s (stream stalled)"),
        "{text}"
    );
}

#[test]
fn a_channel_whose_device_is_away_is_not_stale() {
    let away = DeviceState::Missing {
        since: at(-600),
        missed_polls: 9,
        hint: None,
    };
    let freshness = judge(SLACK_DEFAULT, &[channel("A", away)], &[], at(0));
    assert_eq!((freshness.present, freshness.oldest), (0, SignedDuration::ZERO));
}

#[test]
fn a_new_channel_has_time_for_its_first_segment() {
    let row = |wanted_since| ChannelRow {
        wanted_since: at(wanted_since),
        ..channel("A", DeviceState::Present)
    };
    let stale = |row| judge(SLACK_DEFAULT, &[row], &[], at(0)).stale.len();
    assert_eq!((stale(row(-180)), stale(row(-181))), (0, 1));
}

#[test]
fn longer_segments_have_longer() {
    let mut row = channel("A", DeviceState::Present);
    row.wanted_since = at(-700);
    row.settings.segment_seconds = 300.try_into().unwrap();
    assert_eq!(judge(SLACK_DEFAULT, &[row], &[], at(0)).stale.len(), 0);
}

#[test]
fn a_silent_gateway_is_told_after_three_looks_and_its_return_too() {
    let world = World::new(&[("A", Some(-20))]);
    let silent = || GatewayAnswer::Silent("connection refused".into());
    for look in 0..2 {
        world.check(silent(), look);
    }
    assert_eq!(world.told(), vec![]);
    world.check(silent(), 2);
    assert_eq!(world.told()[0].0, Severity::Critical);
    world.check(GatewayAnswer::Answered, 3);
    assert_eq!(world.told()[1].0, Severity::Resolved);
}

#[test]
fn a_rejected_password_is_the_polls_news() {
    let world = World::new(&[("A", Some(-20))]);
    for look in 0..5 {
        world.check(GatewayAnswer::NotAsked("the password was rejected".into()), look);
    }
    assert_eq!(world.told(), vec![]);
}
