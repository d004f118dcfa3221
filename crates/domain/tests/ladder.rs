//! The ladder's promises: named illnesses as snapshots of what is done minute by minute, and properties of the plan.
#![allow(clippy::unwrap_used)]

use domain::ladder::{
    Action, ArchiveLook, DevicesLook, EndpointLook, InstanceLook, LadderPolicy, Look, Memory, Outcome, Rung,
    plan,
};
use domain::{Alert, InstanceId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::fmt::Write;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
}

fn well() -> Look {
    Look {
        endpoint: EndpointLook::Well,
        instance: InstanceLook::Sound,
        devices: DevicesLook::Listed {
            devices: 5,
            online: 4,
        },
        archive: ArchiveLook {
            wanted: 4,
            no_video: 0,
        },
    }
}

fn silent() -> Look {
    Look {
        endpoint: EndpointLook::Silent("connection refused".into()),
        devices: DevicesLook::Unknown,
        ..well()
    }
}

fn on(instance: InstanceLook) -> Look {
    Look { instance, ..silent() }
}

/// A ladder that is asked once a minute, and whose steps are taken.
struct Course {
    policy: LadderPolicy,
    memory: Memory,
    instance: InstanceId,
    minute: i64,
    told: Vec<Alert>,
}

impl Course {
    fn new() -> Self {
        Self {
            policy: LadderPolicy::default(),
            memory: Memory::default(),
            instance: InstanceId::new("i-1"),
            minute: 0,
            told: Vec::new(),
        }
    }

    fn look(&mut self, look: &Look) -> Option<Action> {
        self.minute += 1;
        let plan = plan(
            &self.policy,
            &self.memory,
            &self.instance,
            false,
            look,
            at(self.minute),
        );
        self.memory = plan.memory;
        self.told.append(&mut self.memory.outbox);
        if plan.action.is_some()
            && let Some(tried) = self.memory.tried.last_mut()
        {
            tried.outcome = Outcome::Taken;
        }
        plan.action
    }

    /// What is done in so many minutes of one look, as `minute action`.
    fn course(&mut self, look: &Look, minutes: i64) -> String {
        let mut text = String::new();
        for _ in 0..minutes {
            if let Some(action) = self.look(look) {
                write!(text, "{} {action:?}, ", self.minute).unwrap();
            }
        }
        text
    }
}

#[test]
fn a_gateway_that_stays_silent_climbs_step_by_step_to_its_replacement() {
    let mut course = Course::new();
    insta::assert_snapshot!(course.course(&silent(), 60), @"3 Restart, 7 Reboot, 15 Stop, 30 Replace,");
    let texts: Vec<_> = course
        .told
        .iter()
        .take(2)
        .map(|alert| alert.text.as_str())
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @"
    the gateway is ill: its API does not answer (connection refused), for 2m (since 2027-01-15T08:01:00Z). Tried before: nothing. Now: restart its software. If that does not help within 4m, the next step is to reboot its instance.
    the gateway is ill: its API does not answer (connection refused), for 6m (since 2027-01-15T08:01:00Z). Tried before: restart its software (08:03:00). Now: reboot its instance. If that does not help within 8m, the next step is to stop its instance and start it on other hardware.
    ");
}

#[test]
fn failing_hardware_jumps_ahead_to_other_hardware() {
    let mut course = Course::new();
    insta::assert_snapshot!(course.course(&on(InstanceLook::SystemFailed), 20), @"2 Stop, 17 Replace,");
}

#[test]
fn failing_hardware_does_not_wait_for_a_milder_step_to_help() {
    let mut course = Course::new();
    let mut text = course.course(&silent(), 4);
    text += &course.course(&on(InstanceLook::SystemFailed), 3);
    insta::assert_snapshot!(text, @"3 Restart, 6 Stop,");
}

#[test]
fn an_instance_that_we_stopped_is_started_at_once_when_it_is_down() {
    let mut course = Course::new();
    course.course(&on(InstanceLook::SystemFailed), 2);
    course.course(&on(InstanceLook::Changing), 1);
    insta::assert_snapshot!(course.course(&on(InstanceLook::Stopped), 2), @"4 Start, 5 Start,");
}

#[test]
fn an_instance_that_somebody_stopped_is_started() {
    let mut course = Course::new();
    insta::assert_snapshot!(course.course(&on(InstanceLook::Stopped), 3), @"2 Start, 3 Start,");
}

#[test]
fn an_instance_that_is_gone_is_replaced_however_lately_one_was() {
    let mut course = Course::new();
    insta::assert_snapshot!(course.course(&on(InstanceLook::Gone), 40), @"2 Replace, 17 Replace, 32 Replace,");
}

