//! The poll's promises: named scenarios as snapshots, properties of the planner, and the loop over fakes.
#![allow(clippy::unwrap_used)]

use domain::channel::{ChannelRow, DeviceState, Revision};
use domain::credentials::{self, Rejection};
use domain::fakes::{FakeAlerts, FakeGateway, FakeTables, Weather, rows};
use domain::poll::{
    Action, DeviceLookup, FoundChannel, LookupReason, Observed, Plan, PollPolicy, lookups, plan, poll,
};
use domain::ports::{ControlTable, Put};
use domain::settings::{Audio, Overrides, OwnSettings, RecordingSettings};
use domain::{ChannelId, ChannelKey, Device, DeviceIndex, DeviceKind, DeviceStatus, OfflineHint, Severity};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn device(index: &str, status: DeviceStatus) -> Device {
    Device {
        index: DeviceIndex::new(index),
        name: format!("camera {index}"),
        kind: DeviceKind::Encoder,
        status,
        video_channels: 1,
    }
}

fn row(index: &str, state: DeviceState) -> ChannelRow {
    ChannelRow {
        device_name: format!("camera {index}"),
        channel_name: "channel 1".into(),
        state,
        revision: Revision(7),
        ..rows::channel(ChannelKey::new(index, "1"), at(-3600))
    }
}

fn missing(since: i64, missed_polls: u32) -> DeviceState {
    DeviceState::Missing {
        since: at(since),
        missed_polls,
        hint: None,
    }
}

fn found(id: &str, url: Option<&str>) -> FoundChannel {
    FoundChannel {
        id: ChannelId::new(id),
        name: format!("channel {id}"),
        url: url.map(str::to_owned),
    }
}

fn planned(devices: &[Device], rows: &[ChannelRow], found: &[(&str, Vec<FoundChannel>)]) -> Plan {
    let lookups: BTreeMap<_, _> = found
        .iter()
        .map(|(index, list)| (DeviceIndex::new(*index), DeviceLookup::Found(list.clone())))
        .collect();
    let overrides = Overrides::default();
    plan(
        &PollPolicy::default(),
        &Observed {
            devices,
            rows,
            overrides: &overrides,
            lookups: &lookups,
        },
        at(0),
    )
}

const OFFLINE: DeviceStatus = DeviceStatus::Offline(OfflineHint::Network);

