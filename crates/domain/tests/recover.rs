//! The replacement's promises: whole recoveries over a fake host, told by their notes, and resumed after a crash at
//! every call.
#![allow(clippy::unwrap_used)]

use domain::fakes::{FakeAlerts, FakeHost, FakeSite, FakeTables, Password, Weather, rows};
use domain::ports::{ChannelsTable, ControlTable, Power, Put, Site};
use domain::recover::{Asked, MEMORY, Memory, ROLE, RecoverPolicy, Request, Role, recover, request};
use domain::setup::SetupPolicy;
use domain::{
    ChannelKey, ChannelRow, Device, DeviceIndex, DeviceKind, DeviceStatus, InstanceId, InstanceState,
    credentials,
};
use futures::executor::block_on;
use futures::task::noop_waker;
use jiff::{SignedDuration, Timestamp};
use std::pin::pin;
use std::task::{Context, Poll};

/// A host with a gateway's worth of everything, in calm weather.
struct Rig {
    host: FakeHost,
    site: FakeSite,
    tables: FakeTables,
    alerts: FakeAlerts,
    policy: RecoverPolicy,
    setup: SetupPolicy,
    now: Timestamp,
    /// Every note and deed so far, with the minute.
    log: Vec<String>,
    minute: u32,
}

impl Rig {
    fn new() -> Self {
        let weather = Weather::calm();
        let host = FakeHost::new(weather.clone());
        Self {
            site: FakeSite::new(weather.clone(), host.clone()),
            tables: FakeTables::new(weather.clone()),
            alerts: FakeAlerts::new(weather),
            policy: RecoverPolicy::default(),
            setup: SetupPolicy {
                initial_password_version: Some(1),
                ..SetupPolicy::default()
            },
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            log: Vec::new(),
            minute: 0,
            host,
        }
    }

    /// A rig whose first gateway is in office, knows a camera, and has an image.
    fn in_office() -> Self {
        let mut rig = Self::new();
        rig.minutes(15);
        let role = rig.role();
        rig.host
            .change_software(&role, |software| software.devices = vec![camera("A")]);
        rig.policy.rpo = SignedDuration::from_mins(1);
        rig.minutes(12);
        rig.policy = RecoverPolicy::default();
        rig.log.clear();
        rig.minute = 0;
        rig
    }

    fn minutes(&mut self, count: u32) {
        for _ in 0..count {
            self.run(None);
        }
    }

    /// One invocation, a minute later; it crashes after so many turns.
    fn run(&mut self, budget: Option<u32>) {
        self.minute += 1;
        self.now += SignedDuration::from_mins(1);
        self.host.set_now(self.now);
        let site = Site {
            host: &self.host,
            connect: &self.site,
            table: &self.tables,
            alerts: &self.alerts,
        };
        let run = recover(&self.policy, &self.setup, site, self.now);
        let Some(report) = drive(run, budget) else { return };
        let lines = report.notes.iter().chain(&report.deeds).chain(&report.failures);
        self.log
            .extend(lines.map(|line| format!("{:>3} {line}", self.minute)));
    }

    fn ask(&self, drill: bool) -> Asked {
        let asked = Request {
            at: self.now,
            since: self.now,
            reason: "the gateway burns".into(),
            drill,
        };
        block_on(request(&self.tables, &asked)).unwrap()
    }

    fn memory(&self) -> Memory {
        let item = block_on(self.tables.get_control(MEMORY)).unwrap().unwrap();
        serde_json::from_value(item.value).unwrap()
    }

    fn role(&self) -> InstanceId {
        let item = block_on(self.tables.get_control(ROLE)).unwrap().unwrap();
        serde_json::from_value::<Role>(item.value).unwrap().instance_id
    }

    fn state(&self, id: &InstanceId) -> InstanceState {
        let instances = self.host.instances();
        instances
            .iter()
            .find(|instance| instance.id == *id)
            .unwrap()
            .state
    }

    fn alive(&self) -> Vec<InstanceId> {
        let instances = self.host.instances().into_iter();
        let alive = instances.filter(|instance| instance.state != InstanceState::Gone);
        alive.map(|instance| instance.id).collect()
    }

    fn last_word(&self) -> String {
        self.alerts.told().last().unwrap().text.clone()
    }

    fn want(&self, device: &str) {
        let row = ChannelRow {
            device_name: format!("camera {device}"),
            ..rows::channel(ChannelKey::new(device, "1"), self.now)
        };
        assert_eq!(
            block_on(self.tables.put_channel(&row, None)).unwrap(),
            Put::Written
        );
    }
}