#[test]
fn a_hiccup_is_not_worth_a_step() {
    let mut course = Course::new();
    for _ in 0..50 {
        assert_eq!(course.course(&silent(), 2), "");
        course.course(&well(), 3);
    }
    assert_eq!(course.told, [], "nor of a word");
}

#[test]
fn a_gateway_that_falls_ill_after_every_restart_climbs() {
    let mut course = Course::new();
    let mut text = String::new();
    for _ in 0..3 {
        text += &course.course(&silent(), 3);
        course.course(&well(), 10);
    }
    insta::assert_snapshot!(text, @"3 Restart, 16 Reboot, 29 Stop,");
}

#[test]
fn cameras_that_are_all_away_never_end_in_a_replacement() {
    let mut course = Course::new();
    let look = Look {
        devices: DevicesLook::Listed {
            devices: 5,
            online: 0,
        },
        ..well()
    };
    insta::assert_snapshot!(course.course(&look, 100), @"3 Restart, 7 Reboot,");
    assert!(course.told.iter().any(|alert| alert.subject == "gateway repair"));
}

#[test]
fn a_stale_archive_is_the_gateways_fault_only_when_every_recorder_says_so() {
    let mut course = Course::new();
    let mut look = well();
    look.archive = ArchiveLook {
        wanted: 4,
        no_video: 3,
    };
    assert_eq!(course.course(&look, 30), "");
    look.archive.no_video = 4;
    insta::assert_snapshot!(course.course(&look, 30), @"33 Restart, 37 Reboot,");
}

#[test]
fn a_refused_password_is_no_reason_for_any_step() {
    let mut course = Course::new();
    let look = Look {
        endpoint: EndpointLook::ShutOut("the gateway rejects our password".into()),
        devices: DevicesLook::Unknown,
        ..well()
    };
    assert_eq!(course.course(&look, 300), "");
    let subjects: Vec<_> = course.told.iter().map(|alert| alert.subject.as_str()).collect();
    assert_eq!(subjects, ["gateway password"], "and people are told once");
}

#[test]
fn who_is_not_let_in_does_not_blame_the_gateway_for_missing_video() {
    let mut course = Course::new();
    let mut look = well();
    look.archive.no_video = 4;
    for endpoint in [
        EndpointLook::ShutOut("the account is locked".into()),
        EndpointLook::Stranger("a `PRINTER`".into()),
    ] {
        look.endpoint = endpoint;
        assert_eq!(course.course(&look, 50), "");
    }
}

#[test]
fn repairs_go_as_far_as_they_may_and_then_a_person_is_told() {
    let mut course = Course::new();
    course.policy.repair_up_to = Some(Rung::Reboot);
    insta::assert_snapshot!(course.course(&silent(), 60), @"3 Restart, 7 Reboot,");
    let texts: Vec<_> = course
        .told
        .iter()
        .skip(1)
        .map(|alert| alert.text.as_str())
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @"
    the gateway is ill: its API does not answer (connection refused), for 6m (since 2027-01-15T08:01:00Z). Tried before: restart its software (08:03:00). Now: reboot its instance. If that does not help, a person is needed.
    the gateway is ill and nothing is left to try: its API does not answer (connection refused). Tried: restart its software (08:03:00), reboot its instance (08:07:00). No more is allowed than to reboot its instance. A person must look; what was tried is tried again when it is longer ago
    ");
}

#[test]
fn an_instance_that_is_gone_is_told_where_nothing_may_be_done() {
    let mut course = Course::new();
    course.policy.repair_up_to = None;
    assert_eq!(course.course(&on(InstanceLook::Gone), 60), "");
    let told: Vec<_> = course.told.iter().map(|alert| alert.text.as_str()).collect();
    insta::assert_snapshot!(told.join("\n"), @"the gateway is ill and nothing is left to try: its instance was terminated. Tried: nothing. No repair is allowed. A person must look; what was tried is tried again when it is longer ago");
}

#[test]
fn a_stranger_at_the_gateways_address_is_told_and_not_treated() {
    let mut course = Course::new();
    let look = Look {
        endpoint: EndpointLook::Stranger("a `PRINTER`".into()),
        devices: DevicesLook::Unknown,
        ..well()
    };
    assert_eq!(course.course(&look, 100), "");
    assert_eq!(course.told[0].subject, "gateway identity");
}

