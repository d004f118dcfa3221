//! A gateway that was in order and is not any more, and one that is in trouble while it is set up.

use super::admin::{WANTED, admin, policy, settled};
use super::{CAMERA, client_of, world};
use domain::fakes::{FakeTables, Weather};
use domain::id::ChannelKey;
use domain::ports::{Connect, Gateway, GatewayAdmin, PortError};
use domain::setup::{Standing, set_up};
use isapi::{Admin, Client, Config, Connector, Fingerprint, TimeMode, Tls};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use simulator::scenario::GatewaySpec;
use simulator::{ApiFault, Operation, Simulator};

const REBOOT: &str = "PUT /ISAPI/System/reboot";

/// A gateway that has been set up, and what is remembered of it.
struct Site {
    gateway: Simulator,
    admin: Admin,
    tables: FakeTables,
    /// Somebody else with the password.
    somebody: Client,
}

impl Site {
    async fn set_up() -> Self {
        let gateway = Simulator::start(world(quick())).await.unwrap();
        let admin = admin(&gateway, WANTED, gateway.password());
        let tables = FakeTables::new(Weather::calm());
        let (standing, _) = settled(&admin, &tables).await;
        assert!(matches!(standing, Standing::InOrder(_)), "{standing:?}");
        let somebody = client_of(&gateway, |config| config.password = WANTED.into());
        Self {
            gateway,
            admin,
            tables,
            somebody,
        }
    }

    /// Puts the drift right, which must be one change with these words and so many reboots.
    async fn repaired(&self, words: &str, reboots: u64) {
        let before = self.gateway.requests();
        let (standing, changed) = settled(&self.admin, &self.tables).await;
        assert!(matches!(standing, Standing::InOrder(_)), "{words}: {standing:?}");
        assert_eq!(changed.len(), 1, "{words}: {changed:?}");
        assert!(changed[0].contains(words), "{words}: {changed:?}");
        let after = self.gateway.requests();
        assert_eq!(after.of(REBOOT) - before.of(REBOOT), reboots, "{words}");
        assert_eq!(
            writes(&after.calls) - writes(&before.calls),
            1 + reboots,
            "{words}"
        );
        assert_eq!(after.rejected, 1, "the wanted password, once, at the first boot");
        assert_eq!(self.gateway.control().state().port_maps_refused, 0);
    }
}

fn quick() -> GatewaySpec {
    GatewaySpec {
        reboot_seconds: 0.5,
        ..GatewaySpec::default()
    }
}

fn writes(calls: &std::collections::BTreeMap<String, u64>) -> u64 {
    let writes = calls.iter().filter(|(call, _)| call.starts_with("PUT "));
    writes.map(|(_, count)| count).sum()
}

#[tokio::test]
async fn another_name_is_put_right_without_a_restart() {
    let site = Site::set_up().await;
    site.somebody.set_device_name("by hand").await.unwrap();
    site.repaired("it is named `by hand`", 0).await;
    assert_eq!(site.gateway.control().state().gateway_name, "Millrace");
}

#[tokio::test]
async fn another_time_zone_a_clock_that_runs_wrong_and_another_keeper_are_put_right_without_a_restart() {
    let site = Site::set_up().await;
    let right = site.somebody.time().await.unwrap();
    let mut zone = right.clone();
    zone.utc_offset = Offset::constant(-5);
    site.somebody.set_time(&zone).await.unwrap();
    site.repaired("UTC-05", 0).await;

    let mut late = right.clone();
    late.instant -= SignedDuration::from_hours(1);
    site.somebody.set_time(&late).await.unwrap();
    site.repaired("-36", 0).await;

    let mut by_server = right;
    by_server.mode = TimeMode::Ntp;
    site.somebody.set_time(&by_server).await.unwrap();
    site.repaired("kept by a time server", 0).await;

    let time = site.somebody.time().await.unwrap();
    assert_eq!(
        (time.utc_offset, time.mode),
        (Offset::constant(2), TimeMode::Manual)
    );
    let off = time.instant.duration_since(Timestamp::now()).abs();
    assert!(off < SignedDuration::from_mins(1), "{off:#}");
}

