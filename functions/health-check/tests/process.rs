//! The health check as Lambda runs it: its own process, a simulated gateway, emulated tables and parameters.
#![allow(clippy::unwrap_used)]

use domain::channel::{ChannelRow, DeviceState, Revision};
use domain::ports::{ChannelsTable, Put};
use domain::{ChannelKey, RecordingSettings};
use jiff::{SignedDuration, Timestamp};
use lambda::harness::{Cloud, Function};
use serde_json::{Value, json};
use simulator::scenario::DeviceSpec;
use simulator::{Scenario, Simulator};

async fn checker(cloud: &Cloud, endpoint: String) -> Function {
    let mut environment = cloud.environment();
    environment.extend([
        ("MILLRACE_GATEWAY_ENDPOINT", endpoint),
        ("MILLRACE_GATEWAY_PASSWORD_PARAMETER", cloud.parameter()),
    ]);
    Function::start(env!("CARGO_BIN_EXE_health-check"), &environment).await
}

async fn check(checker: &Function) -> Value {
    let event = json!({"detail-type": "Scheduled Event"});
    checker.report(event, "check").await.pop().unwrap()
}

async fn gateway() -> Simulator {
    let camera = DeviceSpec::camera("A0000000-0000-0000-0000-000000000001", "one");
    Simulator::start(Scenario::with_devices([camera]).api_only())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_gateway_that_answers_and_a_channel_without_segments_are_measured() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let row = ChannelRow {
        key: ChannelKey::new("A", "1"),
        media_url: "rtsp://gateway/A1".into(),
        device_name: String::new(),
        channel_name: String::new(),
        state: DeviceState::Present,
        device_channels: 1,
        listed_channels: 1,
        wanted_since: Timestamp::now() - SignedDuration::from_hours(1),
        settings: RecordingSettings::default(),
        revision: Revision(1),
    };
    assert_eq!(cloud.tables.put_channel(&row, None).await.unwrap(), Put::Written);
    let checker = checker(&cloud, gateway.api_url()).await;
    let event = check(&checker).await;
    assert_eq!(
        (event["GatewayAnswered"].as_f64(), event["ChannelsStale"].as_f64()),
        (Some(1.0), Some(1.0)),
        "{event}"
    );
    assert!(event["ArchiveStaleSeconds"].as_f64().unwrap() >= 3600.0);
    check(&checker).await;
    let log = checker.log();
    assert!(
        log.contains("alert: 1 of 1 channels") && log.contains("A/1"),
        "{log}"
    );
    assert!(!log.contains(gateway.password()));
}

#[tokio::test]
async fn a_silent_gateway_is_measured_and_no_failed_invocation() {
    let cloud = Cloud::start().await;
    cloud.put_password("any").await;
    let event = check(&checker(&cloud, "http://127.0.0.1:9".to_owned()).await).await;
    assert_eq!(event["GatewayAnswered"].as_f64(), Some(0.0), "{event}");
    assert_eq!(event["ChannelsStale"].as_f64(), Some(0.0));
}

#[tokio::test]
async fn a_gateway_that_rejects_the_password_answers_and_is_then_left_alone() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password("wrong-password").await;
    let checker = checker(&cloud, gateway.api_url()).await;
    let first = check(&checker).await;
    assert_eq!(first["GatewayAnswered"].as_f64(), Some(1.0), "{first}");
    for _ in 0..3 {
        let event = check(&checker).await;
        assert!(event["GatewayAnswered"].is_null(), "{event}");
        assert_eq!(event["GatewayRequests"].as_f64(), Some(0.0));
    }
    assert_eq!(gateway.requests().rejected, 1);
}
