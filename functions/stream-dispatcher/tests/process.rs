//! The dispatcher as Lambda runs it: its own process, emulated tables, and a cluster whose tasks are entries.
#![allow(clippy::unwrap_used)]

use domain::credentials::{self, Rejection};
use domain::ports::TasksTable;
use jiff::Timestamp;
use lambda::harness::{Cloud, Cluster, Function};
use serde_json::{Value, json};
use std::time::Duration;

async fn dispatcher(cloud: &Cloud, cluster: &Cluster) -> Function {
    let mut environment = cloud.environment();
    environment.extend([
        ("MILLRACE_CLUSTER", cluster.name.clone()),
        ("MILLRACE_TASK_DEFINITION", cluster.definition.clone()),
        ("MILLRACE_TRANSFORM_TASK_DEFINITION", cluster.definition.clone()),
        ("MILLRACE_SUBNETS", "subnet-1,subnet-2".to_owned()),
        ("MILLRACE_SECURITY_GROUPS", "sg-1".to_owned()),
        ("MILLRACE_ASSIGN_PUBLIC_IP", "true".to_owned()),
        ("MILLRACE_LAUNCH_MODE", "FARGATE".to_owned()),
        ("MILLRACE_SPOT_PERCENT", "0".to_owned()),
        ("MILLRACE_ON_DEMAND_BASE", "0".to_owned()),
        ("MILLRACE_CHANNELS_PER_TASK", "1".to_owned()),
        ("MILLRACE_TRANSFORMS_PER_TASK", "1".to_owned()),
    ]);
    Function::start(env!("CARGO_BIN_EXE_stream-dispatcher"), &environment).await
}

async fn world(channels: &[&str]) -> (Cloud, Cluster, Function) {
    let cloud = Cloud::start().await;
    for device in channels {
        cloud.want(device, Timestamp::now()).await;
    }
    let cluster = cloud.cluster().await;
    let dispatcher = dispatcher(&cloud, &cluster).await;
    (cloud, cluster, dispatcher)
}

fn batch() -> Value {
    json!({"Records": [
        {"eventID": "1", "eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": {
            "Keys": {"deviceIndex": {"S": "A"}, "channel": {"S": "1"}}, "SequenceNumber": "100000000001"}},
        {"eventID": "2", "eventName": "INSERT", "dynamodb": {"SequenceNumber": "100000000002"}},
    ]})
}

