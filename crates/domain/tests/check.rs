//! Whole checks over a fake host: who is looked after, how often the gateway is asked, and what is done.
#![allow(clippy::unwrap_used)]

use domain::credentials::{Begun, Fate};
use domain::fakes::{FakeAlerts, FakeHost, FakeSite, FakeTables, Password, Software, Weather};
use domain::ladder::{
    Action, ArchiveLook, EndpointLook, InstanceLook, LadderPolicy, Patient, Report, Rung, check,
};
use domain::ports::{ControlTable, Power, Put, Site};
use domain::recover::{ROLE, Role};
use domain::{InstanceId, credentials};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};

/// A gateway in calm weather that has the wanted password.
struct Rig {
    host: FakeHost,
    site: FakeSite,
    tables: FakeTables,
    alerts: FakeAlerts,
    instance: InstanceId,
    endpoint: String,
    patient: Patient,
    policy: LadderPolicy,
    now: Timestamp,
}

impl Rig {
    fn in_office() -> Self {
        let weather = Weather::calm();
        let host = FakeHost::new(weather.clone());
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        host.set_now(now);
        let mut software = Software::fresh();
        software.password = Password::Wanted;
        let instance = host.add_instance(software);
        let now = now + SignedDuration::from_mins(10);
        host.set_now(now);
        let endpoint = host.instances()[0].endpoint.clone().unwrap();
        let rig = Self {
            site: FakeSite::new(weather.clone(), host.clone()),
            tables: FakeTables::new(weather.clone()),
            alerts: FakeAlerts::new(weather),
            patient: Patient::InOffice,
            policy: LadderPolicy {
                password_version: 1,
                ..LadderPolicy::default()
            },
            host,
            instance,
            endpoint,
            now,
        };
        let role = Role {
            instance_id: rig.instance.clone(),
            endpoint: rig.endpoint.clone(),
        };
        let role = serde_json::to_value(role).unwrap();
        let put = block_on(rig.tables.put_control(ROLE, &role, None));
        assert_eq!(put.unwrap(), Put::Written);
        rig
    }

    /// The same gateway, looked after as one that others run: no control item knows it.
    fn elsewhere() -> Self {
        let mut rig = Self::in_office();
        rig.tables = FakeTables::new(Weather::calm());
        rig.patient = Patient::Elsewhere(rig.endpoint.clone());
        rig
    }

    /// One check, a minute later.
    fn check(&mut self) -> Report {
        self.now += SignedDuration::from_mins(1);
        self.host.set_now(self.now);
        let site = Site {
            host: &self.host,
            connect: &self.site,
            table: &self.tables,
            alerts: &self.alerts,
        };
        let archive = ArchiveLook::default();
        block_on(check(&self.policy, &self.patient, site, archive, self.now))
    }

    /// The actions and failures of so many checks.
    fn minutes(&mut self, count: usize) -> Vec<Action> {
        (0..count).filter_map(|_| self.check().action).collect()
    }

    fn hang(&self) {
        self.host
            .change_software(&self.instance, |software| software.hung = true);
    }

    fn software(&self) -> Software {
        self.host.all_software().remove(0)
    }
}

#[test]
fn a_gateway_in_office_is_seen_from_all_sides() {
    let mut rig = Rig::in_office();
    let look = rig.check().look.unwrap();
    assert_eq!(
        (look.endpoint, look.instance),
        (EndpointLook::Well, InstanceLook::Sound)
    );
}

#[test]
fn a_hung_gateway_is_rebooted_once_a_restart_could_not_be_had() {
    let mut rig = Rig::in_office();
    rig.hang();
    assert_eq!(rig.minutes(4), [Action::Restart, Action::Reboot]);
    rig.minutes(5);
    assert_eq!(rig.check().ill_since, None, "it is well again");
}

#[test]
fn a_gateway_that_others_run_is_told_of_and_nothing_is_done_to_its_machine() {
    let mut rig = Rig::elsewhere();
    assert_eq!(rig.check().look.unwrap().instance, InstanceLook::Unknown);
    rig.host.meddle(&rig.instance, Some(Power::Stop));
    assert_eq!(rig.minutes(60), [Action::Restart], "which cannot be had");
    let subjects: Vec<_> = rig.alerts.told().into_iter().map(|alert| alert.subject).collect();
    assert_eq!(subjects, ["gateway", "gateway repair"]);
}

#[test]
fn a_gateway_that_others_run_is_not_even_restarted_where_nothing_may_be_done() {
    let mut rig = Rig::elsewhere();
    rig.policy.repair_up_to = None;
    rig.host
        .change_software(&rig.instance, |software| software.deaf = true);
    assert_eq!(rig.minutes(60), []);
    assert_eq!(rig.software().restarts, 0);
}

#[test]
fn a_refused_password_is_tried_once_and_then_when_the_parameter_is_written() {
    let mut rig = Rig::in_office();
    rig.host
        .change_software(&rig.instance, |software| software.password = Password::Other);
    assert_eq!(rig.minutes(100), []);
    let rejection = block_on(credentials::rejected(&rig.tables)).unwrap().unwrap();
    assert_eq!(rejection.version, Some(1));
    rig.host
        .change_software(&rig.instance, |software| software.password = Password::Wanted);
    assert!(matches!(
        rig.check().look.unwrap().endpoint,
        EndpointLook::ShutOut(_)
    ));
    rig.policy.password_version = 2;
    assert_eq!(rig.check().look.unwrap().endpoint, EndpointLook::Well);
    assert_eq!(block_on(credentials::rejected(&rig.tables)).unwrap(), None);
}

#[test]
fn the_step_that_was_begun_is_reported_and_starting_what_was_stopped_is_no_other() {
    let mut rig = Rig::in_office();
    rig.host.break_hardware(&rig.instance, false);
    let reports: Vec<Report> = (0..6).map(|_| rig.check()).collect();
    let steps: Vec<_> = reports.iter().filter_map(|report| report.step).collect();
    let actions: Vec<_> = reports.iter().filter_map(|report| report.action).collect();
    assert_eq!(steps, [Rung::StopStart]);
    assert_eq!(actions, [Action::Stop, Action::Start]);
}

/// A try of the poll's whose answer is lost.
fn lose_an_answer(rig: &Rig) {
    let begun = block_on(credentials::begin(&rig.tables, 1, "poll", rig.now)).unwrap();
    let Begun::Try(tried) = begun else {
        panic!("{begun:?}")
    };
    block_on(credentials::settle(&rig.tables, tried, Fate::Lost)).unwrap();
}

#[test]
fn answers_that_the_poll_lost_count_for_the_check_too() {
    let mut rig = Rig::in_office();
    rig.host
        .change_software(&rig.instance, |software| software.password = Password::Other);
    lose_an_answer(&rig);
    rig.now += SignedDuration::from_mins(1);
    lose_an_answer(&rig);
    for _ in 0..4 {
        let look = rig.check().look.unwrap();
        assert!(matches!(look.endpoint, EndpointLook::Silent(_)), "{look:?}");
        assert_eq!(
            block_on(credentials::rejected(&rig.tables)).unwrap(),
            None,
            "it is not tried"
        );
    }
    let look = rig.check().look.unwrap();
    assert!(matches!(look.endpoint, EndpointLook::ShutOut(_)), "{look:?}");
}
