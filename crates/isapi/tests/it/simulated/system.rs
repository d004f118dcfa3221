use super::{CAMERA, client_of, start, usual_world, world};
use domain::id::ChannelKey;
use domain::ports::{Gateway, PortError};
use isapi::{Applied, Client, ExternalAddress, StreamHost, TimeMode};
use jiff::{SignedDuration, Timestamp};
use serde_json::Map;
use simulator::Simulator;
use simulator::scenario::GatewaySpec;
use std::time::Duration;

#[tokio::test]
async fn the_gateway_says_who_it_is_and_takes_a_name() {
    let (gateway, client) = start(usual_world()).await;
    let info = client.device_info().await.unwrap();
    assert_eq!(
        (info.name.as_str(), info.model.as_str()),
        ("Simulated gateway", "DS-GWAS0101")
    );
    assert_eq!(client.set_device_name("Tor 門").await.unwrap(), Applied::Now);
    assert_eq!(client.device_info().await.unwrap().name, "Tor 門");
    assert_eq!(gateway.control().state().gateway_name, "Tor 門");
}

#[tokio::test]
async fn the_clock_is_read_and_set_with_its_offset() {
    let spec = GatewaySpec {
        utc_offset_minutes: 330,
        ..GatewaySpec::default()
    };
    let (_gateway, client) = start(world(spec)).await;
    let mut time = client.time().await.unwrap();
    assert_eq!(time.utc_offset.seconds(), 330 * 60);
    let error = time.instant.duration_since(Timestamp::now()).abs();
    assert!(error < SignedDuration::from_secs(60), "{error:#}");

    time.instant += SignedDuration::from_hours(48);
    time.mode = TimeMode::Manual;
    client.set_time(&time).await.unwrap();
    let later = client.time().await.unwrap();
    assert!(later.instant.duration_since(Timestamp::now()) > SignedDuration::from_hours(47));
    assert_eq!(
        (later.mode, later.utc_offset),
        (TimeMode::Manual, time.utc_offset)
    );
}

#[tokio::test]
async fn port_maps_travel_back_with_everything_in_them() {
    let (gateway, client) = start(usual_world()).await;
    let mut platform = client.platform_port_map().await.unwrap();
    assert!(
        !platform.map.other.is_empty(),
        "the simulator sends fields no document names"
    );
    platform.map.enabled = true;
    platform.map.addresses[0].external_ip_address = "203.0.113.7".to_owned();
    client.set_platform_port_map(&platform).await.unwrap();
    assert_eq!(client.platform_port_map().await.unwrap(), platform);

    let mut devices = client.device_port_map().await.unwrap();
    assert_eq!(devices.map.ports.len(), 7);
    devices.map.enabled = true;
    devices.map.ports[2].range.as_mut().unwrap().max_external_port = 16_000;
    client.set_device_port_map(&devices).await.unwrap();
    assert_eq!(client.device_port_map().await.unwrap(), devices);
    assert_eq!(gateway.control().state().port_maps_refused, 0);
}

#[tokio::test]
async fn a_map_that_lost_a_field_would_be_noticed() {
    let (gateway, client) = start(usual_world()).await;
    let mut platform = client.platform_port_map().await.unwrap();
    platform.map.other = Map::new();
    platform.map.addresses.push(ExternalAddress {
        external_ip_address: "x".to_owned(),
        other: Map::new(),
    });
    client.set_platform_port_map(&platform).await.unwrap_err();
    assert_eq!(gateway.control().state().port_maps_refused, 1);
}

#[tokio::test]
async fn a_change_that_needs_a_reboot_says_so() {
    let spec = GatewaySpec {
        reboot_required: true,
        ..GatewaySpec::default()
    };
    let (_gateway, client) = start(world(spec)).await;
    let map = client.platform_port_map().await.unwrap();
    assert_eq!(
        client.set_platform_port_map(&map).await.unwrap(),
        Applied::AfterReboot
    );
}

#[tokio::test]
async fn a_reboot_takes_the_gateway_away_and_the_same_client_finds_it_again_without_losing_a_try() {
    let spec = GatewaySpec {
        reboot_seconds: 1.0,
        ..GatewaySpec::default()
    };
    let gateway = Simulator::start(world(spec)).await.unwrap();
    let client = client_of(&gateway, |config| config.request_timeout = Duration::from_secs(5));
    let mut map = client.platform_port_map().await.unwrap();
    map.map.enabled = true;
    map.map.addresses[0].external_ip_address = "203.0.113.7".to_owned();
    client.set_platform_port_map(&map).await.unwrap();
    let key = ChannelKey::new(CAMERA, "1");
    assert!(!client.live_url(&key).await.unwrap().contains("203.0.113.7"));

    client.reboot().await.unwrap();
    let gone = until(&client, |look| matches!(look, Err(PortError::Unknown { .. }))).await;
    assert!(gone, "the gateway never went away");
    let back = until(&client, Result::is_ok).await;
    assert!(back, "the gateway never came back");
    assert!(client.live_url(&key).await.unwrap().contains("203.0.113.7"));
    let neighbour = client_of(&gateway, |config| config.stream_host = StreamHost::OfBaseUrl);
    let beside = format!("rtsp://{}/", gateway.rtsp_addr());
    assert!(neighbour.live_url(&key).await.unwrap().starts_with(&beside));
    assert_eq!(gateway.requests().rejected, 0);
}

/// Looks again and again until a look is as wanted; false when it is not within half a minute.
async fn until(client: &Client, wanted: impl Fn(&Result<(), PortError>) -> bool) -> bool {
    for _ in 0..600 {
        let look = client
            .check_login()
            .await
            .map_err(|error| error.into_port("looking"));
        if wanted(&look) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