#[tokio::test]
async fn a_batch_of_the_stream_starts_a_recorder_for_every_wanted_channel_once() {
    let (cloud, cluster, dispatcher) = world(&["A", "B"]).await;
    let answer = dispatcher.invoke(batch()).await;
    assert_eq!(
        answer,
        Ok(json!({"batchItemFailures": []})),
        "{}",
        dispatcher.log()
    );
    assert_eq!(cloud.running(&cluster).await, 2);
    assert_eq!(dispatcher.invoke(batch()).await, answer, "the batch again");
    assert_eq!(cloud.running(&cluster).await, 2);
    let assignments = cloud.tables.list_assignments().await.unwrap();
    assert!(assignments.len() == 2 && assignments.iter().all(|row| row.assignment.task.is_some()));

    let dispatches = dispatcher
        .report(json!({"detail-type": "Scheduled Event"}), "dispatch")
        .await;
    let started: f64 = dispatches
        .iter()
        .filter_map(|round| round["Started"].as_f64())
        .sum();
    let last = dispatches.last().unwrap();
    let names = [
        "Wanted",
        "Recording",
        "NotRecording",
        "Stopped",
        "Refused",
        "LaunchesLeft",
        "Failed",
    ];
    let levels = names.map(|name| last[name].as_f64().unwrap());
    assert_eq!(
        (started, levels),
        (2.0, [2.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
        "{last}"
    );
}

#[tokio::test]
async fn a_batch_is_asked_for_again_when_nothing_could_be_observed() {
    let (cloud, _cluster, dispatcher) = world(&[]).await;
    cloud.lose_channels().await;
    let answer = dispatcher.invoke(batch()).await;
    assert_eq!(
        answer,
        Ok(json!({"batchItemFailures": [{"itemIdentifier": "100000000001"}]}))
    );
    assert_eq!(
        dispatcher.invoke(json!({"detail-type": "Scheduled Event"})).await,
        Ok(Value::Null)
    );
    assert_eq!(dispatcher.events("dispatch")[0]["Failed"], 1.0);
}

#[tokio::test]
async fn garbage_makes_it_look_and_fails_nothing() {
    let (cloud, cluster, dispatcher) = world(&["A"]).await;
    let garbage = json!({"Records": [null, {"dynamodb": {"NewImage": {"x": {"N": "not a number"}}}}]});
    assert_eq!(
        dispatcher.invoke(garbage).await,
        Ok(json!({"batchItemFailures": []}))
    );
    assert_eq!(cloud.running(&cluster).await, 1);
    for garbage in [
        json!(null),
        json!({"detail-type": "ECS Task State Change", "detail": 7}),
    ] {
        assert_eq!(dispatcher.invoke(garbage).await, Ok(Value::Null));
    }
    assert!(dispatcher.log().contains("unknown shape"));
}

#[tokio::test]
async fn a_death_is_told_once_with_what_it_recorded_and_spot_is_no_alarm() {
    let (cloud, _cluster, dispatcher) = world(&["A"]).await;
    dispatcher.invoke(batch()).await.unwrap();
    let task = cloud.tables.list_assignments().await.unwrap()[0]
        .assignment
        .task
        .clone()
        .unwrap();
    let ended = |stop_code: &str, task: &str| {
        json!({"detail-type": "ECS Task State Change", "time": "2026-11-21T05:00:00Z", "detail": {
            "taskArn": task, "clusterArn": "cluster", "lastStatus": "STOPPED", "desiredStatus": "STOPPED",
            "startedBy": aws::ecs::started_by(&cloud.stack), "stopCode": stop_code,
            "stoppedReason": "why", "containers": [{"name": "recorder", "exitCode": 137}]}})
    };
    for _ in 0..3 {
        let event = ended("EssentialContainerExited", task.as_str());
        assert_eq!(dispatcher.invoke(event).await, Ok(Value::Null));
    }
    dispatcher
        .invoke(ended("SpotInterruption", "task/other"))
        .await
        .unwrap();
    // The log of the last invocation is complete once its wide event is.
    dispatcher.report(json!(null), "dispatch").await;
    let told = dispatcher.alerts();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("warning recorder ") && told[0].contains("It recorded A/1"),
        "{told:?}"
    );
}

#[tokio::test]
async fn nothing_is_started_while_the_password_is_rejected() {
    let (cloud, cluster, dispatcher) = world(&["A"]).await;
    let rejection = Rejection {
        version: Some(1),
        since: Timestamp::now(),
        by: "device-poller".into(),
        locked_until: None,
    };
    credentials::reject(&cloud.tables, &rejection).await.unwrap();
    let report = dispatcher.report(batch(), "dispatch").await.pop().unwrap();
    assert_eq!(
        (report["Started"].as_f64(), report["LaunchesLeft"].as_f64()),
        (Some(0.0), Some(1.0))
    );
    let why = report["report"]["credentialsRejected"].as_str().unwrap();
    assert!(why.contains("rejects our password"), "{why}");
    assert_eq!(cloud.running(&cluster).await, 0);
}

#[tokio::test]
async fn more_launches_than_a_round_takes_are_made_in_the_same_invocation() {
    let devices: Vec<String> = (0..120).map(|n| format!("D{n:03}")).collect();
    let (cloud, cluster, dispatcher) = world(&devices.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let limit = Duration::from_secs(300);
    dispatcher.invoke_within(batch(), limit).await.unwrap();
    let rounds = dispatcher.events("dispatch");
    let started: Vec<_> = rounds
        .iter()
        .map(|round| round["Started"].as_f64().unwrap())
        .collect();
    assert_eq!(started.iter().sum::<f64>(), 120.0, "{started:?}");
    assert!(started.len() >= 2 && started[0] == 100.0, "{started:?}");
    // The cluster's list comes in pages of a hundred.
    assert_eq!(cloud.running(&cluster).await, 100);
    let assignments = cloud.tables.list_assignments().await.unwrap();
    assert!(assignments.len() == 120 && assignments.iter().all(|row| row.assignment.task.is_some()));
}
