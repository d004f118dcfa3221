//! Every channel of every camera is found, gets a recorder, and its video arrives.

use super::{ARCHIVED_WITHIN, POLLED_WITHIN, key, task_of};
use crate::deployment::Deployment;
use crate::footage;
use crate::progress::{say, until};
use domain::ChannelKey;
use tokio::time::Instant;

/// Segments that are decoded of each channel.
const SEGMENTS: usize = 2;

/// Waits for two segments of each channel, which must hold each frame once.
pub(super) async fn all_channels(deployment: &Deployment<'_>, start: Instant) -> anyhow::Result<()> {
    let channels = [key(1, 1), key(2, 1), key(2, 2), key(3, 1)];
    for channel in &channels {
        task_of(deployment, channel, POLLED_WITHIN).await?;
    }
    say(
        start,
        "polled by schedule, dispatched by stream: a recorder runs for each of 4 channels",
    );
    for channel in &channels {
        archived(deployment, channel).await?;
    }
    say(
        start,
        "segments of every channel are in the archive, and hold each frame once",
    );
    Ok(())
}

async fn archived(deployment: &Deployment<'_>, channel: &ChannelKey) -> anyhow::Result<()> {
    let what = format!("{SEGMENTS} segments of {channel} are in the archive");
    let keys = until(&what, ARCHIVED_WITHIN, async || {
        let keys = deployment.segments(channel).await?;
        Ok(if keys.len() < SEGMENTS {
            Err(format!("there are {}", keys.len()))
        } else {
            Ok(keys)
        })
    })
    .await?;
    let frames = footage::frames(deployment, &keys).await?;
    footage::without_a_hole(channel, &frames)
}
