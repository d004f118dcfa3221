//! The listener as Lambda runs it: its own process, a simulated gateway, emulated tables and topic.
#![allow(clippy::unwrap_used)]

use domain::ChannelKey;
use domain::ports::EpisodesTable;
use jiff::Timestamp;
use lambda::harness::{Cloud, Function};
use serde_json::{Value, json};
use simulator::scenario::{DeviceSpec, DeviceStatus};
use simulator::{Operation, Scenario, Simulator};
use std::time::Duration;

const CAMERA: &str = "A0000000-0000-0000-0000-000000000001";

/// Half of it is kept for the last store.
const INVOCATION: Duration = Duration::from_secs(16);

async fn gateway() -> Simulator {
    let camera = DeviceSpec::camera(CAMERA, "one");
    Simulator::start(Scenario::with_devices([camera]).api_only())
        .await
        .unwrap()
}

async fn listener(cloud: &Cloud, gateway: &Simulator) -> Function {
    let sns = aws_sdk_sns::Client::new(cloud.sdk());
    let topic = sns.create_topic().name(&cloud.stack).send().await.unwrap();
    let mut environment = cloud.environment();
    environment.extend([
        ("MILLRACE_GATEWAY_ENDPOINT", gateway.api_url()),
        ("MILLRACE_GATEWAY_PASSWORD_PARAMETER", cloud.parameter()),
        ("MILLRACE_POLL_TOPIC", topic.topic_arn.unwrap()),
    ]);
    Function::start(env!("CARGO_BIN_EXE_event-listener"), &environment).await
}

fn scheduled() -> Value {
    json!({"detail-type": "Scheduled Event"})
}

#[tokio::test]
async fn of_two_that_listen_an_alarm_becomes_one_episode_and_a_device_that_comes_asks_for_a_poll() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    let (old, new) = (listener(&cloud, &gateway).await, listener(&cloud, &gateway).await);
    let happen = async {
        let both_listen = async {
            while gateway.control().state().subscriptions < 2 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let listening = tokio::time::timeout(INVOCATION, both_listen).await;
        listening.expect("both subscribe");
        let motion = Operation::SendEvent {
            device: CAMERA.to_owned(),
            channel: Some(1.into()),
            kind: "VMD".to_owned(),
            active: true,
            description: "Motion".to_owned(),
        };
        let offline = Operation::SetStatus {
            device: CAMERA.to_owned(),
            status: DeviceStatus::Offline,
            hint: None,
        };
        for operation in [motion.clone(), offline, motion] {
            gateway.control().apply(operation).unwrap();
        }
    };
    let (first, second, ()) = tokio::join!(
        old.invoke_within(scheduled(), INVOCATION),
        new.invoke_within(scheduled(), INVOCATION),
        happen
    );
    assert_eq!((first, second), (Ok(Value::Null), Ok(Value::Null)));

    let key = ChannelKey::new(CAMERA, "1");
    let rows = cloud
        .tables
        .list_episodes(&key, Timestamp::MIN, Timestamp::MAX)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].reason, "alarm: motion");
    let reports: Vec<Value> = [&old, &new]
        .iter()
        .filter_map(|one| one.events("events").pop())
        .collect();
    assert_eq!(reports.len(), 2);
    let begun: f64 = reports
        .iter()
        .filter_map(|report| report["AlarmEpisodes"].as_f64())
        .sum();
    assert_eq!(begun as u32, 1, "{reports:?}");
    for report in &reports {
        // When the stream began, and when the device went.
        assert!(report["report"]["polls"].as_u64().unwrap() >= 1, "{report}");
        assert_eq!(report["EventsRefused"], 0.0);
    }
    assert!(!(old.log() + &new.log()).contains(gateway.password()));
}

#[tokio::test]
async fn a_gateway_that_forwards_no_alarms_ends_the_run_at_once() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password(gateway.password()).await;
    gateway
        .control()
        .apply(Operation::SetAlarmForwarding { on: false })
        .unwrap();
    let listener = listener(&cloud, &gateway).await;
    let event = listener.report(scheduled(), "events").await.pop().unwrap();
    assert_eq!(event["EventsRefused"], 1.0);
    let why = event["report"]["refused"].as_str().unwrap();
    assert!(why.contains("alarm forwarding is off"), "{why}");
}

#[tokio::test]
async fn a_rejected_password_is_tried_once() {
    let (gateway, cloud) = (gateway().await, Cloud::start().await);
    cloud.put_password("wrong-password-7431").await;
    let listener = listener(&cloud, &gateway).await;
    for _ in 0..3 {
        let event = listener.report(scheduled(), "events").await.pop().unwrap();
        assert_eq!(event["EventsRefused"], 1.0, "{event}");
    }
    assert_eq!(gateway.requests().rejected, 1);
    assert!(!listener.log().contains("wrong-password-7431"));
}
