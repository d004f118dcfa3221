//! The poller as Lambda runs it: its own process, a simulated gateway, emulated tables and parameters.
#![allow(clippy::unwrap_used)]

use domain::ChannelKey;
use domain::credentials::{self, Rejection};
use domain::ports::{ChannelsTable, ControlTable, Put};
use domain::settings::{Audio, Overrides, OwnSettings};
use jiff::{SignedDuration, Timestamp};
use lambda::harness::{Cloud, Function};
use secrecy::SecretString;
use serde_json::{Value, json};
use simulator::scenario::{ChannelSpec, DeviceSpec};
use simulator::{ApiFault, Operation, Scenario, Simulator};
use std::time::Duration;

/// The control item in which tries of the password are counted.
const TRIES: &str = "tries";

const WRONG: &str = "wrong-password-7431";

async fn gateway() -> Simulator {
    let devices = [
        DeviceSpec::camera("A0000000-0000-0000-0000-000000000001", "one")
            .with_channels([ChannelSpec::new(1)]),
        DeviceSpec::camera("B0000000-0000-0000-0000-000000000002", "two")
            .with_channels([ChannelSpec::new(1)]),
    ];
    Simulator::start(Scenario::with_devices(devices).api_only())
        .await
        .unwrap()
}

async fn poller(cloud: &Cloud, endpoint: String) -> Function {
    poller_with(cloud, endpoint, &[]).await
}

async fn poller_with(cloud: &Cloud, endpoint: String, with: &[(&'static str, String)]) -> Function {
    let mut environment = cloud.environment();
    environment.extend([
        ("MILLRACE_GATEWAY_ENDPOINT", endpoint),
        ("MILLRACE_GATEWAY_USERNAME", "admin".to_owned()),
        ("MILLRACE_GATEWAY_PASSWORD_PARAMETER", cloud.parameter()),
        ("MILLRACE_GATEWAY_FINGERPRINT", String::new()),
        ("MILLRACE_ALERTS_TOPIC", String::new()),
        ("MILLRACE_LOG", "debug".to_owned()),
    ]);
    environment.extend(with.iter().cloned());
    Function::start(env!("CARGO_BIN_EXE_device-poller"), &environment).await
}

fn scheduled() -> Value {
    json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
}

async fn poll(poller: &Function) -> Value {
    poller.report(scheduled(), "poll").await.pop().unwrap()
}

#[tokio::test]
async fn a_poll_turns_devices_into_rows_and_an_unchanged_world_asks_for_the_list_only() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let poller = poller(&cloud, gateway.api_url()).await;

    let first = poll(&poller).await;
    assert_eq!(first["report"]["added"], 2, "{first}");
    let rows = cloud.tables.list_channels().await.unwrap();
    let urls: Vec<_> = rows.iter().map(|row| row.media_url.as_str()).collect();
    let host = format!("rtsp://{}/", gateway.rtsp_addr());
    assert!(
        urls.len() == 2 && urls.iter().all(|url| url.starts_with(&host)),
        "{urls:?}"
    );

    let asked = gateway.requests().total();
    let second = poll(&poller).await;
    assert_eq!(gateway.requests().total() - asked, 1, "one page of the list");
    assert_eq!(second["Stack"], cloud.stack);
    let measured = [
        "PollFailed",
        "Devices",
        "DevicesOnline",
        "ChannelsWanted",
        "ChannelsHeld",
        "GatewayRequests",
    ];
    assert_eq!(
        measured.map(|name| &second[name]),
        [
            &json!(0.0),
            &json!(2.0),
            &json!(2.0),
            &json!(2.0),
            &json!(0.0),
            &json!(1.0)
        ]
    );
    assert!(second["GatewayLatency"].as_f64().unwrap() > 0.0);
    assert!(!poller.log().contains(gateway.password()));
}

#[tokio::test]
async fn a_channels_own_settings_lie_over_the_stacks() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let own: OwnSettings = serde_json::from_value(json!({"audio": "aac"})).unwrap();
    let mut overrides = Overrides::default();
    overrides.set(&ChannelKey::new("A0000000-0000-0000-0000-000000000001", "1"), own);
    let put = overrides.store(&cloud.tables, None).await;
    assert_eq!(put.unwrap(), Put::Written);

    let poller = poller_with(
        &cloud,
        gateway.api_url(),
        &[("MILLRACE_SEGMENT", "60".to_owned())],
    )
    .await;
    poll(&poller).await;
    let rows = cloud.tables.list_channels().await.unwrap();
    let settings: Vec<_> = rows
        .iter()
        .map(|row| (row.settings.segment_seconds.get(), row.settings.audio))
        .collect();
    assert_eq!(settings, [(60, Audio::Aac), (60, Audio::Copy)]);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_until_the_parameter_is_written_again() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(WRONG).await;
    let poller = poller(&cloud, gateway.api_url()).await;
    for _ in 0..5 {
        let report = poll(&poller).await;
        assert_eq!(report["PollFailed"], 1.0);
        assert!(report["Devices"].is_null(), "{report}");
    }
    assert_eq!(gateway.requests().rejected, 1);
    let rejection = credentials::rejected(&cloud.tables).await.unwrap().unwrap();
    assert_eq!(
        (rejection.version, rejection.by.as_str()),
        (Some(1), "device-poller")
    );

    // Another environment of the function knows it too.
    let fresh = self::poller(&cloud, gateway.api_url()).await;
    assert_eq!(poll(&fresh).await["PollFailed"], 1.0);
    assert_eq!(gateway.requests().rejected, 1);

    cloud.put_password(gateway.password()).await;
    assert_eq!(poll(&poller).await["report"]["added"], 2);
    assert_eq!(credentials::rejected(&cloud.tables).await.unwrap(), None);
    let logs = poller.log() + &fresh.log();
    assert!(logs.contains("parameter") && !logs.contains(WRONG) && !logs.contains(gateway.password()));
}

