use crate::client::{Client, TIME, USER_CHECK, start};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulator::scenario::generated_index;
use simulator::{Operation, Scenario, Simulator};
use std::time::{Duration, Instant};

const DEVICE_INFO: &str = "/ISAPI/System/deviceInfo?format=json";
const PLATFORM: &str = "/ISAPI/System/Network/PortMaps/contentMgmt?format=json";
const DEVICES: &str = "/ISAPI/System/Network/PortMaps/devMgmt?format=json";
const REBOOT: &str = "/ISAPI/System/reboot?format=json";

#[tokio::test]
async fn the_gateway_has_a_name_that_can_be_changed() {
    let (_simulator, mut client) = start(Scenario::default()).await;
    assert_eq!(
        client.get(DEVICE_INFO).await.json()["DeviceInfo"]["model"],
        "DS-GWAS0101"
    );
    let name = |name: &str| json!({"DeviceInfo": {"deviceName": name}});
    assert_eq!(
        client
            .put(DEVICE_INFO, name("Werk 2"))
            .await
            .status_field("statusCode"),
        1
    );
    assert_eq!(
        client.put(DEVICE_INFO, name("")).await.status_field("statusCode"),
        6
    );
    assert_eq!(
        client.get(DEVICE_INFO).await.json()["DeviceInfo"]["deviceName"],
        "Werk 2"
    );
}

async fn gateway_time(client: &mut Client) -> (Timestamp, String) {
    let time = client.get(TIME).await.json()["Time"].clone();
    let text = time["localTime"].as_str().unwrap().to_owned();
    (text.parse().unwrap(), text)
}

#[tokio::test]
async fn the_clock_can_be_set_by_hand_and_put_right_by_ntp() {
    let (_simulator, mut client) = start(Scenario::default()).await;
    let (shown, text) = gateway_time(&mut client).await;
    assert!(text.ends_with("+00:00"));
    assert!(shown.duration_since(Timestamp::now()).abs() < SignedDuration::from_secs(30));

    let manual = json!({"Time": {"localTime": "2021-10-26T09:47:25+08:00", "timeMode": "manual"}});
    assert_eq!(client.put(TIME, manual).await.status_field("statusCode"), 1);
    let (shown, text) = gateway_time(&mut client).await;
    assert!(
        text.starts_with("2021-10-26T09:4") && text.ends_with("+08:00"),
        "{text}"
    );
    let set: Timestamp = "2021-10-26T01:47:25Z".parse().unwrap();
    assert!(shown >= set && shown.duration_since(set) < SignedDuration::from_secs(60));

    let ntp = json!({"Time": {"timeMode": "NTP"}});
    assert_eq!(client.put(TIME, ntp).await.status_field("statusCode"), 1);
    let (shown, text) = gateway_time(&mut client).await;
    assert!(text.ends_with("+08:00"), "the offset stays: {text}");
    assert!(shown.duration_since(Timestamp::now()).abs() < SignedDuration::from_secs(30));
    let without_offset = json!({"Time": {"localTime": "2021-10-26T09:47:25", "timeMode": "manual"}});
    assert_eq!(
        client.put(TIME, without_offset).await.status_field("statusCode"),
        6
    );
}

#[tokio::test]
async fn a_port_map_must_bring_back_every_field_it_had() {
    let (simulator, mut client) = start(Scenario::default()).await;
    for uri in [PLATFORM, DEVICES] {
        let map = client.get(uri).await.json();
        assert_eq!(client.put(uri, map).await.status_field("statusCode"), 1, "{uri}");
    }
    let map = client.get(DEVICES).await.json();
    let list = map["DevPortMaps"]["PortList"].as_array().unwrap();
    assert_eq!(list.len(), 7);
    assert!(list[2].get("Range").is_some() && list[3].get("Single").is_some());

    let mut lost = map.clone();
    lost["DevPortMaps"]
        .as_object_mut()
        .unwrap()
        .remove("keepAliveInterval");
    let mut changed = map.clone();
    changed["DevPortMaps"]["PortList"][2]["Range"]["transport"] = json!("udp");
    let mut shorter = map.clone();
    shorter["DevPortMaps"]["PortList"].as_array_mut().unwrap().pop();
    let mut other_type = map.clone();
    other_type["DevPortMaps"]["enabled"] = json!("true");
    for bad in [lost, changed, shorter, other_type] {
        assert_eq!(client.put(DEVICES, bad).await.status_field("statusCode"), 6);
    }
    assert_eq!(simulator.control().state().port_maps_refused, 4);
    assert_eq!(
        client.get(DEVICES).await.json(),
        map,
        "a refused map changes nothing"
    );
}

