use crate::client::start;
use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::scenario::{DeviceStatus, generated_index};
use simulator::{Operation, Scenario};
use std::time::Duration;

#[tokio::test]
async fn operations_and_state_travel_over_http_as_json() {
    let (simulator, client) = start(Scenario::generated(2, 1)).await;
    let url = simulator.control_url();
    let post = |body: Value| client.http.post(format!("{url}/control")).json(&body).send();
    let offline = json!({"op": "set-status", "device": generated_index(1), "status": "offline", "hint": 2});
    assert_eq!(post(offline).await.unwrap().status(), StatusCode::OK);
    let frozen = json!({"op": "stream-fault", "device": generated_index(2), "fault": "freeze"});
    assert_eq!(post(frozen).await.unwrap().status(), StatusCode::OK);
    let slow = json!({"op": "api-fault", "fault": {"kind": "slow", "ms": 5}, "calls": 3});
    assert_eq!(post(slow).await.unwrap().status(), StatusCode::OK);

    let state: Value = client
        .http
        .get(format!("{url}/state"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(state["devices"][0]["status"], "offline");
    assert_eq!(state["devices"][1]["channels"][0]["fault"], "freeze");
    assert_eq!(state["api-faults"][0]["calls-left"], 3);
    assert!(!state.to_string().contains(simulator.password()));
}

#[tokio::test]
async fn what_is_impossible_is_refused_with_a_reason_and_changes_nothing() {
    let (simulator, client) = start(Scenario::generated(1, 1)).await;
    let url = simulator.control_url();
    let known = generated_index(1);
    for body in [
        json!({"op": "explode"}),
        json!({"op": "flap", "device": "nobody", "lists": 1}),
        json!({"op": "flap", "device": known, "lists": 1, "typo": 2}),
        json!({"op": "move-stream", "device": known, "channel": 7}),
        json!({"op": "set-video", "device": known, "channel": 1, "video": {"width": 333}}),
        json!({"op": "add-device", "device": {"index": known, "name": "twice"}}),
        json!({"op": "stream-fault", "device": known, "fault": {"stutter": {"loss": 2.0}}}),
    ] {
        let response = client
            .http
            .post(format!("{url}/control"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let answer: Value = response.json().await.unwrap();
        assert!(!answer["error"].as_str().unwrap().is_empty());
    }
    assert_eq!(simulator.control().state().devices.len(), 1);
}

#[tokio::test]
async fn two_channels_are_never_given_the_same_path() {
    let (simulator, _client) = start(Scenario::default()).await;
    let add = |index: &str, channel: u32| {
        let device = simulator::scenario::DeviceSpec::camera(index, "x")
            .with_channels([simulator::scenario::ChannelSpec::new(channel)]);
        simulator.control().apply(Operation::AddDevice { device })
    };
    add("A1", 1).unwrap();
    let error = add("A", 11).unwrap_err();
    assert!(error.to_string().contains("`A11`"), "{error}");
}

#[tokio::test]
async fn the_timeline_happens_by_itself_in_the_order_of_its_seconds() {
    let scenario: Scenario = r#"
        api-only = true
        [generated]
        devices = 1
        [[timeline]]
        at-seconds = 0.2
        operation = { op = "rename-device", device = "00000001-5EED-4000-8000-000000000001", name = "second" }
        [[timeline]]
        at-seconds = 0.1
        operation = { op = "rename-device", device = "00000001-5EED-4000-8000-000000000001", name = "first" }
        [[timeline]]
        at-seconds = 0.15
        operation = { op = "set-status", device = "00000001-5EED-4000-8000-000000000001", status = "sleep" }
        [[timeline]]
        at-seconds = 0.12
        operation = { op = "remove-device", device = "nobody" }
    "#
    .parse()
    .unwrap();
    let (simulator, _client) = start(scenario).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while simulator.control().state().devices[0].name != "second" {
        assert!(std::time::Instant::now() < deadline, "the timeline stands still");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(simulator.control().state().devices[0].status, DeviceStatus::Sleep);
}
