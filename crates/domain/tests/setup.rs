//! Setup's promises: the plan as snapshots, and the loop over a fake gateway that can crash anywhere.
#![allow(clippy::unwrap_used)]

use domain::InstanceId;
use domain::fakes::{FakeHost, FakeSite, FakeTables, Password, Software, Weather};
use domain::ports::{Connect, ControlTable};
use domain::setup::{
    Clock, Configuration, MEMORY, PortMap, Preview, Report, SetupPolicy, Standing, Wanted, WantedClock,
    compare, plan, set_up, utc_offset,
};
use futures::executor::block_on;
use futures::task::noop_waker;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use std::pin::pin;
use std::task::{Context, Poll};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn policy() -> SetupPolicy {
    SetupPolicy {
        wanted: Wanted {
            name: Some("Millrace".into()),
            clock: Some(WantedClock {
                utc_offset: Offset::constant(2),
                ntp: false,
            }),
            external_address: Some("192.0.2.10".into()),
        },
        password_version: 1,
        initial_password_version: Some(1),
        ..SetupPolicy::default()
    }
}

fn mapped(addresses: &[&str]) -> PortMap {
    PortMap {
        enabled: true,
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        straight: true,
    }
}

fn in_order() -> Configuration {
    Configuration {
        name: "Millrace".into(),
        clock: Clock {
            instant: at(20),
            utc_offset: Offset::constant(2),
            ntp: false,
        },
        platform_ports: mapped(&["192.0.2.10"]),
        device_ports: mapped(&[]),
        alarm_forwarding: Some(true),
    }
}

#[test]
fn a_configuration_as_wanted_gives_an_empty_plan() {
    assert_eq!(plan(&policy(), &in_order(), at(0)).to_string(), "");
}

#[test]
fn what_nobody_wants_is_left_as_it_is() {
    let policy = SetupPolicy::default();
    let configuration = Configuration {
        name: "anything".into(),
        platform_ports: PortMap {
            enabled: false,
            ..mapped(&["198.51.100.7"])
        },
        ..in_order()
    };
    assert_eq!(plan(&policy, &configuration, at(9_999)).to_string(), "");
}