#[test]
fn an_nvr_is_added_with_its_own_channel_ids() {
    let nvr = Device {
        video_channels: 3,
        ..device("NVR", DeviceStatus::Online)
    };
    let list = vec![
        found("1", Some("rtsp://g/1")),
        found("5", Some("rtsp://g/5?streamform=rtp")),
        found("2", None),
    ];
    insta::assert_snapshot!(planned(&[nvr], &[], &[("NVR", list)]), @"
    add NVR/1 (camera NVR) from rtsp://g/1
    add NVR/5 (camera NVR) from rtsp://g/5?streamform=rtp
    ");
}

#[test]
fn a_flap_of_one_poll_only_counts_a_miss() {
    let plan = planned(&[device("A", OFFLINE)], &[row("A", DeviceState::Present)], &[]);
    insta::assert_snapshot!(plan, @"miss A/1: offline (network), poll 1");
}

#[test]
fn a_channel_goes_when_its_device_was_missing_for_the_whole_grace() {
    let rows = [
        row("A", missing(-299, 4)),
        row("B", missing(-300, 4)),
        row("C", missing(-9000, 0)),
        row("D", DeviceState::Present),
    ];
    let devices = [device("A", OFFLINE), device("D", DeviceStatus::Online)];
    insta::assert_snapshot!(planned(&devices, &rows, &[]), @"
    miss A/1: offline (network), poll 5
    remove B/1, missing since 2027-01-15T07:55:00Z
    miss C/1: not listed, poll 1
    ");
}

#[test]
fn sleep_neither_adds_nor_removes() {
    let rows = [row("A", DeviceState::Present), row("B", missing(-9000, 9))];
    let devices = ["A", "B", "C"].map(|index| device(index, DeviceStatus::Sleep));
    assert_eq!(planned(&devices, &rows, &[]), Plan::default());
    assert_eq!(lookups(&PollPolicy::default(), &devices, &[], &[], at(0)), []);
}

#[test]
fn a_changed_url_and_a_returned_device_are_taken_over() {
    let rows = [row("A", DeviceState::Present), row("B", missing(-60, 1))];
    let devices = ["A", "B"].map(|index| device(index, DeviceStatus::Online));
    let a = ("A", vec![found("1", Some("rtsp://gateway/new"))]);
    let b = ("B", vec![found("1", Some("rtsp://gateway/B1"))]);
    insta::assert_snapshot!(planned(&devices, &rows, &[a, b]), @"
    record A/1 from rtsp://gateway/new now
    B/1 is back
    ");
}

#[test]
fn removing_most_of_the_world_is_held_until_a_person_accepts_it() {
    let rows = ["A", "B", "C"].map(|index| row(index, missing(-9000, 9)));
    insta::assert_snapshot!(planned(&[], &rows, &[]), @"hold 3 removals of 3 known channels");
    let policy = PollPolicy {
        accept_removals: true,
        ..PollPolicy::default()
    };
    let (overrides, lookups) = (Overrides::default(), BTreeMap::new());
    let observed = Observed {
        devices: &[],
        rows: &rows,
        overrides: &overrides,
        lookups: &lookups,
    };
    assert_eq!(plan(&policy, &observed, at(0)).actions.len(), 3);
}

#[test]
fn one_deleted_device_goes_however_many_channels_it_has() {
    let nvr = (1..=9).map(|id| ChannelRow {
        key: ChannelKey::new("NVR", id.to_string().as_str()),
        ..row("NVR", missing(-9000, 9))
    });
    let rows: Vec<_> = nvr.chain([row("A", DeviceState::Present)]).collect();
    assert_eq!(
        planned(&[device("A", DeviceStatus::Online)], &rows, &[])
            .actions
            .len(),
        9
    );
}

#[test]
fn only_new_or_suspect_devices_are_looked_into() {
    let rows = [
        row("known", DeviceState::Present),
        row("returned", missing(-60, 1)),
        ChannelRow {
            device_channels: 2,
            ..row("grown", DeviceState::Present)
        },
        ChannelRow {
            listed_channels: 2,
            ..row("incomplete", DeviceState::Present)
        },
    ];
    let names = ["known", "returned", "grown", "incomplete", "new"];
    let mut devices: Vec<_> = names.map(|index| device(index, DeviceStatus::Online)).to_vec();
    devices.push(Device {
        kind: DeviceKind::AccessControl,
        ..device("door", DeviceStatus::Online)
    });
    devices.push(Device {
        video_channels: 0,
        ..device("deaf", DeviceStatus::Online)
    });
    devices.push(device("off", OFFLINE));
    let reasons: Vec<_> = lookups(&PollPolicy::default(), &devices, &rows, &[], at(0))
        .into_iter()
        .map(|lookup| (lookup.device.to_string(), lookup.reason))
        .collect();
    let expected = [
        ("grown", LookupReason::ChannelCountChanged),
        ("incomplete", LookupReason::Incomplete),
        ("new", LookupReason::New),
        ("returned", LookupReason::Returned),
    ];
    assert_eq!(
        reasons,
        expected.map(|(index, reason)| (index.to_owned(), reason))
    );
}

#[test]
fn devices_that_never_answer_do_not_starve_the_others() {
    let devices: Vec<_> = (0..10)
        .map(|n| device(&format!("D{n}"), DeviceStatus::Online))
        .collect();
    let policy = PollPolicy {
        lookups_max: 3,
        ..PollPolicy::default()
    };
    let asked: BTreeSet<_> = (0..10)
        .flat_map(|minute| lookups(&policy, &devices, &[], &[], at(minute * 60)))
        .map(|lookup| lookup.device)
        .collect();
    assert_eq!(asked.len(), 10);
}

/// A small world for properties.
fn worlds() -> impl Strategy<Value = (Vec<Device>, Vec<ChannelRow>, BTreeSet<String>)> {
    let status = prop_oneof![
        Just(DeviceStatus::Online),
        Just(OFFLINE),
        Just(DeviceStatus::Sleep)
    ];
    let state = prop_oneof![
        Just(DeviceState::Present),
        (0_i64..600, 1_u32..5).prop_map(|(ago, missed)| missing(-ago, missed))
    ];
    let devices = prop::collection::btree_map("[A-H]", status, 0..8);
    let rows = prop::collection::btree_map("[A-H]", state, 0..8);
    (devices, rows, prop::collection::btree_set("[A-H]", 0..8)).prop_map(|(devices, rows, answered)| {
        let devices = devices
            .iter()
            .map(|(index, status)| device(index, *status))
            .collect();
        (
            devices,
            rows.iter().map(|(index, state)| row(index, *state)).collect(),
            answered,
        )
    })
}

proptest! {
    #[test]
    fn never_removes_what_is_online_or_asleep_or_not_long_missing((devices, rows, _) in worlds()) {
        for action in planned(&devices, &rows, &[]).actions {
            let Action::Remove { key, missing_since, .. } = action else { continue };
            let status = devices.iter().find(|device| device.index == key.device).map(|device| device.status);
            prop_assert!(matches!(status, None | Some(DeviceStatus::Offline(_))));
            prop_assert!(at(0).duration_since(missing_since) >= PollPolicy::default().offline_grace);
        }
    }

    #[test]
    fn a_plan_applied_leaves_nothing_to_do_at_the_same_instant((devices, rows, answered) in worlds()) {
        let answers: Vec<_> = answered
            .iter()
            .map(|index| (index.as_str(), vec![found("1", Some(&format!("rtsp://gateway/{index}1")))]))
            .collect();
        let mut table: BTreeMap<_, _> = rows.iter().map(|row| (row.key.clone(), row.clone())).collect();
        for action in planned(&devices, &rows, &answers).actions {
            match action {
                Action::Put { row, expected, .. } => {
                    prop_assert_eq!(table.get(&row.key).map(|row| row.revision), expected);
                    table.insert(row.key.clone(), *row);
                }
                Action::Remove { key, .. } => _ = table.remove(&key),
            }
        }
        let rows: Vec<_> = table.into_values().collect();
        let again = planned(&devices, &rows, &answers);
        let new_work = again.actions.iter().filter(|action| !action.to_string().starts_with("miss"));
        // Counting one more miss may complete a grace that had everything but the second look.
        prop_assert!(new_work.clone().all(|action| matches!(action, Action::Remove { .. })), "{again}");
    }

    #[test]
    fn a_look_without_answers_never_adds_or_changes_urls((devices, rows, _) in worlds()) {
        for action in planned(&devices, &rows, &[]).actions {
            let Action::Put { row, .. } = action else { continue };
            prop_assert!(rows.iter().any(|old| old.key == row.key && old.media_url == row.media_url));
        }
    }
}

struct Fixture {
    gateway: FakeGateway,
    tables: FakeTables,
    alerts: FakeAlerts,
}

fn fixture(devices: usize) -> Fixture {
    let weather = Weather::calm();
    let gateway = FakeGateway::new(weather.clone());
    for n in 0..devices {
        gateway.set(device(&format!("D{n:04}"), DeviceStatus::Online), &["1"]);
    }
    Fixture {
        gateway,
        tables: FakeTables::new(weather.clone()),
        alerts: FakeAlerts::new(weather),
    }
}

impl Fixture {
    fn poll(&self, second: i64) -> domain::poll::Report {
        self.poll_by(&PollPolicy::default(), second)
    }

    fn poll_by(&self, policy: &PollPolicy, second: i64) -> domain::poll::Report {
        block_on(poll(
            policy,
            &self.gateway,
            &self.tables,
            &self.alerts,
            at(second),
        ))
    }

    fn told(&self) -> Vec<Severity> {
        self.alerts
            .told()
            .into_iter()
            .map(|alert| alert.severity)
            .collect()
    }
}

#[test]
fn an_unchanged_world_writes_nothing_and_asks_only_for_the_list() {
    let world = fixture(1000);
    let first = world.poll(0);
    assert_eq!(
        first.lookup_reasons,
        BTreeMap::from([(LookupReason::New, first.lookups)])
    );
    for poll in 1..10 {
        world.poll(poll * 60);
    }
    assert_eq!(world.tables.channels().len(), 1000);
    let (writes, lookups) = (world.tables.writes(), world.gateway.lookups());
    let report = world.poll(600);
    assert_eq!((report.devices, report.channels, report.lookups), (1000, 1000, 0));
    assert_eq!(
        (world.tables.writes(), world.gateway.lookups()),
        (writes, lookups)
    );
}

#[test]
fn a_rejected_password_removes_nothing_and_tells_once() {
    let world = fixture(4);
    world.poll(0);
    world.gateway.refuse(true);
    for poll in 1..100 {
        assert!(world.poll(poll * 60).failure.is_some());
    }
    assert_eq!(world.tables.channels().len(), 4);
    assert_eq!(world.told(), [Severity::Critical]);
    world.gateway.refuse(false);
    world.poll(6000);
    assert_eq!(world.told(), [Severity::Critical, Severity::Resolved]);
}

#[test]
fn a_device_list_lifts_a_recorders_rejection_though_the_rest_of_the_poll_fails() {
    let world = fixture(1);
    let said = Rejection {
        version: None,
        since: at(0),
        by: "recorder".into(),
        locked_until: None,
    };
    block_on(credentials::reject(&world.tables, &said)).unwrap();
    let spoilt = serde_json::json!(5);
    let put = block_on(world.tables.put_control("settings", &spoilt, None)).unwrap();
    assert_eq!(put, Put::Written);
    assert!(world.poll(0).failure.unwrap().contains("settings"));
    assert_eq!(block_on(credentials::rejected(&world.tables)).unwrap(), None);
}

#[test]
fn a_channels_own_settings_lie_over_those_of_all_channels_and_follow_them() {
    let world = fixture(2);
    let key = ChannelKey::new("D0000", "1");
    let own = OwnSettings {
        audio: Some(Audio::Aac),
        ..OwnSettings::default()
    };
    let mut overrides = Overrides::default();
    overrides.set(&key, own);
    let put = block_on(overrides.store(&world.tables, None)).unwrap();
    assert_eq!(put, Put::Written);
    for (poll, segment_seconds) in [(0, 60), (1, 20)] {
        let policy = PollPolicy {
            settings: RecordingSettings {
                segment_seconds: segment_seconds.try_into().unwrap(),
                retention_days: 7,
                ..RecordingSettings::default()
            },
            ..PollPolicy::default()
        };
        world.poll_by(&policy, poll * 60);
        for row in world.tables.channels() {
            let audio = if row.key == key { Audio::Aac } else { Audio::Copy };
            let expected = RecordingSettings {
                audio,
                ..policy.settings.clone()
            };
            assert_eq!(row.settings, expected, "{}", row.key);
        }
    }
}

#[test]
fn an_operators_settings_survive_the_removal_and_return_of_the_device() {
    let world = fixture(4);
    let key = ChannelKey::new("D0000", "1");
    let own = OwnSettings {
        segment_seconds: Some(10.try_into().unwrap()),
        ..OwnSettings::default()
    };
    let mut overrides = Overrides::default();
    overrides.set(&key, own.clone());
    assert_eq!(
        block_on(overrides.store(&world.tables, None)).unwrap(),
        Put::Written
    );
    world.poll(0);
    world
        .gateway
        .change(&key.device, |device| device.status = OFFLINE);
    let gone = |world: &Fixture| world.tables.channels().iter().all(|row| row.key != key);
    let mut second = 60;
    while !gone(&world) {
        world.poll(second);
        second += 60;
    }
    assert!(SignedDuration::from_secs(second) > PollPolicy::default().offline_grace);
    world
        .gateway
        .change(&key.device, |device| device.status = DeviceStatus::Online);
    world.poll(second);
    assert_eq!(
        world
            .tables
            .channels()
            .into_iter()
            .find(|row| row.key == key)
            .unwrap()
            .settings,
        own.over(&RecordingSettings::default())
    );
}
