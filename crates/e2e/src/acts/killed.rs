//! A recorder dies: another takes its channel over, its hole has a row, and one alert says so.

use super::{ARCHIVED_WITHIN, key};
use crate::deployment::{Deployment, GAPS};
use crate::footage;
use crate::progress::{say, until};
use anyhow::{Context, ensure};
use domain::{ChannelKey, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// From the death to the next recorder: the event is enough, the schedule may be a minute away.
const REPLACED_WITHIN: Duration = Duration::from_secs(20);

/// A recorder that ECS does not list is not taken for dead while it may only just have started; and a bit.
const LAUNCH_GRACE: SignedDuration = SignedDuration::from_secs(65);

/// Kills the container of camera 2's first channel and sees the whole of what follows.
pub(super) async fn is_replaced_with_one_alert(
    deployment: &Deployment<'_>,
    start: Instant,
) -> anyhow::Result<()> {
    let channel = key(2, 1);
    outlived_its_launch(deployment, &channel).await?;
    let alerts_before = deployment.alerts().await?.len();
    let (dead, killed_at) = kill(deployment, &channel).await?;
    say(start, "the recorder of camera 2, channel 1 is killed");
    let next = replacement(deployment, &channel, &dead, REPLACED_WITHIN).await?;
    say(start, "another one has taken over");
    hole_is_explained(deployment, &channel, killed_at).await?;

    let alerts = deployment.alerts().await?.split_off(alerts_before);
    let about: Vec<&Value> = alerts
        .iter()
        .filter(|alert| alert.to_string().contains(task_id(&dead)))
        .collect();
    ensure!(
        about.len() == 1,
        "{} alerts tell of the dead recorder {dead}: {alerts:?}",
        about.len()
    );
    ensure!(next != dead, "the dead recorder is still assigned");
    say(
        start,
        "its hole has a row that says why, and exactly one alert told of it",
    );
    Ok(())
}

async fn outlived_its_launch(deployment: &Deployment<'_>, channel: &ChannelKey) -> anyhow::Result<()> {
    let row = deployment.assignment(channel).await?;
    let row = row.with_context(|| format!("{channel} is assigned"))?;
    let started: Timestamp = row["startedAt"].as_str().context("it has a start")?.parse()?;
    let age = Timestamp::now().duration_since(started);
    sleep(Duration::try_from(LAUNCH_GRACE - age).unwrap_or_default()).await;
    Ok(())
}

/// Kills the container that records a channel: its task, and when.
pub(super) async fn kill(
    deployment: &Deployment<'_>,
    channel: &ChannelKey,
) -> anyhow::Result<(String, Timestamp)> {
    let task = deployment.task_of(channel).await?;
    let task = task.with_context(|| format!("{channel} has a recorder"))?;
    let container = deployment.bed.docker.container(&task).await?;
    let at = Timestamp::now();
    deployment.bed.docker.run(&["kill", &container]).await?;
    Ok((task, at))
}

/// The task that records a channel instead of `dead`.
pub(super) async fn replacement(
    deployment: &Deployment<'_>,
    channel: &ChannelKey,
    dead: &str,
    within: Duration,
) -> anyhow::Result<String> {
    until(&format!("{channel} has another recorder"), within, async || {
        let task = deployment.task_of(channel).await?;
        let other = task.filter(|task| task != dead);
        Ok(other.ok_or_else(|| "no other task of it runs".to_owned()))
    })
    .await
}

/// Waits for video after a moment, and for a row that covers what is missing before it.
pub(super) async fn hole_is_explained(
    deployment: &Deployment<'_>,
    channel: &ChannelKey,
    since: Timestamp,
) -> anyhow::Result<()> {
    let what = format!("{channel} is in the archive again");
    let keys = until(&what, ARCHIVED_WITHIN, async || {
        let keys = deployment.segments(channel).await?;
        let again = keys.iter().any(|key| key.start > since);
        Ok(if again {
            Ok(keys)
        } else {
            Err(format!("nothing after {since}"))
        })
    })
    .await?;
    let (before, after): (Vec<SegmentKey>, Vec<SegmentKey>) =
        keys.into_iter().partition(|key| key.start <= since);
    footage::without_a_hole(channel, &footage::frames(deployment, &after).await?)?;
    let hole_start = before.last().context("there was video before")?.end();
    let hole_end = after.first().context("there is video after")?.start;
    let gaps = deployment.rows(GAPS).await?;
    let covers = |gap: &Value| covers(gap, hole_start, hole_end);
    ensure!(
        gaps.iter().any(covers),
        "no gap covers {hole_start} to {hole_end} of {channel}: {gaps:?}"
    );
    Ok(())
}

/// Whether a gap lies over a hole, to a second: frames have a length, and clocks of streams are found out.
fn covers(gap: &Value, start: Timestamp, end: Timestamp) -> bool {
    let time = |name: &str| gap[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let slack = jiff::SignedDuration::from_secs(1);
    let (Some(from), Some(to)) = (time("start"), time("end")) else {
        return false;
    };
    from <= start.saturating_add(slack).unwrap_or(start) && to.saturating_add(slack).unwrap_or(to) >= end
}

/// The last part of a task's ARN.
fn task_id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_gap_covers_a_hole_only_if_it_reaches_both_its_ends() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (start, end) = (at("2026-11-21T06:00:10Z"), at("2026-11-21T06:00:20Z"));
        let gap = |from: &str, to: &str| json!({"start": from, "end": to});
        assert!(covers(
            &gap("2026-11-21T06:00:10.500Z", "2026-11-21T06:00:19.500Z"),
            start,
            end
        ));
        assert!(!covers(
            &gap("2026-11-21T06:00:12Z", "2026-11-21T06:00:20Z"),
            start,
            end
        ));
        assert!(!covers(
            &gap("2026-11-21T06:00:10Z", "2026-11-21T06:00:18Z"),
            start,
            end
        ));
        assert!(!covers(&json!({"start": "2026-11-21T06:00:10Z"}), start, end));
    }
}
