//! What an event of a task means to people.

use aws::ecs::{Ending, TaskStateChange};
use serde_json::{Value, json};

/// An event as the Amazon ECS Developer Guide shows it ("Amazon ECS task state change events"), of a task that stopped.
fn event(fields: &[(&str, Value)]) -> TaskStateChange {
    let mut detail = json!({
        "attachments": [{"id": "1789bcae", "type": "eni", "status": "ATTACHED", "details": []}],
        "attributes": [{"name": "ecs.cpu-architecture", "value": "arm64"}],
        "availabilityZone": "us-west-2b",
        "capacityProviderName": "FARGATE_SPOT",
        "clusterArn": "arn:aws:ecs:us-west-2:111122223333:cluster/cell",
        "connectivity": "CONNECTED",
        "containers": [{
            "containerArn": "arn:aws:ecs:us-west-2:111122223333:container/cf159fd6",
            "exitCode": 0,
            "lastStatus": "STOPPED",
            "name": "recorder",
            "image": "111122223333.dkr.ecr.us-west-2.amazonaws.com/recorder:latest",
            "cpu": "0"
        }],
        "cpu": "256",
        "createdAt": "2026-11-21T17:57:34.402Z",
        "desiredStatus": "STOPPED",
        "enableExecuteCommand": false,
        "group": "family:recorder",
        "lastStatus": "STOPPED",
        "launchType": "FARGATE",
        "startedBy": "millrace-north",
        "taskArn": "arn:aws:ecs:us-west-2:111122223333:task/cell/1f8a1e2d3c",
        "taskDefinitionArn": "arn:aws:ecs:us-west-2:111122223333:task-definition/recorder:1",
        "updatedAt": "2026-11-21T17:57:38.103Z",
        "version": 7
    });
    for (name, value) in fields {
        detail[*name] = value.clone();
    }
    serde_json::from_value(detail).expect("the documented event is read")
}

fn ended(code: &str, reason: &str) -> TaskStateChange {
    event(&[("stopCode", json!(code)), ("stoppedReason", json!(reason))])
}

fn exited(exit_code: Option<i32>, reason: Option<&str>) -> TaskStateChange {
    event(&[
        ("stopCode", json!("EssentialContainerExited")),
        ("stoppedReason", json!("Essential container in task exited")),
        (
            "containers",
            json!([{"name": "recorder", "exitCode": exit_code, "reason": reason}]),
        ),
    ])
}

#[test]
fn every_stop_that_ecs_documents_has_a_meaning() {
    for (code, reason, ending) in [
        ("UserInitiated", "millrace: it has no channel", Ending::Asked),
        ("UserInitiated", "Task stopped by user", Ending::StoppedByOthers),
        (
            "ServiceSchedulerInitiated",
            "Scaling activity initiated",
            Ending::StoppedByOthers,
        ),
        (
            "SpotInterruption",
            "Your Spot Task was interrupted.",
            Ending::SpotInterrupted,
        ),
        (
            "TerminationNotice",
            "Your Spot Task was interrupted.",
            Ending::SpotInterrupted,
        ),
        (
            "TerminationNotice",
            "ECS is performing maintenance on the underlying infrastructure hosting the task.",
            Ending::Retired,
        ),
        (
            "TaskFailedToStart",
            "CannotPullContainerError: pull image manifest has been retried 5 time(s)",
            Ending::NeverStarted,
        ),
        (
            "TaskFailedToStart",
            "ResourceInitializationError: unable to pull secrets or registry auth",
            Ending::NeverStarted,
        ),
        ("InfrastructureHealth", "", Ending::HostFailed),
        ("", "Host EC2 (instance i-0abc) terminated.", Ending::HostFailed),
        ("SomethingNew", "new words", Ending::Unexplained),
        ("", "", Ending::Unexplained),
    ] {
        assert_eq!(ended(code, reason).ending(), Some(ending), "{code} {reason}");
    }
}

