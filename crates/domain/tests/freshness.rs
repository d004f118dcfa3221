//! Whether the archive is fresh, from the tables alone.
#![allow(clippy::unwrap_used)]

use domain::fakes::{FakeAlerts, FakeTables, Weather, rows};
use domain::freshness::{Report, SLACK_DEFAULT, check, judge};
use domain::ports::{ChannelsTable, GapsTable, Put, TasksTable};
use domain::task::Heartbeat;
use domain::{ChannelKey, ChannelRow, DeviceState, Gap, GapCause, Generation, Severity, TaskArn};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn channel(device: &str, state: DeviceState) -> ChannelRow {
    ChannelRow {
        state,
        ..rows::channel(ChannelKey::new(device, "1"), at(-9000))
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
        let assignment = rows::assignment(row.key.clone(), task.clone(), at(-9000));
        let put = self.tables.put_assignment(&assignment, None).await.unwrap();
        assert_eq!(put, Put::Written);
        let beat = Heartbeat {
            heartbeat_at: Some(at(0)),
            last_segment_at: newest.map(at),
            last_error: None,
            ..Heartbeat::default()
        };
        let put = self
            .tables
            .heartbeat(&row.key, &task, Generation(1), &beat)
            .await
            .unwrap();
        assert_eq!(put, Put::Written);
    }

    /// The device's recorder says that it gets no video, and why.
    async fn complain(&self, device: &str, cause: GapCause) {
        let key = ChannelKey::new(device, "1");
        let beat = Heartbeat {
            heartbeat_at: Some(at(0)),
            last_segment_at: Some(at(-600)),
            last_error: Some("no frame came".into()),
            ..Heartbeat::default()
        };
        let put = self
            .tables
            .heartbeat(&key, &TaskArn::new("t"), Generation(1), &beat)
            .await;
        assert_eq!(put.unwrap(), Put::Written);
        let gap = Gap {
            key,
            start: at(-600),
            end: None,
            cause,
        };
        self.tables.put_gap(&gap).await.unwrap();
    }

    fn check(&self, second: i64) -> Report {
        block_on(check(SLACK_DEFAULT, &self.tables, &self.alerts, at(second)))
    }

    /// Channels that were looked at, and those of them the gateway is blamed for.
    fn blamed(&self, second: i64) -> (usize, usize) {
        let archive = self.check(second).archive;
        (archive.wanted, archive.no_video)
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
    let report = world.check(0);
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
    let report = world.check(0);
    assert_eq!(
        report.stale.into_iter().collect::<Vec<_>>(),
        [("B/1".into(), 600), ("C/1".into(), 9000)]
    );
    assert_eq!(world.told(), vec![], "one look is no proof");

    world.check(60);
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
fn recorders_that_all_complain_of_the_gateway_are_counted_against_it() {
    let world = World::new(&[("A", Some(-600)), ("B", Some(-600)), ("C", Some(-600))]);
    assert_eq!(world.blamed(0), (3, 0), "no recorder complains");
    for device in ["A", "B", "C"] {
        block_on(world.complain(device, GapCause::StreamStalled));
    }
    assert_eq!(world.blamed(0), (3, 3));
    assert_eq!(world.blamed(170), (3, 3));
    assert_eq!(world.blamed(200), (3, 0), "nobody knows whether they live");
}

#[test]
fn a_cause_beyond_the_gateway_is_not_counted_against_it() {
    for cause in [GapCause::CredentialsRejected, GapCause::ArchiveRefused] {
        let world = World::new(&[("A", Some(-600)), ("B", Some(-600))]);
        block_on(world.complain("A", GapCause::StreamStalled));
        block_on(world.complain("B", cause));
        assert_eq!(world.blamed(0), (2, 1), "{cause}");
    }
}

#[test]
fn a_newest_segment_of_a_wrong_clock_says_nothing() {
    let stale = |newest| World::new(&[("A", Some(newest))]).check(0).stale.len();
    assert_eq!(
        stale(3 * 3_600),
        1,
        "what was dated hours ahead proves nothing of now"
    );
    assert_eq!(stale(90), 0, "clocks may disagree");
}
