//! The client against a gateway that behaves as documented, in all its habits and with all its troubles.

mod admin;
mod drift;
mod faults;
mod https;
mod lists;
mod login;
mod streams;
mod subscriptions;
mod system;

use isapi::{Client, Config};
use simulator::scenario::{ChannelSpec, DeviceSpec, DeviceStatus, GatewaySpec};
use simulator::{Scenario, Simulator};

/// The cameras of [`world`].
const CAMERA: &str = "38941127-49B5-44B3-84FC-219747AFF04E";
const NVR: &str = "e1554db43f60465d82cf45d3740a3d92";
const DOZER: &str = "D0000000-0000-0000-0000-000000000003";
const DOOR: &str = "D0000000-0000-0000-0000-000000000004";

/// A camera, an NVR with gaps in its ids, a sleeper, and a door terminal that is offline and has no video.
fn world(gateway: GatewaySpec) -> Scenario {
    let nvr = [ChannelSpec::new(1), ChannelSpec::new("2"), ChannelSpec::new(5)];
    let door = DeviceSpec {
        kind: simulator::scenario::DeviceKind::AccessControl,
        ..DeviceSpec::camera(DOOR, "Tür 門 🚪")
    };
    let devices = [
        DeviceSpec::camera(CAMERA, "DASHCAM").with_channels([ChannelSpec::new(1)]),
        DeviceSpec::camera(NVR, "NVR").with_channels(nvr),
        DeviceSpec::camera(DOZER, "DOZER")
            .with_channels([ChannelSpec::new(1)])
            .with_status(DeviceStatus::Sleep, None),
        door.with_status(DeviceStatus::Offline, Some(1)),
    ];
    Scenario {
        gateway,
        ..Scenario::with_devices(devices)
    }
    .api_only()
}

/// The same with every habit at its default.
fn usual_world() -> Scenario {
    world(GatewaySpec::default())
}

/// A client with the right password, and these changes to the usual limits.
fn client_of(gateway: &Simulator, change: impl FnOnce(&mut Config)) -> Client {
    let url = gateway.api_url().parse().unwrap();
    let mut config = Config::new(url, gateway.username(), gateway.password().into());
    change(&mut config);
    Client::new(config).unwrap()
}

/// A gateway and its client.
async fn start(scenario: Scenario) -> (Simulator, Client) {
    let gateway = Simulator::start(scenario).await.unwrap();
    let client = client_of(&gateway, |_| {});
    (gateway, client)
}
