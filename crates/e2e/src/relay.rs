//! The events ECS would send and MiniStack does not: what becomes of tasks, told as badly as AWS reserves the right to
//! tell it, twice and out of order.

use crate::deployment::{Deployment, Row};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

/// How often tasks are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Of an event about a task that has stopped; earlier ones of the same task have smaller versions.
const STOPPED_VERSION: u64 = 5;

/// Tells what becomes of every task, until it is dropped.
pub(crate) async fn run(deployment: &Deployment<'_>) -> anyhow::Result<Infallible> {
    let mut told = BTreeMap::new();
    loop {
        for task in deployment.tasks().await? {
            let arn = task["taskArn"].as_str().unwrap_or_default().to_owned();
            let status = task["lastStatus"].as_str().unwrap_or_default().to_owned();
            if told.get(&arn) == Some(&status) {
                continue;
            }
            match status.as_str() {
                "RUNNING" => {
                    let running = detail(&task, "RUNNING", STOPPED_VERSION - 2);
                    deployment.put_task_event(&running).await?;
                }
                "STOPPED" => tell_stopped(deployment, &task).await?,
                _on_its_way => {}
            }
            told.insert(arn, status);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn tell_stopped(deployment: &Deployment<'_>, task: &Row) -> anyhow::Result<()> {
    let stopped = detail(task, "STOPPED", STOPPED_VERSION);
    deployment.put_task_event(&stopped).await?;
    deployment.put_task_event(&stopped).await?;
    let late = detail(task, "RUNNING", STOPPED_VERSION - 1);
    deployment.put_task_event(&late).await
}

/// The task as its event shows it (Amazon ECS Developer Guide, "Amazon ECS task state change events").
fn detail(task: &Row, status: &str, version: u64) -> Value {
    let mut detail = task.clone();
    detail["lastStatus"] = json!(status);
    detail["version"] = json!(version);
    if status != "STOPPED" {
        detail["desiredStatus"] = json!("RUNNING");
        for field in ["stopCode", "stoppedReason", "stoppedAt", "stoppingAt"] {
            if let Some(detail) = detail.as_object_mut() {
                detail.remove(field);
            }
        }
    }
    detail
}