#[tokio::test]
async fn a_locked_account_is_left_alone_until_it_is_unlocked_and_then_polled_again() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let poller = poller(&cloud, gateway.api_url()).await;
    assert_eq!(poll(&poller).await["PollFailed"], 0.0);

    gateway.control().apply(Operation::Lock { seconds: 5 }).unwrap();
    assert_eq!(poll(&poller).await["PollFailed"], 1.0);
    let standing = credentials::rejected(&cloud.tables).await.unwrap().unwrap();
    assert!(standing.locked_until.is_some());
    assert_eq!(poll(&poller).await["PollFailed"], 1.0);
    assert_eq!(gateway.requests().locked, 1, "it is tried once");

    while gateway.control().state().locked_seconds.is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The same environment. Its clock for the lock began with the answer, the gateway's before.
    let mut polls = 0;
    while poll(&poller).await["PollFailed"] != 0.0 {
        polls += 1;
        assert!(polls < 20, "it never polls again: {}", poller.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((gateway.requests().locked, gateway.requests().rejected), (1, 0));
    assert_eq!(credentials::rejected(&cloud.tables).await.unwrap(), None);
}

#[tokio::test]
async fn a_password_that_changed_meanwhile_is_read_again_within_the_same_poll() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let poller = poller(&cloud, gateway.api_url()).await;
    assert_eq!(poll(&poller).await["PollFailed"], 0.0);

    let new = "another-Password-9152";
    let config = isapi::Config::new(
        gateway.api_url().parse().unwrap(),
        gateway.username(),
        SecretString::from(gateway.password()),
    );
    let person = isapi::Client::new(config).unwrap();
    person.change_password(&SecretString::from(new)).await.unwrap();
    cloud.put_password(new).await;

    assert_eq!(poll(&poller).await["PollFailed"], 0.0);
    assert_eq!(gateway.requests().rejected, 1);
    assert_eq!(credentials::rejected(&cloud.tables).await.unwrap(), None);
    assert!(!poller.log().contains(new));
}

#[tokio::test]
async fn what_a_recorder_said_of_the_password_is_forgotten_when_the_poll_can_log_in() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let said = Rejection {
        version: None,
        since: "2026-11-21T05:00:00Z".parse().unwrap(),
        by: "recorder".into(),
        locked_until: None,
    };
    credentials::reject(&cloud.tables, &said).await.unwrap();
    let poller = poller(&cloud, gateway.api_url()).await;
    assert_eq!(poll(&poller).await["PollFailed"], 0.0);
    assert_eq!(credentials::rejected(&cloud.tables).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_said_of_a_newer_password_stays_though_the_old_one_still_lets_the_poll_in() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let poller = poller(&cloud, gateway.api_url()).await;
    assert_eq!(poll(&poller).await["PollFailed"], 0.0);
    let said = Rejection {
        version: Some(2),
        since: "2026-11-21T05:00:00Z".parse().unwrap(),
        by: "health check".into(),
        locked_until: None,
    };
    cloud.put_password(WRONG).await;
    credentials::reject(&cloud.tables, &said).await.unwrap();
    assert_eq!(poll(&poller).await["PollFailed"], 0.0);
    assert_eq!(credentials::rejected(&cloud.tables).await.unwrap(), Some(said));
    assert_eq!(gateway.requests().rejected, 0);
}

