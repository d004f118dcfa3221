use crate::client::{Client, DEVICE_LIST, entries, start};
use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::scenario::{
    ChannelSpec, DeviceKind, DeviceSpec, DeviceStatus, EmptyList, GatewaySpec, Protocol,
};
use simulator::{Operation, Scenario};
use std::collections::BTreeSet;

/// A camera, an NVR with channels 1, 2 and "5", a door terminal that is offline and a sleeping solar camera.
fn zoo() -> Scenario {
    let door = DeviceSpec {
        kind: DeviceKind::AccessControl,
        protocol: Protocol::Isapi,
        ..DeviceSpec::camera("E1554DB43F60465D82CF45D3740A3D92", "FACIAL1")
    };
    Scenario::with_devices([
        DeviceSpec::camera("38941127-49B5-44B3-84FC-219747AFF04E", "Kamera Süd 南門 🎥")
            .with_channels([ChannelSpec::new(1)]),
        DeviceSpec::camera("00000000-0000-0000-0000-0000000000AA", "NVR").with_channels([
            ChannelSpec::new(1),
            ChannelSpec::new(2),
            ChannelSpec::new("5"),
        ]),
        door.with_status(DeviceStatus::Offline, Some(3)),
        DeviceSpec::camera("00000000-0000-0000-0000-0000000000BB", "Solar")
            .with_status(DeviceStatus::Sleep, None),
    ])
}

