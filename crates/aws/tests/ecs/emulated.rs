//! The host on an emulator, which has everything but idempotent launches.

use crate::service::config;
use aws::ecs::{EcsConfig, EcsTasks};
use aws::harness::{Emulator, unused_name};
use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{Compatibility, ContainerDefinition, NetworkMode};
use domain::contract::host;

/// Runs the promise on a cluster of its own.
fn with_emulator(promise: &impl AsyncFn(&EcsTasks)) {
    let sdk = Emulator::ministack().sdk_config();
    let config = EcsConfig {
        cluster: unused_name(),
        ..config()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        prepare(&sdk, &config).await;
        promise(&EcsTasks::new(&sdk, config)).await;
    });
}

async fn prepare(sdk: &SdkConfig, config: &EcsConfig) {
    let client = Client::new(sdk);
    let cluster = client.create_cluster().cluster_name(&config.cluster);
    let cluster = cluster
        .capacity_providers("FARGATE")
        .capacity_providers("FARGATE_SPOT");
    cluster.send().await.expect("the emulator makes a cluster");
    define(&client, &config.copy_definition).await;
    define(&client, &config.transform_definition).await;
}

async fn define(client: &Client, family: &str) {
    let container = ContainerDefinition::builder()
        .name("recorder")
        .image("recorder:latest")
        .build();
    let defined = client
        .register_task_definition()
        .family(family)
        .network_mode(NetworkMode::Awsvpc)
        .requires_compatibilities(Compatibility::Fargate)
        .cpu("256")
        .memory("512")
        .container_definitions(container);
    defined
        .send()
        .await
        .expect("the emulator takes a task definition");
}

#[test]
fn a_started_task_is_listed() {
    with_emulator(&host::a_started_task_is_listed);
}

#[test]
fn another_launch_is_another_task() {
    with_emulator(&host::another_launch_is_another_task);
}

#[test]
fn the_two_builds_are_told_apart() {
    with_emulator(&host::the_two_builds_are_told_apart);
}

#[test]
fn a_stopped_task_is_not_taken_for_a_recorder() {
    with_emulator(&host::a_stopped_task_is_not_taken_for_a_recorder);
}

#[test]
fn a_stop_of_what_is_gone_is_no_error() {
    with_emulator(&host::a_stop_of_what_is_gone_is_no_error);
}
