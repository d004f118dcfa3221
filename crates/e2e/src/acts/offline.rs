//! A device goes offline for longer than its grace: its recorder is stopped, and no other.

use super::{key, witness};
use crate::deployment::{CHANNELS, Deployment};
use crate::progress::{say, until};
use anyhow::ensure;
use domain::ChannelKey;
use simulator::Operation;
use simulator::scenario::{DeviceStatus, generated_index};
use std::time::Duration;
use tokio::time::Instant;

/// The grace of two minutes, a poll on either side of it, and the recorder's time to drain.
const STOPPED_WITHIN: Duration = Duration::from_secs(300);

fn device() -> ChannelKey {
    key(3, 1)
}

/// The device goes.
pub(super) fn goes(deployment: &Deployment<'_>, start: Instant) -> anyhow::Result<()> {
    let offline = Operation::SetStatus {
        device: generated_index(3),
        status: DeviceStatus::Offline,
        hint: Some(3),
    };
    deployment.bed.simulator.control().apply(offline)?;
    say(start, "camera 3 goes offline");
    Ok(())
}

/// Waits until its recorder is gone; those of other cameras must be the same as before.
pub(super) async fn is_stopped_alone(deployment: &Deployment<'_>, start: Instant) -> anyhow::Result<()> {
    let before = deployment.task_of(&witness()).await?;
    let device = device();
    until("camera 3 is no longer recorded", STOPPED_WITHIN, async || {
        if deployment.assignment(&device).await?.is_some() {
            return Ok(Err("it is still assigned".to_owned()));
        }
        let rows = deployment.rows(CHANNELS).await?;
        if rows
            .iter()
            .any(|row| row["deviceIndex"] == device.device.as_str())
        {
            return Ok(Err("its row is still there".to_owned()));
        }
        let running = deployment
            .tasks()
            .await?
            .into_iter()
            .filter(|task| task["lastStatus"] == "RUNNING");
        let running = running.count();
        Ok(if running == 3 {
            Ok(())
        } else {
            Err(format!("{running} tasks run"))
        })
    })
    .await?;
    ensure!(
        deployment.task_of(&witness()).await? == before,
        "the recorder of camera 1 changed"
    );
    say(
        start,
        "its recorder is stopped after the grace; the others are the same",
    );
    Ok(())
}
