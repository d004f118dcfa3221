//! What a check sees and says of a gateway that others run.

use crate::rig::{REBOOT, check, elsewhere, gateway, remember_looks};
use domain::ladder::Rung;
use jiff::{SignedDuration, Timestamp};
use lambda::harness::Cloud;
use serde_json::{Value, json};
use simulator::scenario::DeviceStatus;
use std::time::Duration;

#[tokio::test]
async fn a_gateway_that_answers_and_a_channel_without_segments_are_measured() {
    let (gateway, cloud) = (gateway(DeviceStatus::Online).await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let an_hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    cloud.want("A", an_hour_ago).await;
    let checker = elsewhere(&cloud, &gateway.api_url(), &[]).await;
    let event = check(&checker).await;
    let metric = |name: &str| event[name].as_f64();
    assert_eq!(
        (metric("GatewayAnswered"), metric("ChannelsStale")),
        (Some(1.0), Some(1.0)),
        "{event}"
    );
    assert_eq!(
        (metric("GatewayIll"), metric("RepairStep"), metric("CheckFailed")),
        (Some(0.0), Some(0.0), Some(0.0)),
        "{event}"
    );
    assert!(metric("ArchiveStaleSeconds").unwrap() >= 3600.0);
    assert_eq!(event["report"]["gateway"]["look"]["endpoint"]["is"], "well");
    check(&checker).await;
    let told = checker.alerts().join("\n");
    assert!(
        told.contains(": 1 of 1 channels") && told.contains("A/1"),
        "{told}"
    );
    assert!(!checker.log().contains(gateway.password()));
}

#[tokio::test]
async fn a_silent_gateway_is_measured_and_no_failed_invocation() {
    let cloud = Cloud::start().await;
    cloud.put_password("any").await;
    let event = check(&elsewhere(&cloud, "http://127.0.0.1:9", &[]).await).await;
    assert_eq!(event["GatewayAnswered"].as_f64(), Some(0.0), "{event}");
    assert_eq!(event["GatewayIll"].as_f64(), Some(1.0), "{event}");
    assert_eq!(event["ChannelsStale"].as_f64(), Some(0.0));
}

#[tokio::test]
async fn a_gateway_that_rejects_the_password_answers_and_is_then_left_alone() {
    let (gateway, cloud) = (gateway(DeviceStatus::Online).await, Cloud::start().await);
    cloud.put_password("wrong-password").await;
    let checker = elsewhere(&cloud, &gateway.api_url(), &[]).await;
    let first = check(&checker).await;
    assert_eq!(first["GatewayAnswered"].as_f64(), Some(1.0), "{first}");
    let told = checker.alerts().join("\n");
    assert!(told.contains(": the gateway does not let us in"), "{told}");
    for _ in 0..3 {
        let event = check(&checker).await;
        assert!(event["GatewayAnswered"].is_null(), "{event}");
        assert_eq!(event["GatewayRequests"].as_f64(), Some(0.0));
        assert_eq!(event["RepairStep"].as_f64(), Some(0.0));
    }
    assert_eq!(gateway.requests().rejected, 1);
    assert_eq!(gateway.requests().of(REBOOT), 0);
    cloud.put_password(gateway.password()).await;
    let event = check(&checker).await;
    assert_eq!(event["report"]["gateway"]["look"]["endpoint"]["is"], "well");
}

#[tokio::test]
async fn a_password_that_cannot_be_had_is_said_and_tried_on_nobody() {
    let (gateway, cloud) = (gateway(DeviceStatus::Online).await, Cloud::start().await);
    let checker = elsewhere(&cloud, &gateway.api_url(), &[]).await;
    let event = check(&checker).await;
    assert_eq!(event["report"]["gateway"]["look"]["endpoint"]["is"], "shut-out");
    assert!(checker.log().contains(&cloud.parameter()), "{event}");
    assert_eq!(gateway.requests().total(), 0);
}

#[tokio::test]
async fn cameras_that_are_all_away_restart_the_software_once_however_often_the_event_comes() {
    let (gateway, cloud) = (gateway(DeviceStatus::Offline).await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    remember_looks(&cloud, &gateway.api_url(), 2).await;
    let checker = elsewhere(&cloud, &gateway.api_url(), &[]).await;
    let event = check(&checker).await;
    assert_eq!(event["RepairStep"].as_f64(), Some(1.0), "{event}");
    assert_eq!(
        event["report"]["gateway"]["step"],
        serde_json::to_value(Rung::Restart).unwrap()
    );
    for _ in 0..2 {
        assert_eq!(check(&checker).await["RepairStep"].as_f64(), Some(0.0));
    }
    assert_eq!(gateway.requests().of(REBOOT), 2);
    assert!(checker.log().contains("Now: restart its software"));
}

#[tokio::test]
async fn nothing_is_done_where_nothing_may_be() {
    let (gateway, cloud) = (gateway(DeviceStatus::Offline).await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    remember_looks(&cloud, &gateway.api_url(), 2).await;
    let only_tell = [("MILLRACE_REPAIR_UP_TO", "nothing".to_owned())];
    let checker = elsewhere(&cloud, &gateway.api_url(), &only_tell).await;
    let event = check(&checker).await;
    assert_eq!(event["report"]["gateway"]["action"], Value::Null, "{event}");
    assert!(checker.log().contains("No repair is allowed"));
    assert_eq!(gateway.requests().of(REBOOT), 0);
}

#[tokio::test]
async fn a_gateway_there_is_no_time_for_is_not_called_silent() {
    let cloud = Cloud::start().await;
    cloud.put_password("any").await;
    let checker = elsewhere(&cloud, "http://127.0.0.1:9", &[]).await;
    let limit = Duration::from_secs(20);
    let events = checker.report_within(json!({}), "check", limit).await;
    assert_eq!(events[0]["CheckFailed"].as_f64(), Some(1.0), "{events:?}");
    assert!(events[0]["GatewayAnswered"].is_null());
    assert_eq!(
        events[0]["ChannelsStale"].as_f64(),
        Some(0.0),
        "the archive was looked at"
    );
}
