//! What ECS is asked for.

use crate::service::{FakeEcs, config, launch};
use aws::ecs::{EcsConfig, LaunchMode};
use domain::TaskKind;
use domain::ports::Tasks;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn fargate(spot_percent: u8, on_demand_base: u32) -> LaunchMode {
    LaunchMode::Fargate {
        spot_percent,
        on_demand_base,
    }
}

/// The one RunTask request that starting a task with this configuration makes.
async fn asked(config: EcsConfig) -> Value {
    let ecs = FakeEcs::default();
    let started = ecs.tasks_with(config).start_task(&launch("token")).await;
    started.expect("the service starts a task");
    let mut requests = ecs.requests("RunTask");
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

#[tokio::test]
async fn a_launch_asks_for_one_named_task_and_overrides_nothing() {
    let asked = asked(EcsConfig {
        launch: fargate(0, 0),
        ..config()
    })
    .await;
    assert_eq!(
        asked,
        json!({
            "cluster": "cell",
            "taskDefinition": "recorder",
            "count": 1,
            "clientToken": "token",
            "startedBy": "millrace-north",
            "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "base": 0, "weight": 1}],
            "platformVersion": "LATEST",
            "enableECSManagedTags": true,
            "propagateTags": "TASK_DEFINITION",
            "networkConfiguration": {"awsvpcConfiguration": {
                "subnets": ["subnet-1", "subnet-2"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "ENABLED",
            }},
            "tags": [
                {"key": "millrace:stack", "value": "millrace-north"},
                {"key": "millrace:kind", "value": "copy"},
                {"key": "millrace:channels", "value": "A/1 =D0=BA=D0=B0=D0=BC=D0=B5=D1=80=D0=B0/2"},
            ],
        })
    );
}

#[tokio::test]
async fn without_public_addresses_ecs_is_told_so() {
    let private = EcsConfig {
        assign_public_ip: false,
        ..config()
    };
    let network = &asked(private).await["networkConfiguration"]["awsvpcConfiguration"];
    assert_eq!(network["assignPublicIp"], "DISABLED");
}

#[tokio::test]
async fn instances_are_asked_for_what_instances_can() {
    let asked = asked(EcsConfig {
        launch: LaunchMode::Ec2,
        ..config()
    })
    .await;
    assert_eq!(asked["launchType"], "EC2");
    assert_eq!(asked["capacityProviderStrategy"], Value::Null);
    assert_eq!(asked["platformVersion"], Value::Null);
    assert_eq!(
        asked["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"],
        Value::Null
    );
}

#[tokio::test]
async fn a_network_mode_without_interfaces_is_given_none() {
    let asked = asked(EcsConfig {
        launch: LaunchMode::Ec2,
        subnets: vec![],
        ..config()
    })
    .await;
    assert_eq!(asked["networkConfiguration"], Value::Null);
}

#[tokio::test]
async fn a_channel_that_needs_ffmpeg_gets_the_recorder_that_has_it() {
    let ecs = FakeEcs::default();
    let mut launch = launch("token");
    launch.kind = TaskKind::Transform;
    ecs.tasks().start_task(&launch).await.unwrap();
    assert_eq!(ecs.requests("RunTask")[0]["taskDefinition"], "transform-recorder");
}

#[tokio::test]
async fn the_base_counts_the_tasks_that_already_run_on_demand() {
    let ecs = FakeEcs::default();
    ecs.put_task("on-demand", &[("capacityProviderName", json!("FARGATE"))]);
    ecs.put_task("spot", &[("capacityProviderName", json!("FARGATE_SPOT"))]);
    let tasks = ecs.tasks_on(fargate(100, 2));
    tasks.list_tasks().await.unwrap();
    tasks.start_task(&launch("fills-the-base")).await.unwrap();
    tasks.start_task(&launch("beyond-it")).await.unwrap();
    let providers: Vec<Value> = ecs
        .requests("RunTask")
        .into_iter()
        .map(|request| request["capacityProviderStrategy"][0]["capacityProvider"].clone())
        .collect();
    assert_eq!(providers, ["FARGATE", "FARGATE_SPOT"]);
}

#[tokio::test]
async fn launches_beyond_the_first_few_wait_their_turn() {
    let (ecs, since) = (FakeEcs::default(), Instant::now());
    let tasks = ecs.tasks();
    for i in 0..13 {
        tasks.start_task(&launch(&format!("token-{i}"))).await.unwrap();
    }
    // Ten go at once, three wait a tenth of a second each.
    assert!(
        since.elapsed() >= Duration::from_millis(290),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn a_stop_says_that_it_was_the_dispatcher_and_why() {
    let ecs = FakeEcs::default();
    ecs.put_task("task", &[]);
    let task = "task".into();
    ecs.tasks().stop_task(&task, "it has no channel").await.unwrap();
    let expected = json!({"cluster": "cell", "task": "task", "reason": "millrace: it has no channel"});
    assert_eq!(ecs.requests("StopTask"), [expected]);
}