#[tokio::test]
async fn platform_ports_that_are_off_elsewhere_or_renumbered_are_put_right_and_in_force() {
    let site = Site::set_up().await;
    let key = ChannelKey::new(CAMERA, "1");
    for drift in ["not mapped", "198.51.100.9", "under other numbers"] {
        let mut map = site.somebody.platform_port_map().await.unwrap();
        match drift {
            "not mapped" => map.map.enabled = false,
            "198.51.100.9" => map.map.addresses[0].external_ip_address = drift.into(),
            _ => map.map.ports[2].external_port = 10_554,
        }
        site.somebody.set_platform_port_map(&map).await.unwrap();
        site.repaired(drift, 1).await;
        let url = site.somebody.live_url(&key).await.unwrap();
        assert!(
            url.contains("203.0.113.7") && !url.contains("10554"),
            "{drift}: {url}"
        );
    }
}

#[tokio::test]
async fn device_ports_that_are_off_or_renumbered_are_put_right() {
    let site = Site::set_up().await;
    for drift in ["off", "a port", "a range"] {
        let mut map = site.somebody.device_port_map().await.unwrap();
        match drift {
            "off" => map.map.enabled = false,
            "a port" => map.map.ports[0].single.as_mut().unwrap().external_port = 17_660,
            _ => map.map.ports[2].range.as_mut().unwrap().max_external_port = 16_000,
        }
        site.somebody.set_device_port_map(&map).await.unwrap();
        let words = if drift == "off" {
            "not mapped"
        } else {
            "under other numbers"
        };
        site.repaired(words, 1).await;
        let map = site.somebody.device_port_map().await.unwrap().map;
        let range = map.ports[2].range.as_ref().unwrap();
        assert!(map.enabled && range.max_external_port == 17_000, "{drift}");
    }
}

#[tokio::test]
async fn alarm_forwarding_switched_off_is_reported_at_every_look_and_nothing_is_written() {
    let site = Site::set_up().await;
    site.gateway
        .control()
        .apply(Operation::SetAlarmForwarding { on: false })
        .unwrap();
    let before = writes(&site.gateway.requests().calls);
    for _ in 0..3 {
        let now = Timestamp::now();
        let report = set_up(&policy(), "it", &site.admin, &site.tables, now).await;
        assert!(matches!(report.standing, Ok(Standing::InOrder(_))), "{report:?}");
        assert!(
            report.by_hand[0].contains("alarm forwarding is off"),
            "{report:?}"
        );
    }
    assert_eq!(writes(&site.gateway.requests().calls), before);
}

#[tokio::test]
async fn a_password_that_somebody_changed_is_tried_once_and_never_again() {
    let site = Site::set_up().await;
    let password = "Somebody-else-1".to_owned();
    site.gateway
        .control()
        .apply(Operation::SetPassword { password })
        .unwrap();
    for _ in 0..10 {
        let (standing, _) = settled(&site.admin, &site.tables).await;
        assert!(matches!(standing, Standing::NeedsPerson(_)), "{standing:?}");
    }
    let rejected = site.gateway.requests().rejected;
    assert_eq!(rejected, 3, "at the first boot, and then each password once");
}