async fn filtered(client: &mut Client, filter: Value) -> Vec<String> {
    let body = json!({"SearchDescription": {"position": 0, "maxResult": 100, "Filter": filter}});
    let page = client.post(DEVICE_LIST, body).await.json()["SearchResult"].clone();
    entries(&page)
        .iter()
        .map(|device| device["devName"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_list_shows_devices_as_documented() {
    let (_simulator, mut client) = start(zoo()).await;
    let page = client.page(0, 100).await;
    assert_eq!(
        (&page["numOfMatches"], &page["totalMatches"]),
        (&json!(4), &json!(4))
    );
    let devices = entries(&page);
    assert_eq!(devices[0]["devName"], "Kamera Süd 南門 🎥");
    assert_eq!(devices[0]["devStatus"], "online");
    assert!(
        devices[0].get("offlineHint").is_none(),
        "only an offline device has a hint"
    );
    assert_eq!(devices[1]["videoChannelNum"], 3);
    assert_eq!(devices[2]["devType"], "AccessControl");
    assert_eq!(devices[2]["protocolType"], "ISAPI");
    assert_eq!(
        (&devices[2]["devStatus"], &devices[2]["offlineHint"]),
        (&json!("offline"), &json!(3))
    );
    assert_eq!(devices[3]["devStatus"], "sleep");
}

#[tokio::test]
async fn a_filter_narrows_the_list() {
    let (_simulator, mut client) = start(zoo()).await;
    let online = json!({"protocolType": ["ehomeV5"], "devStatus": ["online"]});
    assert_eq!(filtered(&mut client, online).await, ["Kamera Süd 南門 🎥", "NVR"]);
    let doors = json!({"devType": "AccessControl"});
    assert_eq!(filtered(&mut client, doors).await, ["FACIAL1"]);
    let key = json!({"key": "Sol", "devStatus": ["sleep", "offline"]});
    assert_eq!(filtered(&mut client, key).await, ["Solar"]);
    assert_eq!(
        filtered(&mut client, json!({"protocolType": ["ehome"]})).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_thousand_devices_are_ten_pages_each_device_once() {
    let (simulator, mut client) = start(Scenario::generated(1000, 1)).await;
    let mut seen = BTreeSet::new();
    let mut position = 0;
    loop {
        let page = client.page(position, 100).await;
        let devices = entries(&page);
        position += devices.len();
        seen.extend(
            devices
                .iter()
                .map(|device| device["devIndex"].as_str().unwrap().to_owned()),
        );
        if position >= page["totalMatches"].as_u64().unwrap() as usize {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    let challenged = simulator.requests().challenged;
    let lists = simulator
        .requests()
        .of("POST /ISAPI/ContentMgmt/DeviceMgmt/deviceList");
    assert_eq!((lists - challenged, challenged), (10, 1));
}

#[tokio::test]
async fn a_page_is_never_larger_than_the_gateway_makes_them() {
    let mut scenario = Scenario::generated(7, 1);
    scenario.gateway.page_max = 3;
    let (_simulator, mut client) = start(scenario).await;
    assert_eq!(client.names(0, 100).await.len(), 3);
    assert_eq!(client.names(6, 100).await, ["Camera 0007"]);
    let beyond = client.page(7, 100).await;
    assert_eq!(
        (&beyond["numOfMatches"], &beyond["totalMatches"]),
        (&json!(0), &json!(7))
    );
    assert!(beyond["MatchList"].is_null());
}

#[tokio::test]
async fn an_empty_list_is_null_absent_or_empty_as_builds_differ() {
    for (habit, expected) in [
        (EmptyList::Null, Some(Value::Null)),
        (EmptyList::Absent, None),
        (EmptyList::Empty, Some(json!([]))),
    ] {
        let mut scenario = Scenario::default();
        scenario.gateway.empty_list = habit;
        let (_simulator, mut client) = start(scenario).await;
        assert_eq!(client.page(0, 10).await.get("MatchList").cloned(), expected);
    }
}

#[tokio::test]
async fn builds_that_want_more_in_a_search_refuse_less() {
    let mut scenario = zoo();
    scenario.gateway = GatewaySpec {
        require_search_id: true,
        require_filter: true,
        require_filter_protocols: true,
        ..GatewaySpec::default()
    };
    let (_simulator, mut client) = start(scenario).await;
    let search = |extra: Value| {
        let mut search = json!({"position": 0, "maxResult": 5});
        search
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({ "SearchDescription": search })
    };
    let protocols = json!({"protocolType": ["ehomeV5"]});
    for (extra, expected) in [
        (json!({}), StatusCode::BAD_REQUEST),
        (json!({"searchID": "1"}), StatusCode::BAD_REQUEST),
        (json!({"searchID": "1", "Filter": {}}), StatusCode::BAD_REQUEST),
        (json!({"searchID": "1", "Filter": protocols}), StatusCode::OK),
    ] {
        assert_eq!(client.post(DEVICE_LIST, search(extra)).await.status, expected);
    }
}

#[tokio::test]
async fn channels_are_listed_with_the_ids_as_they_are() {
    let (_simulator, mut client) = start(zoo()).await;
    let uri = |index: &str| format!("/ISAPI/ContentMgmt/DeviceMgmt/channelInfo?format=json&devIndex={index}");
    let info = client
        .get(&uri("00000000-0000-0000-0000-0000000000AA"))
        .await
        .json();
    let ids: Vec<_> = info["ChannelInfo"]["VideoChannel"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["Channel"]["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1), json!(2), json!("5")]);
    let none = client.get(&uri("E1554DB43F60465D82CF45D3740A3D92")).await.json();
    assert_eq!(none, json!({"ChannelInfo": {"VideoChannel": null}}));
    let unknown = client.get(&uri("nobody")).await;
    assert_eq!(unknown.status_field("subStatusCode"), "theDeviceIdDoesNotExist");
    let missing = client
        .get("/ISAPI/ContentMgmt/DeviceMgmt/channelInfo?format=json")
        .await;
    assert_eq!(missing.status_field("statusCode"), 6);
}

#[tokio::test]
async fn refusals_can_hide_in_an_ok_and_without_their_outer_object() {
    let mut scenario = zoo();
    scenario.gateway.errors_in_200 = true;
    scenario.gateway.bare_response_status = true;
    let (_simulator, mut client) = start(scenario).await;
    let answer = client
        .get("/ISAPI/ContentMgmt/DeviceMgmt/channelInfo?format=json&devIndex=x")
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["statusCode"], 4);
    assert_eq!(answer.json()["subStatusCode"], "theDeviceIdDoesNotExist");
}

#[tokio::test]
async fn devices_come_go_and_change_while_the_gateway_runs() {
    let (simulator, mut client) = start(Scenario::generated(2, 1)).await;
    let control = simulator.control();
    control
        .apply(Operation::AddDevice {
            device: DeviceSpec::camera("NEW", "third"),
        })
        .unwrap();
    control
        .apply(Operation::RenameDevice {
            device: "NEW".to_owned(),
            name: "3rd".to_owned(),
        })
        .unwrap();
    let first = simulator::scenario::generated_index(1);
    control
        .apply(Operation::RemoveDevice {
            device: first.clone(),
        })
        .unwrap();
    assert_eq!(client.names(0, 10).await, ["Camera 0002", "3rd"]);
    control
        .apply(Operation::SetChannels {
            device: "NEW".to_owned(),
            channels: vec![ChannelSpec::new(1), ChannelSpec::new(4)],
        })
        .unwrap();
    assert_eq!(entries(&client.page(0, 10).await)[1]["videoChannelNum"], 2);
    assert!(control.apply(Operation::RemoveDevice { device: first }).is_err());
}

#[tokio::test]
async fn a_flap_of_two_lists_shows_in_all_pages_of_exactly_two_lists() {
    let mut scenario = Scenario::generated(3, 1);
    scenario.gateway.page_max = 2;
    let (simulator, mut client) = start(scenario).await;
    let device = simulator::scenario::generated_index(3);
    simulator
        .control()
        .apply(Operation::Flap { device, lists: 2 })
        .unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        client.page(0, 2).await;
        statuses.push(entries(&client.page(2, 2).await)[0]["devStatus"].clone());
    }
    assert_eq!(statuses, ["offline", "offline", "online"]);
}
