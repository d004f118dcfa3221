//! The dispatcher is broken for a minute while things happen: recorders record on, and what happened is made up for.

use super::{POLLED_WITHIN, key, killed, task_of, witness};
use crate::bed::camera;
use crate::deployment::{DISPATCHER, Deployment};
use crate::footage;
use crate::progress::{say, until};
use anyhow::{Context, ensure};
use serde_json::json;
use simulator::Operation;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the dispatcher stays broken.
const BROKEN_FOR: Duration = Duration::from_secs(65);

/// From its repair to a recorder for everything: the records and events it missed, or the schedule.
const REPAIRED_WITHIN: Duration = Duration::from_secs(120);

/// Breaks the dispatcher, kills a recorder and adds a camera, and repairs it.
pub(super) async fn dispatcher_loses_nothing(
    deployment: &Deployment<'_>,
    start: Instant,
) -> anyhow::Result<()> {
    let from = deployment.segments(&witness()).await?;
    let from = from.last().context("camera 1 is recorded")?.start;
    let configuration = deployment.stack.configuration(DISPATCHER).await?;
    let environment = configuration["Environment"]["Variables"].clone();
    let mut broken = environment.clone();
    broken["MILLRACE_STATE"] = json!("broken");
    deployment.stack.set_environment(DISPATCHER, &broken).await?;
    say(
        start,
        "the dispatcher is deployed broken; a recorder is killed and a camera added",
    );

    let (dead, killed_at) = killed::kill(deployment, &key(2, 2)).await?;
    let added = Operation::AddDevice { device: camera(4, 1) };
    deployment.bed.simulator.control().apply(added)?;
    sleep(BROKEN_FOR).await;
    let recorded = [key(2, 2), key(4, 1)];
    for channel in &recorded {
        let task = deployment.task_of(channel).await?;
        ensure!(
            task.is_none(),
            "{channel} is recorded although the dispatcher is broken"
        );
    }

    deployment.stack.set_environment(DISPATCHER, &environment).await?;
    say(start, "it is repaired");
    killed::replacement(deployment, &recorded[0], &dead, REPAIRED_WITHIN).await?;
    task_of(deployment, &recorded[1], REPAIRED_WITHIN.max(POLLED_WITHIN)).await?;
    killed::hole_is_explained(deployment, &recorded[0], killed_at).await?;
    undisturbed(deployment, from).await?;
    say(
        start,
        "both are recorded, and camera 1 has every frame of that time",
    );
    Ok(())
}

/// Every frame of the camera nothing happened to is there, from a moment until now.
async fn undisturbed(deployment: &Deployment<'_>, from: jiff::Timestamp) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now();
    let keys = until(
        "camera 1 is archived until now",
        super::ARCHIVED_WITHIN,
        async || {
            let keys = footage::since(deployment, &witness(), from).await?;
            let whole = keys.last().is_some_and(|key| key.end() >= now);
            Ok(if whole {
                Ok(keys)
            } else {
                Err(format!("nothing at {now}"))
            })
        },
    )
    .await?;
    footage::without_a_hole(&witness(), &footage::frames(deployment, &keys).await?)
}
