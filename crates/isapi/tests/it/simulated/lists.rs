use super::{CAMERA, DOOR, DOZER, NVR, client_of, start, usual_world, world};
use domain::ports::Gateway;
use domain::{Device, DeviceKind, DeviceStatus, OfflineHint};
use isapi::{InconsistentList, IsapiError};
use simulator::scenario::{EmptyList, GatewaySpec, generated_index};
use simulator::{Scenario, Simulator};

const DEVICE_LIST: &str = "POST /ISAPI/ContentMgmt/DeviceMgmt/deviceList";

#[tokio::test]
async fn devices_of_all_kinds_and_states_are_listed_with_their_names() {
    let (_gateway, client) = start(usual_world()).await;
    let device = |index: &str, name: &str, kind, status, video_channels| Device {
        index: index.into(),
        name: name.to_owned(),
        kind,
        status,
        video_channels,
    };
    let offline = DeviceStatus::Offline(OfflineHint::WrongKey);
    let expected = [
        device(CAMERA, "DASHCAM", DeviceKind::Encoder, DeviceStatus::Online, 1),
        device(NVR, "NVR", DeviceKind::Encoder, DeviceStatus::Online, 3),
        device(DOZER, "DOZER", DeviceKind::Encoder, DeviceStatus::Sleep, 1),
        device(DOOR, "Tür 門 🚪", DeviceKind::AccessControl, offline, 0),
    ];
    assert_eq!(Gateway::devices(&client).await.unwrap(), expected);
}

#[tokio::test]
async fn a_thousand_devices_are_ten_requests() {
    let (gateway, client) = start(Scenario::generated(1000, 1).api_only()).await;
    let devices = client.devices().await.unwrap();
    let expected: Vec<_> = (1..=1000).map(generated_index).collect();
    assert!(
        devices
            .iter()
            .map(|device| device.index.as_str())
            .eq(expected.iter().map(String::as_str))
    );
    assert_eq!(gateway.requests().total(), 11, "ten pages and one challenge");
    client.devices().await.unwrap();
    assert_eq!(
        (gateway.requests().total(), gateway.requests().of(DEVICE_LIST)),
        (21, 21)
    );
}

#[tokio::test]
async fn every_habit_of_a_build_is_borne() {
    let usual = GatewaySpec::default;
    let builds = [
        GatewaySpec {
            require_search_id: true,
            ..usual()
        },
        GatewaySpec {
            require_filter: true,
            require_filter_protocols: true,
            ..usual()
        },
        GatewaySpec {
            bare_response_status: true,
            ..usual()
        },
        GatewaySpec {
            empty_list: EmptyList::Absent,
            ..usual()
        },
        GatewaySpec {
            empty_list: EmptyList::Empty,
            ..usual()
        },
    ];
    for build in builds {
        let (_gateway, client) = start(world(build)).await;
        assert_eq!(client.devices().await.unwrap().len(), 4);
        assert_eq!(client.channels(&DOOR.into()).await.unwrap(), []);
    }
}

#[tokio::test]
async fn an_empty_gateway_is_an_empty_list_however_it_is_written() {
    for empty_list in [EmptyList::Null, EmptyList::Absent, EmptyList::Empty] {
        let gateway = GatewaySpec {
            empty_list,
            ..GatewaySpec::default()
        };
        let (_gateway, client) = start(
            Scenario {
                gateway,
                ..Scenario::default()
            }
            .api_only(),
        )
        .await;
        assert_eq!(client.devices().await.unwrap(), []);
    }
}

#[tokio::test]
async fn channel_ids_are_taken_as_they_are_however_they_are_spelt() {
    let (_gateway, client) = start(usual_world()).await;
    let channels = Gateway::channels(&client, &NVR.into()).await.unwrap();
    let ids: Vec<_> = channels.iter().map(|channel| channel.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "5"]);
    assert_eq!(channels[2].name, "Channel 5");
    let unknown = client.channels(&"nobody".into()).await;
    assert!(
        matches!(unknown, Err(IsapiError::NoSuchDevice { .. })),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_build_that_caps_its_pages_is_refused_until_pages_are_asked_for_that_it_can_fill() {
    let spec = GatewaySpec {
        page_max: 30,
        ..GatewaySpec::default()
    };
    let scenario = Scenario {
        gateway: spec,
        ..Scenario::generated(70, 1).api_only()
    };
    let gateway = Simulator::start(scenario).await.unwrap();
    let result = client_of(&gateway, |_| {}).devices().await;
    let Err(IsapiError::Inconsistent { source, .. }) = result else {
        panic!("{result:?}");
    };
    assert_eq!(
        source,
        InconsistentList::ShortPage {
            position: 0,
            entries: 30,
            asked: 100,
            total: 70
        }
    );
    let client = client_of(&gateway, |config| config.devices_per_page = 30);
    assert_eq!(client.devices().await.unwrap().len(), 70);
}
