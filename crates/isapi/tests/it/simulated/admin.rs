//! Setup of a gateway over its API, from its first boot on.

use super::{start, usual_world, world};
use domain::fakes::{FakeTables, Weather};
use domain::ports::{Connect, Credential, GatewayAdmin, LogIn, PortError};
use domain::setup::{SetupPolicy, Standing, Wanted, WantedClock, set_up};
use isapi::{Admin, Config, Connector};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use simulator::scenario::GatewaySpec;
use simulator::{ApiFault, Operation, Simulator};
use std::time::Duration;
use tokio::net::TcpListener;

pub(super) const WANTED: &str = "the wanted password";

pub(super) fn admin(gateway: &Simulator, wanted: &str, initial: &str) -> Admin {
    admin_at(&gateway.api_url(), Duration::from_secs(5), wanted, initial)
}

fn admin_at(url: &str, patience: Duration, wanted: &str, initial: &str) -> Admin {
    let mut config = Config::new(url.parse().unwrap(), "admin", wanted.into());
    config.request_timeout = patience;
    Connector::new(config, Some(initial.into())).connect(url).unwrap()
}

pub(super) fn policy() -> SetupPolicy {
    SetupPolicy {
        wanted: Wanted {
            name: Some("Millrace".into()),
            clock: Some(WantedClock {
                utc_offset: Offset::constant(2),
                ntp: false,
            }),
            external_address: Some("203.0.113.7".into()),
        },
        initial_password_version: Some(1),
        restart_wait: SignedDuration::ZERO,
        ..SetupPolicy::default()
    }
}

/// Runs setup until it is in order or needs a person.
pub(super) async fn settled(admin: &Admin, tables: &FakeTables) -> (Standing, Vec<String>) {
    let mut changed = Vec::new();
    let mut last = String::new();
    for _ in 0..600 {
        let report = set_up(&policy(), "it", admin, tables, Timestamp::now()).await;
        changed.extend(report.changed);
        match report.standing {
            Err(error) => last = error.chain(),
            Ok(Standing::Underway(why)) => last = why,
            Ok(standing @ (Standing::InOrder(_) | Standing::NeedsPerson(_))) => return (standing, changed),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("setup did not settle: {last}, {changed:?}");
}

#[tokio::test]
async fn a_first_boot_is_set_up_once_and_then_left_alone() {
    let spec = GatewaySpec {
        reboot_seconds: 1.0,
        ..GatewaySpec::default()
    };
    let (gateway, _) = start(world(spec)).await;
    let (admin, tables) = (
        admin(&gateway, WANTED, gateway.password()),
        FakeTables::new(Weather::calm()),
    );
    let (standing, changed) = settled(&admin, &tables).await;
    assert!(matches!(standing, Standing::InOrder(_)), "{standing:?}");
    assert_eq!(changed.len(), 5, "{changed:?}");
    let state = gateway.control().state();
    assert_eq!(state.gateway_name, "Millrace");
    assert_eq!(state.port_maps_refused, 0);
    let (standing, changed) = settled(&admin, &tables).await;
    assert!(matches!(standing, Standing::InOrder(_)), "{standing:?}");
    assert!(changed.is_empty(), "{changed:?}");
}

#[tokio::test]
async fn two_wrong_passwords_end_with_a_person_and_an_account_that_is_not_locked() {
    let (gateway, _) = start(usual_world()).await;
    let (wrong, tables) = (
        admin(&gateway, WANTED, "another"),
        FakeTables::new(Weather::calm()),
    );
    for _ in 0..20 {
        let (standing, _) = settled(&wrong, &tables).await;
        assert!(matches!(standing, Standing::NeedsPerson(_)), "{standing:?}");
    }
    let right = admin(&gateway, gateway.password(), "another");
    let answer = right.log_in(Credential::Wanted).await.unwrap();
    assert!(matches!(answer, LogIn::Accepted(_)), "{answer:?}");
}

#[tokio::test]
async fn alarm_forwarding_that_is_off_is_for_a_person() {
    let spec = GatewaySpec {
        alarm_forwarding: false,
        ..GatewaySpec::default()
    };
    let (gateway, _) = start(world(spec)).await;
    let admin = admin(&gateway, gateway.password(), "another");
    let configuration = admin.configuration().await.unwrap();
    assert_eq!(configuration.alarm_forwarding, Some(false));
}

#[tokio::test]
async fn a_login_may_have_cost_a_try_only_if_the_password_was_sent() {
    let patience = Duration::from_millis(300);
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    let answer = admin_at(&url, patience, WANTED, "another")
        .log_in(Credential::Wanted)
        .await;
    assert!(matches!(answer, Err(PortError::Throttled { .. })), "{answer:?}");

    let (gateway, _) = start(usual_world()).await;
    let slow = Operation::ApiFault {
        fault: ApiFault::Slow { ms: 60_000 },
        path: None,
        calls: None,
    };
    gateway.control().apply(slow).unwrap();
    let answer = admin_at(&gateway.api_url(), patience, gateway.password(), "another")
        .log_in(Credential::Wanted)
        .await;
    assert!(matches!(answer, Err(PortError::Unknown { .. })), "{answer:?}");
}
