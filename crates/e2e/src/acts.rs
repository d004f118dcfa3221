//! What happens to the deployment, act by act, and what must be true after each.

mod archive;
mod broken;
mod killed;
mod managed;
mod offline;
mod quiet;
mod recorded;
mod secrets;

use crate::deployment::Deployment;
use crate::progress::say;
use anyhow::bail;
use domain::ChannelKey;
use jiff::Timestamp;
use simulator::scenario::generated_index;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// From a change on the gateway to a recorder that runs: a poll a minute, a stream record, a start.
const POLLED_WITHIN: Duration = Duration::from_secs(100);

/// From a start to a segment of ten seconds in the archive.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(60);

/// HTTP's word for a call that a policy does not allow.
const FORBIDDEN: u16 = 403;

/// All acts, in their order, on a stack of this template.
pub(crate) async fn play(deployment: &Deployment<'_>, template: &Path, start: Instant) -> anyhow::Result<()> {
    let began = Timestamp::now();
    recorded::all_channels(deployment, start).await?;
    offline::goes(deployment, start)?;
    killed::is_replaced_with_one_alert(deployment, start).await?;
    offline::is_stopped_alone(deployment, start).await?;
    broken::dispatcher_loses_nothing(deployment, start).await?;
    quiet::world_costs_what_is_written(deployment, start).await?;
    archive::is_kept(deployment, start).await?;
    archive::episode_is_made_once(deployment, start).await?;
    nothing_was_denied(deployment, began)?;
    say(start, "the template's policies allowed every call");
    managed::gateway_is_looked_after(deployment, template, start).await?;
    secrets::are_nowhere(deployment, began).await?;
    say(
        start,
        "the gateway's password is in no log, row, request, argv or output",
    );
    Ok(())
}

/// MiniStack holds every call to the policies of the caller's role.
fn nothing_was_denied(deployment: &Deployment<'_>, began: Timestamp) -> anyhow::Result<()> {
    let calls = deployment.bed.proxy.since(began);
    let denied = calls.iter().find(|call| call.status == FORBIDDEN);
    match denied {
        Some(call) => bail!(
            "{} was denied {}: {}",
            deployment.caller(call),
            call.name,
            call.request
        ),
        None => Ok(()),
    }
}

/// Channel `channel` of the `number`-th camera.
fn key(number: u32, channel: u32) -> ChannelKey {
    ChannelKey::new(generated_index(number).as_str(), channel.to_string().as_str())
}

/// The camera that stays as it is from beginning to end.
fn witness() -> ChannelKey {
    key(1, 1)
}

/// Waits until a channel's task runs, and says which it is.
async fn task_of(
    deployment: &Deployment<'_>,
    channel: &ChannelKey,
    within: Duration,
) -> anyhow::Result<String> {
    crate::progress::until(&format!("{channel} is recorded"), within, async || {
        let task = deployment.task_of(channel).await?;
        Ok(task.ok_or_else(|| "no task of it runs".to_owned()))
    })
    .await
}