/// Lets so much time pass for the try whose answer was lost.
async fn let_pass(cloud: &Cloud, time: SignedDuration) {
    let mut item = cloud.tables.get_control(TRIES).await.unwrap().unwrap();
    item.value["triedAt"] = json!(Timestamp::now() - time);
    let put = cloud.tables.put_control(TRIES, &item.value, Some(item.version));
    assert_eq!(put.await.unwrap(), Put::Written);
}

#[tokio::test]
async fn a_login_whose_answer_is_lost_is_a_try_for_which_everybody_waits() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let cut = Operation::ApiFault {
        fault: ApiFault::Reset,
        path: None,
        calls: None,
    };
    gateway.control().apply(cut).unwrap();
    for wait in [SignedDuration::from_secs(20), SignedDuration::from_mins(4)] {
        let before = gateway.requests().granted;
        // Another environment each time, which knows nothing but what is written.
        let poller = poller(&cloud, gateway.api_url()).await;
        assert_eq!(poll(&poller).await["PollFailed"], 1.0);
        assert_eq!(
            gateway.requests().granted,
            before + 1,
            "it was let in, but never heard so"
        );
        let asked = gateway.requests().total();
        let_pass(&cloud, wait).await;
        let waits = poll(&poller).await;
        let why = waits["report"]["failure"].as_str().unwrap();
        assert!(why.contains("did not say whether the password is right"), "{why}");
        assert_eq!(gateway.requests().total(), asked, "it is not asked");
        let_pass(&cloud, wait * 2).await;
    }
    gateway.control().apply(Operation::ClearApiFaults).unwrap();
    let poller = poller(&cloud, gateway.api_url()).await;
    assert_eq!(poll(&poller).await["PollFailed"], 0.0);
    let tries = cloud.tables.get_control(TRIES).await.unwrap().unwrap();
    assert_eq!(
        (&tries.value["accepted"], &tries.value["unanswered"]),
        (&json!(true), &json!(0))
    );
}

#[tokio::test]
async fn the_stacks_own_gateway_is_found_where_the_control_item_says_it_is() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let poller = poller(&cloud, String::new()).await;
    let lost = poll(&poller).await;
    assert_eq!(lost["PollFailed"], 1.0);
    assert!(
        lost["report"]["failure"]
            .as_str()
            .unwrap()
            .contains("control item `gateway`"),
        "{lost}"
    );

    let whereabouts = json!({"instanceId": "i-1", "endpoint": gateway.api_url()});
    let put = cloud
        .tables
        .put_control("gateway", &whereabouts, None)
        .await
        .unwrap();
    assert_eq!(put, Put::Written);
    assert_eq!(poll(&poller).await["Devices"], 2.0);
}

#[tokio::test]
async fn any_event_makes_it_poll() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let poller = poller(&cloud, gateway.api_url()).await;
    for event in [json!(null), json!([1, "x"]), json!({"Records": 5})] {
        assert_eq!(
            poller.report(event, "poll").await.pop().unwrap()["PollFailed"],
            0.0
        );
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_a_failed_poll_and_no_failed_invocation() {
    let cloud = Cloud::start().await;
    cloud.put_password("any").await;
    let poller = poller(&cloud, "http://127.0.0.1:9".to_owned()).await;
    assert_eq!(poller.invoke(scheduled()).await, Ok(Value::Null));
    let polls = poller.report(scheduled(), "poll").await;
    assert_eq!(
        polls
            .iter()
            .map(|poll| poll["PollFailed"].as_f64())
            .collect::<Vec<_>>(),
        [Some(1.0); 2]
    );
    let told = poller.alerts();
    assert!(
        told.len() == 1 && told[0].starts_with("critical poll: the device list could not be read"),
        "told after two: {told:?}"
    );
}
