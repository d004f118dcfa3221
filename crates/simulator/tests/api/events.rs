use crate::client::{Client, start};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use simulator::scenario::{ChannelSpec, DeviceSpec, DeviceStatus};
use simulator::{Control, Operation, Scenario};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SUBSCRIBE: &str = "/ISAPI/Event/notification/subscribeDeviceMgmt?format=json";

/// The parts of an event stream, cut at the boundary as they arrive.
struct Parts {
    response: Response,
    buffer: String,
}

impl Parts {
    /// The JSON of the next part; none when the stream ended in peace.
    async fn next(&mut self) -> reqwest::Result<Option<Value>> {
        loop {
            if let Some((head, rest)) = self.buffer.split_once("\r\n\r\n")
                && let Some((json, after)) = rest.split_once("\r\n")
            {
                assert!(head.starts_with("--MIME_boundary\r\nContent-Type: application/json"));
                let event = serde_json::from_str(json).expect("a part is JSON");
                self.buffer = after.to_owned();
                return Ok(Some(event));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(30), self.response.chunk())
                .await
                .expect("an event within 30 s")?;
            let Some(chunk) = chunk else {
                return Ok(None);
            };
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next alert of a type.
    async fn alert(&mut self, kind: &str) -> Value {
        loop {
            let part = self.next().await.unwrap().expect("the stream goes on");
            let alert = part["EventNotificationAlert"].clone();
            if alert["eventType"] == kind {
                return alert;
            }
        }
    }
}

async fn try_subscribe(client: &mut Client) -> Response {
    let body = json!({"SubscribeDeviceMgmt": {"eventMode": "all", "defenceMode": "all"}});
    client.send(Method::POST, SUBSCRIBE, Some(body)).await.unwrap()
}

/// Subscribes and reads the greeting; returns the subscription's id too.
async fn subscribe(client: &mut Client) -> (Parts, String) {
    let response = try_subscribe(client).await;
    assert_eq!(response.status(), StatusCode::OK);
    let kind = response.headers()["Content-Type"].to_str().unwrap();
    assert_eq!(kind, "multipart/mixed; boundary=MIME_boundary");
    let mut parts = Parts {
        response,
        buffer: String::new(),
    };
    let greeting = parts.next().await.unwrap().expect("a greeting");
    let id = greeting["SubscribeDeviceMgmtRsp"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    (parts, id)
}

fn one_camera() -> Scenario {
    let camera = DeviceSpec::camera("CAM", "Gate").with_channels([ChannelSpec::new(1)]);
    Scenario::with_devices([camera])
}

fn motion(control: &Control) {
    let event = Operation::SendEvent {
        device: "CAM".to_owned(),
        channel: Some(1.into()),
        kind: "VMD".to_owned(),
        active: true,
        description: "Motion alarm".to_owned(),
    };
    control.apply(event).unwrap();
}

#[tokio::test]
async fn subscribers_hear_of_alarms_and_of_devices_that_change() {
    let (simulator, mut client) = start(one_camera()).await;
    let (mut parts, _id) = subscribe(&mut client).await;
    motion(&simulator.control());
    let alert = parts.alert("VMD").await;
    assert_eq!(
        (&alert["devIndex"], &alert["channelID"]),
        (&json!("CAM"), &json!(1))
    );
    assert_eq!(alert["eventState"], "active");
    let offline = Operation::SetStatus {
        device: "CAM".to_owned(),
        status: DeviceStatus::Offline,
        hint: Some(3),
    };
    simulator.control().apply(offline).unwrap();
    let alert = parts.alert("devStatusChanged").await;
    assert_eq!(
        (&alert["devIndex"], &alert["devStatus"]),
        (&json!("CAM"), &json!("offline"))
    );
}

#[tokio::test]
async fn heartbeats_come_by_themselves_until_they_are_silenced() {
    let mut scenario = one_camera();
    scenario.gateway.heartbeat_seconds = 0.1;
    scenario.gateway.event_part_lengths = false;
    let (simulator, mut client) = start(scenario).await;
    let (mut parts, _id) = subscribe(&mut client).await;
    for _ in 0..3 {
        parts.alert("heartBeat").await;
    }
    let control = simulator.control();
    control.apply(Operation::SilenceHeartbeats { on: true }).unwrap();
    motion(&control);
    parts.alert("VMD").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    motion(&control);
    let next = parts.next().await.unwrap().unwrap();
    assert_eq!(
        next["EventNotificationAlert"]["eventType"], "VMD",
        "nothing in between"
    );
    control.apply(Operation::SilenceHeartbeats { on: false }).unwrap();
    parts.alert("heartBeat").await;
}

#[tokio::test]
async fn without_alarm_forwarding_nobody_subscribes() {
    let mut scenario = one_camera();
    scenario.gateway.alarm_forwarding = false;
    let (simulator, mut client) = start(scenario).await;
    assert_eq!(try_subscribe(&mut client).await.status(), StatusCode::FORBIDDEN);
    simulator
        .control()
        .apply(Operation::SetAlarmForwarding { on: true })
        .unwrap();
    subscribe(&mut client).await;
}

#[tokio::test]
async fn an_ended_subscription_ends_in_peace_and_a_cut_one_does_not() {
    let (simulator, mut client) = start(one_camera()).await;
    let (mut parts, id) = subscribe(&mut client).await;
    let uri = format!("/ISAPI/Event/notification/unSubscribeDeviceMgmt/{id}?format=json");
    let answer = client.call(Method::DELETE, &uri, None).await;
    assert_eq!(answer.status_field("statusCode"), 1);
    assert_eq!(parts.next().await.unwrap(), None);
    let again = client.call(Method::DELETE, &uri, None).await;
    assert_eq!(again.status_field("statusCode"), 6);

    let (mut parts, _id) = subscribe(&mut client).await;
    simulator.control().apply(Operation::CutEvents).unwrap();
    assert!(
        parts.next().await.is_err(),
        "the connection is cut within the body"
    );
}

#[tokio::test]
async fn a_reboot_cuts_subscriptions_and_forgets_them() {
    let mut scenario = one_camera();
    scenario.gateway.reboot_seconds = 0.1;
    let (simulator, mut client) = start(scenario).await;
    let (mut parts, _id) = subscribe(&mut client).await;
    assert_eq!(simulator.control().state().subscriptions, 1);
    simulator.control().apply(Operation::Reboot).unwrap();
    assert!(parts.next().await.is_err());
    assert_eq!(simulator.control().state().subscriptions, 0);
}

#[tokio::test]
async fn a_subscriber_that_hangs_up_is_forgotten() {
    let (simulator, mut client) = start(one_camera()).await;
    let (parts, _id) = subscribe(&mut client).await;
    drop(parts);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while simulator.control().state().subscriptions > 0 {
        assert!(std::time::Instant::now() < deadline, "still subscribed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn alarm_hosts_and_subscriptions_exclude_each_other() {
    let (simulator, mut client) = start(one_camera()).await;
    let uri = "/ISAPI/Event/notification/httpHosts?format=json&devIndex=CAM";
    let host = json!({"HttpHostNotification": {"id": "1", "url": "http://192.0.2.1/alarm"}});
    let (parts, _id) = subscribe(&mut client).await;
    let refused = client.post(uri, host.clone()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    drop(parts);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while client.post(uri, host.clone()).await.status != StatusCode::OK {
        assert!(std::time::Instant::now() < deadline, "still refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(simulator.control().state().alarm_hosts["CAM"].len(), 1);
    assert_eq!(try_subscribe(&mut client).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_device_with_an_alarm_host_posts_its_alarms_there() {
    let (simulator, mut client) = start(one_camera()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/alarm", listener.local_addr().unwrap());
    let uri = "/ISAPI/Event/notification/httpHosts?format=json&devIndex=CAM";
    let host = json!({"HttpHostNotification": {"id": "1", "url": url}});
    assert_eq!(client.post(uri, host).await.status_field("statusCode"), 1);
    motion(&simulator.control());

    let (mut stream, _device) = listener.accept().await.unwrap();
    let mut request = String::new();
    while !request.ends_with("}}") {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        assert_ne!(length, 0, "cut off: {request}");
        request.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /alarm HTTP/1.1"), "{head}");
    let alert: Value = serde_json::from_str(body).unwrap();
    assert_eq!(alert["EventNotificationAlert"]["eventType"], "VMD");
}
