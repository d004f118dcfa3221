//! Is it really video, and all of it? Decodes segments and counts the frames of the simulated cameras in them.

use crate::deployment::Deployment;
use anyhow::{Context, bail};
use domain::{ChannelKey, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use simulator::frames;
use simulator::media::LoopSpec;
use std::io::Write;

/// The frames of segments, each by its number since the epoch, in the order of the segments.
pub(crate) async fn frames(deployment: &Deployment<'_>, keys: &[SegmentKey]) -> anyhow::Result<Vec<u64>> {
    let mut all = Vec::new();
    for key in keys {
        let object = deployment.object(key).await?;
        let name = key.clone();
        let decoded = tokio::task::spawn_blocking(move || decode(&name, &object)).await;
        all.extend(decoded.context("decoding did not end")??);
    }
    Ok(all)
}

fn decode(key: &SegmentKey, object: &[u8]) -> anyhow::Result<Vec<u64>> {
    let mut file = tempfile::Builder::new()
        .suffix(".mp4")
        .tempfile()
        .context("making a file")?;
    file.write_all(object).context("writing a segment")?;
    let spec = LoopSpec::default();
    let frames = frames::read(file.path()).with_context(|| format!("{key} does not decode"))?;
    let numbers = frames.into_iter().map(|frame| {
        let index = frame
            .index
            .with_context(|| format!("{key} has an unreadable picture"))?;
        let near = key
            .start
            .saturating_add(SignedDuration::from_millis(frame.pts_ms))?;
        Ok(frames::absolute(index, near, &spec))
    });
    numbers.collect()
}

/// Fails unless each frame is the one after the one before it.
pub(crate) fn without_a_hole(channel: &ChannelKey, frames: &[u64]) -> anyhow::Result<()> {
    if frames.is_empty() {
        bail!("{channel} has no frame");
    }
    for pair in frames.windows(2) {
        if pair[1] != pair[0] + 1 {
            bail!("after frame {} of {channel} comes frame {}", pair[0], pair[1]);
        }
    }
    Ok(())
}

/// The segments of a channel that ended after a moment, oldest first.
pub(crate) async fn since(
    deployment: &Deployment<'_>,
    channel: &ChannelKey,
    moment: Timestamp,
) -> anyhow::Result<Vec<SegmentKey>> {
    let keys = deployment.segments(channel).await?;
    Ok(keys.into_iter().filter(|key| key.end() > moment).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_a_repeated_frame_is_told() {
        let channel = ChannelKey::new("A", "1");
        without_a_hole(&channel, &[7, 8, 9]).unwrap();
        for wrong in [&[][..], &[7, 9], &[7, 7, 8], &[8, 7]] {
            assert!(without_a_hole(&channel, wrong).is_err(), "{wrong:?}");
        }
    }
}
