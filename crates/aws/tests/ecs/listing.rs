//! Which tasks are taken for recorders.

use crate::service::{FakeEcs, config};
use crate::service_state::error;
use aws::ecs::EcsConfig;
use domain::ports::{PortError, Tasks};
use domain::{LiveTask, TaskKind};
use jiff::Timestamp;
use serde_json::{Value, json};

async fn list(ecs: &FakeEcs) -> Vec<LiveTask> {
    ecs.tasks().list_tasks().await.expect("the service answers")
}

/// How a single task with these fields is listed.
async fn listed(fields: &[(&str, Value)]) -> Option<LiveTask> {
    let ecs = FakeEcs::default();
    ecs.put_task("task", fields);
    list(&ecs).await.pop()
}

#[tokio::test]
async fn a_list_of_several_pages_is_whole() {
    let ecs = FakeEcs::default();
    for i in 0..250 {
        ecs.put_task(&format!("task-{i:03}"), &[]);
    }
    assert_eq!(list(&ecs).await.len(), 250);
    assert_eq!(
        (
            ecs.requests("ListTasks").len(),
            ecs.requests("DescribeTasks").len()
        ),
        (3, 3)
    );
}

#[tokio::test]
async fn a_list_with_a_failed_part_is_never_a_shorter_list() {
    for (operation, answer) in [
        ("ListTasks", error("ThrottlingException", "Rate exceeded")),
        ("DescribeTasks", error("ThrottlingException", "Rate exceeded")),
        (
            "DescribeTasks",
            (200, json!({"tasks": [], "failures": [{"reason": "ACCESS"}]})),
        ),
        ("DescribeTasks", (200, json!("<html>"))),
    ] {
        let ecs = FakeEcs::default();
        ecs.put_task("task", &[]);
        ecs.answer_next(operation, answer.clone());
        let listed = ecs.tasks().list_tasks().await;
        assert!(listed.is_err(), "{operation} {answer:?}: {listed:?}");
    }
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let ecs = FakeEcs::default();
    for _ in 0..200 {
        ecs.answer_next("ListTasks", (200, json!({"taskArns": [], "nextToken": "again"})));
    }
    let listed = ecs.tasks().list_tasks().await;
    assert!(matches!(listed, Err(PortError::Unknown { .. })), "{listed:?}");
}

#[tokio::test]
async fn tasks_of_other_stacks_are_not_ours() {
    assert_eq!(listed(&[("startedBy", json!("millrace-south"))]).await, None);
}

#[tokio::test]
async fn a_task_that_is_gone_between_two_calls_is_left_out() {
    let ecs = FakeEcs::default();
    ecs.put_task("stays", &[]);
    ecs.answer_next("ListTasks", (200, json!({"taskArns": ["stays", "goes"]})));
    let names: Vec<String> = list(&ecs)
        .await
        .into_iter()
        .map(|task| task.arn.to_string())
        .collect();
    assert_eq!(names, ["stays"]);
}

#[tokio::test]
async fn a_task_is_a_recorder_from_its_launch_until_it_is_asked_to_stop() {
    for (status, desired, expected) in [
        ("PROVISIONING", "RUNNING", Some(false)),
        ("PENDING", "RUNNING", Some(false)),
        ("RUNNING", "RUNNING", Some(false)),
        ("RUNNING", "STOPPED", Some(true)),
        ("DEPROVISIONING", "STOPPED", Some(true)),
        ("STOPPED", "STOPPED", None),
    ] {
        let ecs = FakeEcs::default();
        ecs.put_task(
            "task",
            &[("lastStatus", json!(status)), ("desiredStatus", json!(desired))],
        );
        // As a list that lags has it.
        ecs.answer_next("ListTasks", (200, json!({"taskArns": ["task"]})));
        let stopping = list(&ecs).await.pop().map(|task| task.stopping);
        assert_eq!(stopping, expected, "{status} to be {desired}");
    }
}

#[tokio::test]
async fn a_task_of_another_revision_is_outdated_and_a_family_has_none() {
    for (runs, configured, expected) in [
        ("recorder:7", "recorder:7", false),
        ("recorder:7", "recorder:8", true),
        (
            "recorder:7",
            "arn:aws:ecs:eu-west-1:111122223333:task-definition/recorder:8",
            true,
        ),
        ("recorder:7", "recorder", false),
    ] {
        let ecs = FakeEcs::default();
        let arn = format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/{runs}");
        ecs.put_task("task", &[("taskDefinitionArn", json!(arn))]);
        let config = EcsConfig {
            copy_definition: configured.into(),
            ..config()
        };
        let task = ecs.tasks_with(config).list_tasks().await.unwrap().remove(0);
        assert_eq!(task.outdated, expected, "{runs} where {configured} is wanted");
    }
}

#[tokio::test]
async fn a_task_is_as_old_as_its_launch() {
    let created = listed(&[("startedAt", json!(1_795_000_030.0))]).await.unwrap();
    assert_eq!(
        created.started_at,
        Timestamp::from_millisecond(1_795_000_000_250).unwrap()
    );
    let unknown = listed(&[("createdAt", Value::Null)]).await.unwrap();
    assert_eq!(unknown.started_at, Timestamp::MAX);
}

#[tokio::test]
async fn without_our_tags_the_family_says_which_build_a_task_runs() {
    for (definition, tags, expected) in [
        ("transform-recorder:9", json!([]), TaskKind::Transform),
        ("recorder:9", json!([]), TaskKind::Copy),
        ("transform-recorder-2:1", Value::Null, TaskKind::Copy),
        (
            "recorder:9",
            json!([{"key": "millrace:kind", "value": "transform"}]),
            TaskKind::Transform,
        ),
        (
            "recorder:9",
            json!([{"key": "millrace:kind", "value": "unheard-of"}]),
            TaskKind::Copy,
        ),
    ] {
        let arn = format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/{definition}");
        let task = listed(&[("taskDefinitionArn", json!(arn)), ("tags", tags)])
            .await
            .unwrap();
        assert_eq!(task.kind, expected, "{definition}");
    }
}