async fn live_url(client: &mut Client) -> String {
    let uri = format!(
        "/ISAPI/System/streamMedia?format=json&devIndex={}",
        generated_index(1)
    );
    let body = json!({"StreamInfo": {"id": "1", "streamType": "main", "method": "preview"}});
    let answer = client.post(&uri, body).await;
    answer.json()["MediaAccessInfo"]["URL"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Waits until the gateway answers again, and returns the connections that were refused meanwhile.
async fn wait_for_return(client: &mut Client) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut refused = 0;
    loop {
        match client.send(Method::GET, USER_CHECK, None).await {
            Ok(response) => {
                assert_eq!(response.status(), StatusCode::OK);
                return refused;
            }
            Err(error) if error.is_connect() => refused += 1,
            Err(_cut_while_closing) => {}
        }
        assert!(Instant::now() < deadline, "the gateway does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn quick_reboot() -> Scenario {
    let mut scenario = Scenario::generated(1, 1);
    scenario.gateway.reboot_seconds = 1.5;
    scenario
}

#[tokio::test]
async fn a_reboot_goes_away_comes_back_on_the_same_port_and_applies_the_port_map() {
    let (simulator, mut client) = start(quick_reboot()).await;
    let mut map = client.get(PLATFORM).await.json();
    map["MgmtPortMaps"]["enabled"] = json!(true);
    map["MgmtPortMaps"]["AddrList"][0]["externalIPAddress"] = json!("203.0.113.7");
    map["MgmtPortMaps"]["PortList"][2]["externalPort"] = json!(10_554);
    assert_eq!(client.put(PLATFORM, map).await.status_field("statusCode"), 1);
    assert!(
        live_url(&mut client).await.starts_with("rtsp://127.0.0.1:"),
        "not before the reboot"
    );

    let answer = client.put(REBOOT, Value::Null).await;
    assert_eq!(
        answer.status_field("statusCode"),
        1,
        "the reboot itself is answered"
    );
    let refused = wait_for_return(&mut client).await;
    assert!(refused > 0, "connections are refused meanwhile");
    assert!(
        live_url(&mut client)
            .await
            .starts_with("rtsp://203.0.113.7:10554/dac/")
    );
    assert!(!simulator.control().state().rebooting);
}

#[tokio::test]
async fn a_reboot_during_a_reboot_changes_nothing() {
    let (simulator, mut client) = start(quick_reboot()).await;
    let control = simulator.control();
    control.apply(Operation::Reboot).unwrap();
    control.apply(Operation::Reboot).unwrap();
    assert!(control.state().rebooting);
    wait_for_return(&mut client).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(client.get(USER_CHECK).await.status, StatusCode::OK);
    assert!(!control.state().rebooting);
}

#[tokio::test]
async fn a_port_map_can_ask_for_a_reboot_in_its_answer() {
    let mut scenario = Scenario::default();
    scenario.gateway.reboot_required = true;
    let (_simulator, mut client) = start(scenario).await;
    let map = client.get(PLATFORM).await.json();
    assert_eq!(client.put(PLATFORM, map).await.status_field("statusCode"), 7);
}

#[tokio::test]
async fn what_is_not_asked_for_as_json_or_does_not_exist_is_refused() {
    let (_simulator, mut client) = start(Scenario::default()).await;
    assert_eq!(
        client.get("/ISAPI/System/time").await.status_field("statusCode"),
        6
    );
    let unknown = client.get("/ISAPI/System/nothing?format=json").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let malformed = client
        .http
        .put(format!("{}{TIME}", client.base))
        .header("Authorization", {
            client.count += 1;
            client.authorization("PUT", TIME, client.count)
        })
        .body("{\"Time\": {")
        .send()
        .await
        .unwrap();
    assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
    assert!(malformed.text().await.unwrap().contains("badJsonFormat"));
}

#[tokio::test]
async fn nothing_listens_after_a_shutdown() {
    let (simulator, client) = start(Scenario::default()).await;
    let control = simulator.control_url();
    assert!(client.http.get(format!("{control}/state")).send().await.is_ok());
    Simulator::shutdown(simulator).await;
    for url in [format!("{}{TIME}", client.base), format!("{control}/state")] {
        assert!(client.http.get(url).send().await.is_err());
    }
}