#[tokio::test]
async fn a_locked_account_is_asked_once_and_again_when_the_lock_is_over() {
    let site = Site::set_up().await;
    site.gateway
        .control()
        .apply(Operation::Lock { seconds: 600 })
        .unwrap();
    for _ in 0..10 {
        let (standing, _) = settled(&site.admin, &site.tables).await;
        assert!(matches!(standing, Standing::NeedsPerson(_)), "{standing:?}");
    }
    assert_eq!(site.gateway.requests().locked, 1);
    site.gateway.control().apply(Operation::Unlock).unwrap();
    let later = Timestamp::now() + SignedDuration::from_mins(11);
    let report = set_up(&policy(), "it", &site.admin, &site.tables, later).await;
    assert!(
        matches!(report.standing, Ok(Standing::InOrder(_) | Standing::Underway(_))),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_reboot_that_takes_long_is_asked_for_once() {
    let spec = GatewaySpec {
        reboot_seconds: 6.0,
        reboot_required: true,
        ..GatewaySpec::default()
    };
    let gateway = Simulator::start(world(spec)).await.unwrap();
    let admin = admin(&gateway, WANTED, gateway.password());
    let (standing, changed) = settled(&admin, &FakeTables::new(Weather::calm())).await;
    assert!(matches!(standing, Standing::InOrder(_)), "{standing:?}");
    assert_eq!(changed.len(), 5, "{changed:?}");
    assert_eq!(
        (gateway.requests().of(REBOOT), gateway.requests().rejected),
        (1, 1)
    );
}

#[tokio::test]
async fn troubles_on_the_way_end_with_a_gateway_in_order_and_port_maps_in_force() {
    let troubles = [
        (ApiFault::Reset, "reboot"),
        (ApiFault::DeviceBusy, "reboot"),
        (ApiFault::Reset, "PortMaps/contentMgmt"),
        (ApiFault::Garbage, "Security/users"),
        (ApiFault::TruncatedJson, "System/time"),
        (ApiFault::Status { code: 502 }, "deviceInfo"),
    ];
    for (fault, path) in troubles {
        let gateway = Simulator::start(world(quick())).await.unwrap();
        let name = format!("{fault:?} at {path}");
        let fault = Operation::ApiFault {
            fault,
            path: Some(path.into()),
            calls: Some(1),
        };
        gateway.control().apply(fault).unwrap();
        let admin = admin(&gateway, WANTED, gateway.password());
        let (standing, _) = settled(&admin, &FakeTables::new(Weather::calm())).await;
        assert!(matches!(standing, Standing::InOrder(_)), "{name}: {standing:?}");
        assert!(
            gateway.requests().rejected <= 2,
            "{name}: {:?}",
            gateway.requests()
        );
        let client = client_of(&gateway, |config| config.password = WANTED.into());
        let url = client.live_url(&ChannelKey::new(CAMERA, "1")).await.unwrap();
        assert!(url.contains("203.0.113.7"), "{name}: {url}");
    }
}

#[tokio::test]
async fn setup_over_https_trusts_the_pinned_certificate_and_no_other() {
    let spec = GatewaySpec { tls: true, ..quick() };
    let gateway = Simulator::start(world(spec)).await.unwrap();
    let pinned = |pin: Fingerprint| {
        let url = gateway.api_url();
        let mut config = Config::new(url.parse().unwrap(), gateway.username(), WANTED.into());
        config.tls = Tls::PinnedFingerprint(pin);
        let connector = Connector::new(config, Some(gateway.password().into()));
        connector.connect(&url).unwrap()
    };
    let tables = FakeTables::new(Weather::calm());
    let stranger = pinned(Fingerprint([7; 32]));
    let refused = set_up(&policy(), "it", &stranger, &tables, Timestamp::now()).await;
    let refused = refused.standing;
    assert!(matches!(refused, Err(PortError::Refused { .. })), "{refused:?}");
    assert_eq!(gateway.requests().total(), 0, "no password was sent");

    let known = pinned(gateway.certificate().unwrap().fingerprint.parse().unwrap());
    let (standing, changed) = settled(&known, &tables).await;
    assert!(matches!(standing, Standing::InOrder(_)), "{standing:?}");
    assert_eq!(changed.len(), 5, "{changed:?}");
    let configuration = known.configuration().await.unwrap();
    assert_eq!(configuration.name, "Millrace");
}
