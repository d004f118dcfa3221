//! The first gateway, and what is kept right of the one in office.

use super::rig::Rig;
use crate::stack::{INITIAL, WANTED, let_restarts_be_over};
use domain::recover::{MEMORY, Memory, REQUEST, ROLE, Request, Role};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

fn minutes_ago(minutes: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(minutes)
}

/// Every event comes twice, to two processes at once; the gateway boots with the initial password.
#[tokio::test]
async fn a_first_gateway_is_launched_once_set_up_and_announced_though_every_event_comes_twice() {
    let rig = Rig::start([127, 61, 1], INITIAL).await;
    let nobody_for_two_minutes = Memory {
        astray_since: Some(minutes_ago(2)),
        ..Memory::default()
    };
    rig.write(MEMORY, &nobody_for_two_minutes).await;
    let (one, two) = (rig.recovery(&[]).await, rig.recovery(&[]).await);
    let mut events = Vec::new();
    while !events
        .iter()
        .any(|event: &Value| event["RecoverySeconds"].is_f64())
    {
        assert!(events.len() < 200, "it does not end: {:#?}", events.last());
        let (first, second) = tokio::join!(rig.round(&one), rig.round(&two));
        events.extend([first, second]);
        let_restarts_be_over(rig.cloud()).await;
    }

    let instances = rig.instances().await;
    assert_eq!(instances.len(), 1, "{instances:?}");
    let role: Role = rig.read(ROLE).await.unwrap();
    assert_eq!(role.endpoint, rig.gateway().api_url());
    assert_eq!(rig.holder().await, Some(role.instance_id));
    assert_eq!(rig.gateway().control().state().gateway_name, "Millrace");
    assert_eq!(rig.gateway().requests().rejected, 1, "the wanted password, once");
    assert!(rig.logs_in_with(WANTED).await && !rig.logs_in_with(INITIAL).await);

    let ended: Vec<&Value> = events
        .iter()
        .filter(|event| event["ReplacementFailed"].is_f64())
        .collect();
    assert_eq!(ended.len(), 1, "one of the two ends it");
    assert_eq!(ended[0]["ReplacementFailed"].as_f64(), Some(0.0));
    assert!(ended[0]["RecoverySeconds"].as_f64().unwrap() >= 120.0);
    let log = one.log() + &two.log();
    assert!(
        log.contains("the gateway was replaced from the base image"),
        "{log}"
    );
    assert!(!log.contains(WANTED) && !log.contains(INITIAL));
}

#[tokio::test]
async fn drift_of_the_gateway_in_office_is_put_right_told_and_counted() {
    let rig = Rig::start([127, 61, 2], WANTED).await;
    rig.take_office().await;
    let recovery = rig.recovery(&[("MILLRACE_GATEWAY_NAME", "Gate North")]).await;
    let mut drift = Vec::new();
    while rig.gateway().control().state().gateway_name != "Gate North" {
        assert!(drift.len() < 20, "it is never named");
        drift.push(rig.round(&recovery).await["GatewayDrift"].as_f64().unwrap());
    }
    assert!(drift.iter().sum::<f64>() >= 1.0, "{drift:?}");
    let told = recovery.alerts().join("\n");
    assert!(
        told.contains(": the gateway was not configured as wanted") && told.contains("Gate North"),
        "{told}"
    );
}

#[tokio::test]
async fn a_drill_is_asked_for_once_though_its_event_comes_twice() {
    let rig = Rig::start([127, 61, 3], WANTED).await;
    rig.take_office().await;
    let recovery = rig.recovery(&[]).await;
    let drill = || recovery.report(json!({"drill": true}), "recover");
    drill().await;
    let first: Request = rig.read(REQUEST).await.unwrap();
    assert!(first.drill);
    drill().await;
    assert_eq!(rig.read::<Request>(REQUEST).await, Some(first));
    assert!(recovery.log().contains("no drill is asked for so soon"));
}

#[tokio::test]
async fn what_cannot_be_seen_is_counted_and_changes_nothing() {
    let rig = Rig::start([127, 61, 4], WANTED).await;
    rig.take_office().await;
    let recovery = rig
        .recovery(&[("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9")])
        .await;
    let before = rig.read::<Memory>(MEMORY).await;
    let event = rig.round(&recovery).await;
    assert_eq!(event["RecoverFailed"].as_f64(), Some(1.0), "{event}");
    assert!(event["ImageAgeSeconds"].is_null());
    assert_eq!(rig.read::<Memory>(MEMORY).await, before);
}