#[test]
fn a_gateway_fresh_from_its_base_image_differs_in_everything() {
    let unmapped = PortMap {
        enabled: false,
        addresses: Vec::new(),
        straight: true,
    };
    let fresh = Configuration {
        name: "Embedded\nNet".into(),
        clock: Clock {
            instant: at(-3600),
            utc_offset: Offset::constant(8),
            ntp: true,
        },
        platform_ports: unmapped.clone(),
        device_ports: unmapped,
        alarm_forwarding: Some(false),
    };
    insta::assert_snapshot!(plan(&policy(), &fresh, at(0)), @r"
    name the gateway `Millrace`: it is named `Embedded\nNet`
    set the clock to UTC+02, kept by hand: its clock: UTC+08, kept by a time server, -3600 s off
    map the gateway's own ports to 192.0.2.10 (restart): its own ports: not mapped
    map the devices' ports (restart): the devices' ports: not mapped
    by hand: alarm forwarding is off, so no event of a device arrives: switch it on in the gateway's web page
    ");
}

#[test]
fn a_clock_kept_by_a_time_server_is_not_corrected_and_one_kept_by_hand_is() {
    let mut policy = policy();
    let mut observed = in_order();
    observed.clock.instant = at(31);
    insta::assert_snapshot!(plan(&policy, &observed, at(0)), @"set the clock to UTC+02, kept by hand: its clock: UTC+02, kept by hand, 31 s off");
    policy.wanted.clock.as_mut().unwrap().ntp = true;
    observed.clock.ntp = true;
    assert!(plan(&policy, &observed, at(0)).is_in_order());
}

/// One gateway that runs, and the tables.
struct Rig {
    host: FakeHost,
    site: FakeSite,
    tables: FakeTables,
    instance: InstanceId,
    second: i64,
}

impl Rig {
    fn new(software: Software) -> Self {
        let weather = Weather::calm();
        let host = FakeHost::new(weather.clone());
        host.set_now(at(-300));
        let instance = host.add_instance(software);
        host.set_now(at(0));
        Self {
            site: FakeSite::new(weather.clone(), host.clone()),
            tables: FakeTables::new(weather),
            host,
            instance,
            second: 0,
        }
    }

    /// A gateway whose password is neither of those we know.
    fn with_another_password() -> Self {
        let mut software = Software::fresh();
        software.password = Password::Other;
        Self::new(software)
    }

    fn now(&self) -> Timestamp {
        at(self.second)
    }

    /// One run a minute later; `None` when it crashed after so many turns.
    fn run(&mut self, policy: &SetupPolicy, budget: Option<u32>) -> Option<Standing> {
        self.second += 60;
        self.host.set_now(self.now());
        let endpoint = format!("http://{}", self.instance);
        let gateway = self.site.connect(&endpoint).unwrap();
        let run = set_up(policy, &endpoint, &gateway, &self.tables, self.now());
        let standing = drive(run, budget)?.standing;
        Some(standing.unwrap_or_else(|error| Standing::Underway(error.chain())))
    }

    /// One run a minute later, of whose calls every third fails.
    fn in_weather(&mut self, policy: &SetupPolicy, seed: u64) -> Report {
        self.second += 60;
        self.host.set_now(self.now());
        let weather = Weather::seeded(seed);
        weather.set_trouble(33);
        let endpoint = format!("http://{}", self.instance);
        let gateway = FakeSite::new(weather, self.host.clone()).connect(&endpoint);
        let gateway = gateway.unwrap();
        block_on(set_up(policy, &endpoint, &gateway, &self.tables, self.now()))
    }

    /// One dry run a minute later.
    fn look(&mut self, policy: &SetupPolicy) -> Result<Preview, Standing> {
        self.second += 60;
        self.host.set_now(self.now());
        let endpoint = format!("http://{}", self.instance);
        let gateway = self.site.connect(&endpoint).unwrap();
        block_on(compare(policy, &endpoint, &gateway, &self.tables, self.now())).unwrap()
    }

    fn until_in_order(&mut self, policy: &SetupPolicy) -> usize {
        for runs in 1..20 {
            if let Some(Standing::InOrder(_)) = self.run(policy, None) {
                return runs;
            }
        }
        panic!("never in order: {:?}", self.software());
    }

    fn software(&self) -> Software {
        self.host.all_software().remove(0)
    }
}

fn drive<F: Future>(future: F, budget: Option<u32>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = noop_waker();
    let mut context = Context::from_waker(&waker);
    for _ in 0..budget.unwrap_or(10_000) {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    assert!(budget.is_some(), "a run did not end");
    None
}

#[test]
fn a_first_boot_takes_the_wanted_password_is_set_up_and_restarted_once() {
    let mut rig = Rig::new(Software::fresh());
    rig.until_in_order(&policy());
    let software = rig.software();
    assert_eq!(software.password, Password::Wanted);
    assert_eq!((software.restarts, software.in_force), (1, true));
    assert_eq!(software.configuration.name, "Millrace");
    assert_eq!(software.lockouts, 0);
}

#[test]
fn a_first_boot_is_set_up_wherever_a_run_crashed() {
    for budget in 0..60 {
        let mut rig = Rig::new(Software::fresh());
        rig.run(&policy(), Some(budget));
        rig.until_in_order(&policy());
        assert_eq!(rig.software().lockouts, 0, "budget {budget}");
    }
}

#[test]
fn a_gateway_in_order_is_neither_changed_nor_restarted_nor_remembered() {
    let mut rig = Rig::new(Software::fresh());
    rig.until_in_order(&policy());
    let before = rig.software();
    for _ in 0..100 {
        assert!(matches!(rig.run(&policy(), None), Some(Standing::InOrder(_))));
    }
    assert_eq!(rig.software(), before);
    let memory = block_on(rig.tables.get_control(MEMORY)).unwrap().unwrap();
    assert_eq!(memory.value, serde_json::json!({}));
}

#[test]
fn a_drift_that_takes_effect_at_once_is_repaired_without_a_restart() {
    let mut rig = Rig::new(Software::fresh());
    rig.until_in_order(&policy());
    rig.host.change_software(&rig.instance, |software| {
        software.configuration.name = "by hand".into();
        software.clock_off = SignedDuration::from_hours(1);
    });
    rig.until_in_order(&policy());
    let software = rig.software();
    assert_eq!(software.restarts, 1, "that of the first setup");
    assert_eq!(software.configuration.name, "Millrace");
    assert!(software.clock_off.abs() < SignedDuration::from_secs(1));
}

#[test]
fn a_drifted_port_map_is_in_force_again_wherever_the_run_crashed() {
    let mut crashes = 0;
    for budget in 0..60 {
        let mut rig = Rig::new(Software::fresh());
        rig.until_in_order(&policy());
        rig.host.change_software(&rig.instance, |software| {
            software.configuration.device_ports.straight = false;
        });
        crashes += u32::from(rig.run(&policy(), Some(budget)).is_none());
        rig.until_in_order(&policy());
        assert!(rig.software().in_force, "budget {budget}");
        assert!(rig.software().restarts <= 3, "budget {budget}");
    }
    assert!(
        (10..60).contains(&crashes),
        "every crash point was met: {crashes}"
    );
}

#[test]
fn passwords_that_are_both_wrong_never_lock_the_account_wherever_runs_crash() {
    for (budget, crashes) in (0..40).flat_map(|budget| [(budget, 2), (budget, 4)]) {
        let mut rig = Rig::with_another_password();
        for _ in 0..crashes {
            rig.run(&policy(), Some(budget));
        }
        for _ in 0..200 {
            assert!(!matches!(rig.run(&policy(), None), Some(Standing::InOrder(_))));
        }
        assert_eq!(rig.software().lockouts, 0, "budget {budget}, {crashes} crashes");
        assert!(matches!(rig.run(&policy(), None), Some(Standing::NeedsPerson(_))));
    }
}

#[test]
fn a_password_that_was_put_right_is_tried_again_under_its_new_version() {
    let mut rig = Rig::with_another_password();
    for _ in 0..10 {
        rig.run(&policy(), None);
    }
    rig.host
        .change_software(&rig.instance, |software| software.password = Password::Wanted);
    assert!(matches!(rig.run(&policy(), None), Some(Standing::NeedsPerson(_))));
    let mut renewed = policy();
    renewed.password_version = 2;
    rig.until_in_order(&renewed);
}

#[test]
fn an_initial_password_that_was_put_right_is_tried_though_the_wanted_one_is_the_same() {
    let mut rig = Rig::with_another_password();
    for _ in 0..10 {
        rig.run(&policy(), None);
    }
    rig.host
        .change_software(&rig.instance, |software| software.password = Password::Initial);
    let same = rig.run(&policy(), None);
    assert!(matches!(same, Some(Standing::NeedsPerson(_))), "{same:?}");
    let mut renewed = policy();
    renewed.initial_password_version = Some(2);
    rig.until_in_order(&renewed);
}

#[test]
fn a_wanted_password_that_was_refused_is_not_tried_for_a_changed_initial_one() {
    let mut rig = Rig::with_another_password();
    rig.run(&policy(), None);
    rig.host
        .change_software(&rig.instance, |software| software.password = Password::Wanted);
    let mut renewed = policy();
    renewed.initial_password_version = Some(2);
    for _ in 0..10 {
        let refused = rig.run(&renewed, None);
        assert!(matches!(refused, Some(Standing::NeedsPerson(_))), "{refused:?}");
    }
}

#[test]
fn no_number_of_wrong_initial_passwords_locks_the_account() {
    let mut rig = Rig::with_another_password();
    for version in 1..50 {
        let renewed = SetupPolicy {
            initial_password_version: Some(version),
            ..policy()
        };
        assert!(matches!(rig.run(&renewed, None), Some(Standing::NeedsPerson(_))));
    }
    assert_eq!(rig.software().lockouts, 0);
}

#[test]
fn what_was_changed_before_a_failure_is_reported_with_it() {
    let mut told = 0;
    for seed in 0..200 {
        let mut rig = Rig::new(Software::fresh());
        rig.until_in_order(&policy());
        rig.host.change_software(&rig.instance, |software| {
            software.configuration.name = "by hand".into();
            software.configuration.clock.utc_offset = Offset::constant(3);
        });
        let report = rig.in_weather(&policy(), seed);
        let name = report.changed.iter().any(|change| change.contains("`by hand`"));
        let is_changed = rig.software().configuration.name == "Millrace";
        assert!(name || !is_changed, "seed {seed}: {report:?}");
        told += u32::from(name && report.standing.is_err());
    }
    assert!(told > 10, "few failures came after the change: {told}");
}

#[test]
fn a_gateway_that_is_down_for_hours_uses_up_no_tries() {
    let mut rig = Rig::new(Software::fresh());
    rig.host
        .change_software(&rig.instance, |software| software.hung = true);
    for _ in 0..200 {
        assert!(matches!(rig.run(&policy(), None), Some(Standing::Underway(_))));
    }
    rig.host
        .change_software(&rig.instance, |software| software.hung = false);
    rig.until_in_order(&policy());
}

#[test]
fn a_locked_account_is_left_alone_until_it_unlocks() {
    let mut rig = Rig::new(Software::fresh());
    rig.until_in_order(&policy());
    let until = rig.now() + SignedDuration::from_mins(30);
    rig.host
        .change_software(&rig.instance, |software| software.locked_until = Some(until));
    assert!(matches!(rig.run(&policy(), None), Some(Standing::NeedsPerson(_))));
    while rig.now() + SignedDuration::from_mins(1) < until {
        assert!(matches!(rig.run(&policy(), None), Some(Standing::NeedsPerson(_))));
    }
    rig.until_in_order(&policy());
}

#[test]
fn a_restart_that_cannot_be_had_waits_for_a_person() {
    let mut rig = Rig::new(Software::fresh());
    rig.until_in_order(&policy());
    let policy = SetupPolicy {
        restarts_max: 0,
        ..policy()
    };
    rig.host.change_software(&rig.instance, |software| {
        software.configuration.device_ports.enabled = false;
    });
    for _ in 0..3 {
        assert!(matches!(rig.run(&policy, None), Some(Standing::NeedsPerson(_))));
    }
    let again = SetupPolicy {
        try_again: true,
        ..policy
    };
    assert!(matches!(rig.run(&again, None), Some(Standing::InOrder(_))));
}

#[test]
fn a_restart_that_could_not_be_had_is_asked_for_again_under_a_new_version_of_the_password() {
    let mut rig = Rig::new(Software::fresh());
    rig.until_in_order(&policy());
    rig.host.change_software(&rig.instance, |software| {
        software.configuration.device_ports.enabled = false;
    });
    let never = SetupPolicy {
        restarts_max: 0,
        ..policy()
    };
    assert!(matches!(rig.run(&never, None), Some(Standing::NeedsPerson(_))));
    let mut renewed = policy();
    renewed.password_version = 2;
    rig.until_in_order(&renewed);
    assert!(rig.software().in_force, "it was restarted");
}

#[test]
fn a_dry_run_shows_what_a_first_boot_needs_and_changes_nothing() {
    let mut rig = Rig::new(Software::fresh());
    let before = rig.software();
    let preview = rig.look(&policy()).unwrap();
    assert!(preview.has_initial_password && !preview.is_in_order());
    assert_eq!(preview.plan.differences.len(), 4, "{}", preview.plan);
    let after = rig.software();
    assert_eq!(
        (after.password, after.restarts),
        (before.password, before.restarts)
    );
    assert_eq!(after.configuration, before.configuration);
    rig.until_in_order(&policy());
    assert!(rig.look(&policy()).unwrap().is_in_order());
}

#[test]
fn a_dry_run_shows_a_restart_that_a_crash_left_owing() {
    let mut shown = 0;
    for budget in 0..60 {
        let mut rig = Rig::new(Software::fresh());
        rig.until_in_order(&policy());
        rig.host.change_software(&rig.instance, |software| {
            software.configuration.device_ports.straight = false;
        });
        rig.run(&policy(), Some(budget));
        let Ok(preview) = rig.look(&policy()) else {
            continue;
        };
        assert!(
            rig.software().in_force || !preview.is_in_order(),
            "budget {budget}"
        );
        shown += u32::from(preview.owes_restart && preview.plan.is_in_order());
    }
    assert!(shown > 0, "no crash came between the change and the restart");
}

#[test]
fn no_number_of_dry_runs_locks_the_account() {
    let mut rig = Rig::with_another_password();
    for _ in 0..50 {
        let seen = rig.look(&policy());
        assert!(matches!(seen, Err(Standing::NeedsPerson(_))), "{seen:?}");
    }
    assert_eq!(rig.software().lockouts, 0);
}

#[test]
fn time_zones_are_hours_in_use_and_nothing_else() {
    for (hours, seconds) in [
        ("8", 28_800),
        ("-3.5", -12_600),
        ("5.75", 20_700),
        ("0", 0),
        ("-12", -43_200),
    ] {
        assert_eq!(utc_offset(hours).unwrap().seconds(), seconds, "{hours}");
    }
    for hours in ["", "east", "14.5", "-13", "0.001", "NaN", "inf", "5:30"] {
        assert!(utc_offset(hours).is_err(), "{hours}");
    }
}