#[test]
fn a_recorder_that_ends_in_order_is_told_from_one_that_dies() {
    let killed = Some("OutOfMemoryError: Container killed due to memory usage");
    for (exit_code, reason, ending) in [
        (Some(0), None, Ending::Drained),
        (Some(1), None, Ending::Crashed),
        (Some(137), killed, Ending::Crashed),
        (None, None, Ending::Crashed),
        (Some(0), Some("CannotStopContainerError"), Ending::Crashed),
    ] {
        assert_eq!(
            exited(exit_code, reason).ending(),
            Some(ending),
            "{exit_code:?} {reason:?}"
        );
    }
}

#[test]
fn a_sidecar_that_aws_adds_does_not_make_a_crash() {
    let beside = event(&[
        ("stopCode", json!("EssentialContainerExited")),
        (
            "containers",
            json!([{"name": "aws-guardduty-agent-x1", "exitCode": 137}, {"name": "recorder", "exitCode": 0}]),
        ),
    ]);
    assert_eq!(beside.ending(), Some(Ending::Drained));
}

#[test]
fn everyday_endings_alarm_nobody() {
    for (change, alarming) in [
        (ended("UserInitiated", "millrace: it has no channel"), false),
        (
            ended("SpotInterruption", "Your Spot Task was interrupted."),
            false,
        ),
        (exited(Some(0), None), false),
        (exited(Some(101), None), true),
        (ended("UserInitiated", "Task stopped by user"), true),
        (ended("TaskFailedToStart", "CannotPullContainerError"), true),
    ] {
        assert_eq!(change.ending().unwrap().is_alarming(), alarming, "{change:?}");
    }
}

#[test]
fn a_task_that_is_wanted_to_run_does_not_end() {
    let running = event(&[
        ("desiredStatus", json!("RUNNING")),
        ("lastStatus", json!("RUNNING")),
    ]);
    assert_eq!(
        (running.ending(), running.explain(), running.is_over()),
        (None, None, false)
    );
}

#[test]
fn a_spot_notice_is_an_ending_that_is_not_over() {
    let mut notice = ended("SpotInterruption", "Your Spot Task was interrupted.");
    notice.last_status = "RUNNING".into();
    assert_eq!(
        (notice.ending(), notice.is_over()),
        (Some(Ending::SpotInterrupted), false)
    );
}

#[test]
fn people_are_told_what_ended_why_and_what_happens_next() {
    let killed = exited(
        Some(137),
        Some("OutOfMemoryError: Container killed due to memory usage"),
    );
    assert_eq!(
        killed.explain().unwrap(),
        "recorder 1f8a1e2d3c died with exit code 137 (Essential container in task exited; OutOfMemoryError: \
         Container killed due to memory usage); another is started for what is still wanted. Its log says what \
         happened before"
    );
    assert_eq!(
        ended("SpotInterruption", "Your Spot Task was interrupted.")
            .explain()
            .unwrap(),
        "recorder 1f8a1e2d3c was interrupted because Spot needs its capacity (Your Spot Task was interrupted.); \
         another takes over what is still wanted"
    );
}

#[test]
fn the_words_of_a_hostile_reason_are_bounded() {
    let endless = ended("TaskFailedToStart", &"x".repeat(100_000));
    assert!(endless.explain().unwrap().len() < 1_000);
}

#[test]
fn events_of_other_stacks_are_told_from_ours() {
    let change = event(&[]);
    assert!(change.is_of("millrace-north"));
    assert!(!change.is_of("millrace-south"));
    assert!(!event(&[("startedBy", Value::Null)]).is_of("millrace-north"));
}

#[test]
fn an_event_with_only_what_every_task_has_is_read() {
    let change: TaskStateChange = serde_json::from_value(json!({
        "taskArn": "arn:aws-cn:ecs:cn-north-1:111122223333:task/1f8a",
        "clusterArn": "arn:aws-cn:ecs:cn-north-1:111122223333:cluster/cell",
        "lastStatus": "PROVISIONING",
        "desiredStatus": "RUNNING",
    }))
    .unwrap();
    assert_eq!((change.short_name(), change.ending()), ("1f8a", None));
}