fn camera(index: &str) -> Device {
    Device {
        index: DeviceIndex::new(index),
        name: format!("camera {index}"),
        kind: DeviceKind::Encoder,
        status: DeviceStatus::Online,
        video_channels: 1,
    }
}

fn drive<F: Future>(future: F, budget: Option<u32>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = noop_waker();
    let mut context = Context::from_waker(&waker);
    for _ in 0..budget.unwrap_or(100_000) {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    assert!(budget.is_some(), "an invocation did not end");
    None
}

#[test]
fn the_first_gateway_comes_from_the_base_image_by_the_same_steps() {
    let mut rig = Rig::new();
    rig.minutes(12);
    insta::assert_snapshot!(rig.log.join("\n"), @"
    3 begin gateway-20270115T080300Z-1: there is no gateway yet
    3 gateway-20270115T080300Z-1: launching an instance → waiting for its checks
    3 launch gateway-20270115T080300Z-1
    4 gateway-20270115T080300Z-1: waiting for its checks → setting it up
    6 gateway-20270115T080300Z-1: setting it up → moving the address
    6 gateway-20270115T080300Z-1: moving the address → verifying through the address
    6 gateway-20270115T080300Z-1: verifying through the address → announcing it
    6 gateway-20270115T080300Z-1: announcing it → stopping the old instance
    6 gateway-20270115T080300Z-1: stopping the old instance → comparing its devices
    6 gateway-20270115T080300Z-1 finished
    6 move the address from nowhere to i-001
    6 announce i-001 at http://i-001
    6 create an image of i-001 (image-208333)
    ");
    let software = rig.host.software(&rig.role()).unwrap();
    assert_eq!(software.password, Password::Wanted);
    assert_eq!(software.configuration.platform_ports.addresses, ["192.0.2.10"]);
    assert!(software.in_force);
}

#[test]
fn a_replacement_comes_from_the_newest_image_and_retires_the_old_one_last() {
    let mut rig = Rig::in_office();
    let old = rig.role();
    rig.want("A");
    rig.want("B");
    let _ = rig.ask(false);
    rig.minutes(6);
    insta::assert_snapshot!(rig.log.join("\n"), @"
    1 begin gateway-20270115T082800Z-1: the gateway burns
    1 gateway-20270115T082800Z-1: launching an instance → waiting for its checks
    1 launch gateway-20270115T082800Z-1
    2 gateway-20270115T082800Z-1: waiting for its checks → setting it up
    2 gateway-20270115T082800Z-1: setting it up → moving the address
    2 gateway-20270115T082800Z-1: moving the address → verifying through the address
    2 gateway-20270115T082800Z-1: verifying through the address → announcing it
    2 gateway-20270115T082800Z-1: announcing it → stopping the old instance
    2 gateway-20270115T082800Z-1: stopping the old instance → comparing its devices
    2 gateway-20270115T082800Z-1 finished
    2 move the address from i-001 to i-002
    2 announce i-002 at http://i-002
    2 stop i-001
    ");
    assert_ne!(rig.role(), old);
    assert_eq!(rig.host.holder(), Some(rig.role()));
    assert_eq!(rig.state(&old), InstanceState::Stopped);
    insta::assert_snapshot!(rig.last_word(), @"the gateway was replaced from image ami-005 of 2027-01-15T08:22:00Z: recovery time 2m, within the 30m wanted; age of the image 5m, within the 24h wanted; 1 wanted devices are not registered with it and must be added by hand: B (camera B)");
}

#[test]
fn the_old_instance_is_kept_for_its_quarantine_and_then_ended() {
    let mut rig = Rig::in_office();
    let old = rig.role();
    rig.policy.quarantine = SignedDuration::from_mins(30);
    let _ = rig.ask(false);
    rig.minutes(30);
    assert_eq!(rig.state(&old), InstanceState::Stopped);
    rig.minutes(8);
    assert_eq!(rig.state(&old), InstanceState::Gone);
    assert!(rig.memory().retired.is_empty());
}

#[test]
fn a_retired_instance_that_a_person_starts_is_theirs() {
    let mut rig = Rig::in_office();
    let old = rig.role();
    rig.policy.quarantine = SignedDuration::from_mins(30);
    let _ = rig.ask(false);
    rig.minutes(10);
    rig.host.meddle(&old, Some(Power::Start));
    rig.minutes(60);
    assert_eq!(rig.state(&old), InstanceState::Running);
    assert!(rig.memory().left_to_people.contains(&old));
}

#[test]
fn a_replacement_is_resumed_after_a_crash_at_every_call() {
    let mut crashes = 0;
    for budget in 0..240 {
        let mut rig = Rig::in_office();
        let old = rig.role();
        let _ = rig.ask(false);
        for _ in 0..3 {
            let done = rig.log.len();
            rig.run(Some(budget));
            crashes += u32::from(rig.log.len() == done);
        }
        rig.minutes(12);
        assert_ne!(rig.role(), old, "budget {budget}");
        assert_eq!(rig.host.holder(), Some(rig.role()), "budget {budget}");
        assert_eq!(
            rig.alive().len(),
            2,
            "budget {budget}: the new one, and the old one in quarantine"
        );
        assert_eq!(rig.state(&old), InstanceState::Stopped, "budget {budget}");
    }
    assert!(crashes > 100, "the budgets meet the calls: {crashes}");
}

#[test]
fn an_image_no_gateway_comes_up_from_gives_way_to_an_older_one_and_the_old_gateway_stays() {
    let mut rig = Rig::in_office();
    let old = rig.role();
    rig.host.doom_launches(true);
    let _ = rig.ask(false);
    rig.minutes(20);
    assert_eq!((rig.role(), rig.host.holder()), (old.clone(), Some(old.clone())));
    assert_eq!(rig.state(&old), InstanceState::Running);
    rig.host.doom_launches(false);
    rig.minutes(30);
    assert_ne!(rig.role(), old);
    let told = rig.alerts.told();
    let failed: Vec<_> = told
        .iter()
        .filter(|alert| alert.text.starts_with("attempt"))
        .collect();
    assert_eq!(failed.len(), 1);
    insta::assert_snapshot!(failed[0].text, @"attempt 1 from image ami-005 of 2027-01-15T08:22:00Z failed while waiting for its checks: the host did not find the instance sound in time. The next image is tried");
}

/// The newest image has a password nobody knows; a bad hour of the host fails the older, good one.
#[test]
fn images_that_all_failed_are_tried_again_in_turn() {
    let mut rig = Rig::in_office();
    let old = rig.role();
    rig.minutes(6);
    let images = rig.host.images();
    let (_, former) = images.split_last().unwrap();
    former.iter().for_each(|image| rig.host.drop_image(&image.id));
    rig.host
        .change_software(&old, |software| software.password = Password::Other);
    rig.policy.rpo = SignedDuration::from_mins(1);
    rig.minutes(1);
    rig.policy = RecoverPolicy::default();
    rig.minutes(6);
    assert_eq!(rig.host.images().len(), 2);
    rig.host.doom_launches(true);
    let _ = rig.ask(false);
    rig.minutes(120);
    assert_eq!(rig.memory().failed_images.len(), 2);
    assert_eq!(rig.role(), old);
    rig.host.doom_launches(false);
    let _ = rig.ask(false);
    rig.minutes(60);
    assert_ne!(rig.role(), old);
    let software = rig.host.software(&rig.role()).unwrap();
    assert_eq!(software.devices, [camera("A")], "not from the base image");
}

#[test]
fn a_new_gateway_that_does_not_answer_through_the_address_gives_it_back() {
    let mut rig = Rig::in_office();
    let old = rig.role();
    rig.policy.attempts_max = 1;
    rig.host.block_address(true);
    let _ = rig.ask(false);
    rig.minutes(40);
    assert_eq!((rig.role(), rig.host.holder()), (old.clone(), Some(old.clone())));
    assert_eq!(rig.state(&old), InstanceState::Running);
    assert!(
        rig.last_word().contains("did not answer through the address"),
        "{}",
        rig.last_word()
    );
}

#[test]
fn an_address_that_a_person_moves_is_followed_and_the_former_gateway_left_alone() {
    let mut rig = Rig::in_office();
    let old = rig.role();
    let mut software = rig.host.software(&old).unwrap();
    software.devices = vec![camera("A"), camera("B")];
    let theirs = rig.host.add_instance(software);
    rig.host.place_address(Some(&theirs));
    rig.minutes(100);
    assert_eq!((rig.role(), rig.host.holder()), (theirs.clone(), Some(theirs)));
    assert_eq!(rig.state(&old), InstanceState::Running);
}

#[test]
fn an_address_that_is_nowhere_goes_back_to_the_gateway() {
    let mut rig = Rig::in_office();
    let role = rig.role();
    rig.host.place_address(None);
    rig.minutes(4);
    assert_eq!(rig.host.holder(), Some(role));
}

#[test]
fn a_drill_proves_the_newest_image_and_leaves_nothing_behind() {
    let mut rig = Rig::in_office();
    let role = rig.role();
    let _ = rig.ask(true);
    rig.minutes(8);
    assert_eq!(
        (rig.role(), rig.host.holder()),
        (role.clone(), Some(role.clone()))
    );
    assert_eq!(rig.alive(), [role]);
    insta::assert_snapshot!(rig.last_word(), @"the drill succeeded from image ami-005 of 2027-01-15T08:22:00Z: recovery time 2m, within the 30m wanted; age of the image 5m, within the 24h wanted");
}

#[test]
fn a_drill_makes_way_for_a_replacement() {
    let mut rig = Rig::in_office();
    let old = rig.role();
    let _ = rig.ask(true);
    rig.minutes(1);
    let _ = rig.ask(false);
    rig.minutes(8);
    assert_ne!(rig.role(), old);
    assert_eq!(rig.alive().len(), 2, "the new one, and the old one in quarantine");
}

#[test]
fn a_request_is_answered_once() {
    let mut rig = Rig::in_office();
    let _ = rig.ask(false);
    rig.minutes(200);
    let launches = rig.log.iter().filter(|line| line.contains(" begin ")).count();
    assert_eq!(launches, 1);
}

#[test]
fn without_any_image_an_old_gateway_is_replaced_from_the_base_image() {
    let mut rig = Rig::in_office();
    let old = rig.role();
    for image in rig.host.images() {
        rig.host.drop_image(&image.id);
    }
    rig.host.meddle(&old, None);
    let _ = rig.ask(false);
    rig.minutes(12);
    assert_ne!(rig.role(), old);
    let begun = rig
        .alerts
        .told()
        .into_iter()
        .find(|alert| alert.text.contains("the base image"));
    assert!(begun.is_some(), "and people are told what that means");
}

#[test]
fn a_gateway_in_order_with_a_fresh_image_costs_no_write() {
    let mut rig = Rig::in_office();
    // The first time that it lets us in is written down.
    rig.minutes(31);
    let writes = rig.tables.writes();
    let quiet = (0..25).filter(|_| {
        let before = rig.tables.writes();
        rig.run(None);
        rig.tables.writes() == before
    });
    assert!(
        quiet.count() >= 24,
        "but for the minute in which its configuration is compared"
    );
    assert!(rig.tables.writes() - writes <= 2);
}

#[test]
fn a_drill_takes_the_place_of_no_replacement_that_waits() {
    let rig = Rig::in_office();
    assert_eq!(rig.ask(false), Asked::Waits);
    assert!(matches!(rig.ask(true), Asked::NotAfter(before) if !before.drill));
}

#[test]
fn a_drill_that_is_asked_for_twice_is_one() {
    let mut rig = Rig::in_office();
    assert_eq!(rig.ask(true), Asked::Waits);
    rig.minutes(20);
    assert!(matches!(rig.ask(true), Asked::NotAfter(before) if before.drill));
    rig.minutes(45);
    assert_eq!(rig.ask(true), Asked::Waits);
}

#[test]
fn an_initial_password_that_was_put_right_lets_us_into_a_gateway_in_office_that_was_reset() {
    let mut rig = Rig::in_office();
    let role = rig.role();
    rig.host
        .change_software(&role, |software| software.password = Password::Other);
    rig.minutes(40);
    let rejection = block_on(credentials::rejected(&rig.tables)).unwrap();
    assert_eq!(rejection.unwrap().by, "setup");
    rig.host
        .change_software(&role, |software| software.password = Password::Initial);
    rig.minutes(40);
    assert_eq!(rig.host.software(&role).unwrap().password, Password::Initial);
    rig.setup.initial_password_version = Some(2);
    rig.minutes(40);
    assert_eq!(rig.host.software(&role).unwrap().password, Password::Wanted);
    assert_eq!(block_on(credentials::rejected(&rig.tables)).unwrap(), None);
    assert_eq!(rig.host.software(&role).unwrap().lockouts, 0);
}

#[test]
fn a_setting_that_somebody_changed_is_changed_back_and_told() {
    let mut rig = Rig::in_office();
    rig.setup.wanted.name = Some("Millrace".into());
    rig.minutes(70);
    let told = rig.alerts.told().len();
    let role = rig.role();
    rig.host
        .change_software(&role, |software| software.configuration.name = "Gate".into());
    rig.minutes(31);
    let texts: Vec<_> = rig
        .alerts
        .told()
        .into_iter()
        .skip(told)
        .map(|alert| alert.text)
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @"the gateway was not configured as wanted and was changed: name the gateway `Millrace` (it is named `Gate`). Who changes it by hand must change the stack's parameters instead");
    assert_eq!(rig.host.software(&role).unwrap().configuration.name, "Millrace");
}