#[test]
fn a_new_instance_starts_at_the_foot_and_is_not_replaced_again_soon() {
    let mut course = Course::new();
    course.course(&silent(), 40);
    course.instance = InstanceId::new("i-2");
    course.course(&well(), 5);
    insta::assert_snapshot!(course.course(&silent(), 100), @"48 Restart, 52 Reboot, 60 Stop,");
    assert!(course.told.iter().any(|alert| alert.subject == "gateway repair"));
}

#[test]
fn a_step_the_host_is_too_busy_for_is_asked_for_again_and_then_climbed_past() {
    let mut course = Course::new();
    let mut actions = Vec::new();
    for _ in 0..7 {
        if let Some(action) = course.look(&on(InstanceLook::SoftwareFailed)) {
            course.memory.tried.last_mut().unwrap().outcome = Outcome::Throttled;
            actions.push(action);
        }
    }
    assert_eq!(
        actions,
        [
            Action::Reboot,
            Action::Reboot,
            Action::Reboot,
            Action::Stop,
            Action::Stop
        ]
    );
}

#[test]
fn a_doubled_look_changes_nothing() {
    let mut course = Course::new();
    course.course(&silent(), 2);
    let now = at(2) + SignedDuration::from_secs(20);
    let doubled = plan(
        &course.policy,
        &course.memory,
        &course.instance,
        false,
        &silent(),
        now,
    );
    assert_eq!((doubled.memory, doubled.action), (course.memory, None));
}

#[test]
fn a_well_gateway_writes_nothing_once_it_is_known() {
    let mut course = Course::new();
    course.look(&well());
    let memory = course.memory.clone();
    course.course(&well(), 10);
    assert_eq!(course.memory, memory);
}

#[test]
fn recovery_is_told_with_what_was_tried() {
    let mut course = Course::new();
    course.course(&silent(), 4);
    course.course(&well(), 3);
    insta::assert_snapshot!(course.told.last().unwrap().text, @"the gateway is well again after 6m (since 2027-01-15T08:01:00Z). Tried: restart its software (08:03:00).");
}

fn looks() -> impl Strategy<Value = Look> {
    let endpoint = prop_oneof![
        3 => Just(EndpointLook::Well),
        3 => Just(EndpointLook::Silent("x".into())),
        1 => Just(EndpointLook::ShutOut("x".into())),
        1 => Just(EndpointLook::Stranger("x".into())),
    ];
    let instance = prop_oneof![
        4 => Just(InstanceLook::Sound),
        1 => Just(InstanceLook::Unknown),
        1 => Just(InstanceLook::Changing),
        1 => Just(InstanceLook::SystemFailed),
        1 => Just(InstanceLook::SoftwareFailed),
        1 => Just(InstanceLook::Stopped),
        1 => Just(InstanceLook::Gone),
    ];
    let devices = prop_oneof![
        Just(DevicesLook::Unknown),
        (0_usize..4, 0_usize..4).prop_map(|(devices, online)| DevicesLook::Listed { devices, online }),
    ];
    let archive = (0_usize..4, 0_usize..4).prop_map(|(wanted, no_video)| ArchiveLook { wanted, no_video });
    (endpoint, instance, devices, archive).prop_map(|(endpoint, instance, devices, archive)| Look {
        endpoint,
        instance,
        devices,
        archive,
    })
}

proptest! {
    #[test]
    fn whatever_is_seen_no_step_comes_without_its_looks_nor_during_a_replacement(
        looks in prop::collection::vec((looks(), any::<bool>(), 30_i64..200), 1..60),
        repair_up_to in prop::option::of(prop::sample::select(&Rung::ALL[..])),
    ) {
        let policy = LadderPolicy { repair_up_to, ..LadderPolicy::default() };
        let instance = InstanceId::new("i-1");
        let mut memory = Memory::default();
        let mut now = at(0);
        let mut ill_in_a_row = 0_u32;
        for (look, replacing, seconds) in looks {
            now += SignedDuration::from_secs(seconds);
            let symptom = look.symptom(&policy);
            ill_in_a_row = if symptom.is_some() { ill_in_a_row + 1 } else { 0 };
            let plan = plan(&policy, &memory, &instance, replacing, &look, now);
            if let Some(action) = plan.action {
                prop_assert!(!replacing);
                prop_assert!(plan.memory.tried.last().is_some_and(|tried| policy.allows(tried.rung)));
                let symptom = symptom.expect("no step without a symptom");
                prop_assert!(action == Action::Start || ill_in_a_row >= policy.confirm_looks);
                if action == Action::Replace {
                    prop_assert_eq!(symptom.last_rung(), Rung::Replace);
                }
            }
            prop_assert!(plan.memory.outbox.len() <= 20);
            prop_assert!(plan.memory.tried.len() <= 60);
            memory = plan.memory;
        }
    }
}
