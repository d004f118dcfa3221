//! How a gateway's standing is told to people, from what the loops remember.
#![allow(clippy::unwrap_used)]

use domain::alert::{Severity, Trouble, Watch};
use domain::credentials::Rejection;
use domain::ladder::{self, Outcome, Rung, Symptom, Try};
use domain::recover::{self, Request, Retired, Role, Saga, SagaResult, Step};
use domain::status::{GatewayStatus, Verdict};
use domain::{ImageId, InstanceId};
use jiff::Timestamp;
use std::collections::BTreeMap;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
}

fn well() -> GatewayStatus {
    GatewayStatus {
        role: Some(Role {
            instance_id: InstanceId::new("i-1"),
            endpoint: "https://10.0.0.5".into(),
        }),
        health: ladder::Memory::default(),
        recovery: recover::Memory::default(),
        request: None,
        rejection: None,
    }
}

fn tried(rung: Rung, minute: i64, outcome: Outcome) -> Try {
    Try {
        rung,
        at: at(minute),
        outcome,
    }
}

fn ill(tried: Vec<Try>) -> GatewayStatus {
    GatewayStatus {
        health: ladder::Memory {
            ill_since: Some(at(0)),
            symptom: Some(Symptom::Silent),
            tried,
            ..ladder::Memory::default()
        },
        ..well()
    }
}

fn asked_at(minute: i64, drill: bool) -> Request {
    Request {
        at: at(minute),
        since: at(0),
        reason: "its API does not answer".into(),
        drill,
    }
}

fn saga(drill: bool) -> Saga {
    Saga {
        request: asked_at(1, drill),
        started_at: at(2),
        old: Some(InstanceId::new("i-1")),
        attempt: 2,
        image: Some(ImageId::new("ami-7")),
        image_taken_at: Some(at(-60)),
        new: None,
        step: Step::Prove,
        step_since: at(5),
        answered_at: None,
        lost_devices: None,
    }
}

fn told(status: &GatewayStatus) -> String {
    told_under(Some(Rung::Replace), status)
}

fn told_under(strongest: Option<Rung>, status: &GatewayStatus) -> String {
    let details = status.details(strongest, at(10)).into_iter();
    let lines: Vec<String> = details
        .map(|(subject, text)| format!("{subject}: {text}"))
        .collect();
    format!("{}\n{}", status.verdict(), lines.join("\n"))
}

#[test]
fn a_gateway_that_is_well_has_nothing_to_tell_but_where_it_is() {
    insta::assert_snapshot!(told(&well()), @r"
    well
    gateway: i-1, its API at https://10.0.0.5
    ");
}

#[test]
fn an_illness_is_told_with_its_age_what_was_tried_and_what_is_next() {
    let before = tried(Rung::StopStart, -30, Outcome::Taken);
    let now = tried(Rung::Restart, 3, Outcome::Failed("no connection".into()));
    insta::assert_snapshot!(told(&ill(vec![before, now])), @r"
    ill
    gateway: i-1, its API at https://10.0.0.5
    ill: its API does not answer, for 10m (since 2027-01-15T08:00:00Z)
    tried: stop its instance and start it on other hardware (07:30:00), restart its software (08:03:00, failed: no connection)
    next: if it stays ill, reboot its instance
    ");
}

#[test]
fn nothing_is_next_where_the_operator_allows_no_more() {
    let status = ill(vec![tried(Rung::Reboot, 5, Outcome::Taken)]);
    insta::assert_snapshot!(told_under(Some(Rung::Reboot), &status), @r"
    ill
    gateway: i-1, its API at https://10.0.0.5
    ill: its API does not answer, for 10m (since 2027-01-15T08:00:00Z)
    tried: reboot its instance (08:05:00)
    next: nothing is left to try: a person must look
    ");
}

#[test]
fn a_replacement_is_told_with_its_step_and_the_request_it_began_is_no_longer_waiting() {
    let mut status = ill(Vec::new());
    status.request = Some(asked_at(1, false));
    assert_eq!(status.waiting(at(10)), status.request.as_ref());
    assert_eq!(status.waiting(at(62)), None, "nobody got to it");
    status.recovery.saga = Some(saga(false));
    status.recovery.begun = Some(at(1));
    assert_eq!(status.waiting(at(10)), None);
    insta::assert_snapshot!(told(&status), @r"
    being replaced
    gateway: i-1, its API at https://10.0.0.5
    ill: its API does not answer, for 10m (since 2027-01-15T08:00:00Z)
    replacement: setting it up since 2027-01-15T08:05:00Z, attempt 2 from ami-7, begun 2027-01-15T08:02:00Z: its API does not answer
    ");
}

#[test]
fn a_drill_does_not_make_a_gateway_that_is_well_look_ill() {
    let mut status = well();
    status.recovery.saga = Some(saga(true));
    assert_eq!(status.verdict(), Verdict::Well);
}

#[test]
fn after_a_replacement_its_times_its_losses_and_what_is_on_its_way_out_are_told() {
    let mut status = well();
    status.recovery.last = Some(SagaResult {
        at: at(9),
        success: true,
        drill: false,
        rto_seconds: Some(540),
        rpo_seconds: Some(3_660),
        lost_devices: Some(vec!["CAM-1".into(), "CAM-2".into()]),
    });
    let retired = Retired {
        since: at(8),
        because: "it was replaced".into(),
        at_once: false,
        stopped_at: None,
    };
    status.recovery.retired = BTreeMap::from([(InstanceId::new("i-0"), retired)]);
    let no_image = Trouble {
        subject: "gateway images".into(),
        severity: Severity::Critical,
        text: "there is none".into(),
        patience_looks: 1,
    };
    status.recovery.watch = Watch::default().look(&[no_image], at(4)).0;
    insta::assert_snapshot!(told(&status), @r"
    well
    gateway: i-1, its API at https://10.0.0.5
    last: a replacement succeeded at 2027-01-15T08:09:00Z, recovery time 9m, age of the image 1h 1m, devices to add by hand: CAM-1 CAM-2
    retired: i-0, out since 2027-01-15T08:08:00Z: it was replaced
    alert: gateway images, since 2027-01-15T08:04:00Z
    ");
}

#[test]
fn who_is_shut_out_is_told_so_and_the_gravest_is_the_verdict() {
    let mut status = ill(Vec::new());
    status.recovery.setup_trouble = Some("alarm forwarding is off".into());
    status.rejection = Some(Rejection {
        version: Some(3),
        since: at(1),
        by: "health check".into(),
        locked_until: None,
    });
    insta::assert_snapshot!(told(&status), @r"
    shut out
    gateway: i-1, its API at https://10.0.0.5
    ill: its API does not answer, for 10m (since 2027-01-15T08:00:00Z)
    password: the gateway rejects our password (version 3), seen by health check at 2027-01-15T08:01:00Z
    by hand: alarm forwarding is off
    ");
    status.rejection = None;
    assert_eq!(status.verdict(), Verdict::Ill);
    status.health.ill_since = None;
    assert_eq!(status.verdict(), Verdict::NeedsPerson);
    status.recovery.setup_trouble = None;
    assert_eq!(status.verdict(), Verdict::Well);
    status.role = None;
    assert_eq!(status.verdict(), Verdict::Unknown);
}
