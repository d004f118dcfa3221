//! The archive is looked after: the hour is measured and retention kept, and people's episodes are taken over HTTP.

use super::witness;
use crate::deployment::{ARCHIVE_KEEPER, Deployment, EPISODES, EPISODES_API, Row};
use crate::progress::say;
use anyhow::{Context, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

/// One run of the keeper, whose schedule is an hour: it reads what there is, and deletes nothing by default.
pub(super) async fn is_kept(deployment: &Deployment<'_>, start: Instant) -> anyhow::Result<()> {
    let before = deployment.segments(&witness()).await?.len();
    let since = Timestamp::now();
    deployment.stack.invoke(ARCHIVE_KEEPER, &json!({})).await?;
    let lines = deployment.log_lines(since).await?;
    let coverage = report(&lines, "coverage")?;
    ensure!(
        coverage["failure"].is_null() && coverage["failed"] == json!({}) && coverage["untold"].is_null(),
        "the hour could not be measured: {coverage}"
    );
    let kept = report(&lines, "keep")?;
    ensure!(kept["failure"].is_null(), "the archive could not be kept: {kept}");
    ensure!(
        deployment.segments(&witness()).await?.len() >= before,
        "segments are gone that nobody wanted gone"
    );
    say(start, "the hour is measured and retention kept");
    Ok(())
}

/// Makes an episode, asks for it again as after a time-out, and finds one row.
pub(super) async fn episode_is_made_once(deployment: &Deployment<'_>, start: Instant) -> anyhow::Result<()> {
    let channel = witness();
    let to = Timestamp::now();
    let from = to.checked_sub(SignedDuration::from_secs(60))?;
    let wish = json!({
        "device": channel.device.as_str(), "channel": channel.channel.as_str(), "start": from.to_string(),
        "end": to.to_string(), "reason": "an act", "clientId": "act",
    });
    let made = call(deployment, &wish).await?;
    let again = call(deployment, &wish).await?;
    ensure!(
        (&made["statusCode"], &again["statusCode"]) == (&json!(201), &json!(200)),
        "one wish, twice: {made}, then {again}"
    );
    let rows = deployment.rows(EPISODES).await?;
    ensure!(rows.len() == 1, "one wish is one row: {rows:#?}");
    say(start, "an episode is made over HTTP, once");
    Ok(())
}

/// As API Gateway sends it, when IAM has let the caller in.
async fn call(deployment: &Deployment<'_>, body: &Value) -> anyhow::Result<Value> {
    let event = json!({
        "version": "2.0", "rawPath": "/episodes", "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "authorizer": {"iam": {"userArn": "arn:aws:iam::000000000000:user/e2e"}},
            "http": {"method": "POST", "path": "/episodes"},
        },
        "body": body.to_string(), "isBase64Encoded": false,
    });
    deployment.stack.invoke(EPISODES_API, &event).await
}

/// What the wide event of this name reports.
fn report(lines: &[String], name: &str) -> anyhow::Result<Row> {
    let events = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Row>(line.split_once(' ')?.1).ok());
    let mut named = events.filter(|event| event["event"] == name);
    let event = named.next();
    event
        .map(|event| event["report"].clone())
        .with_context(|| format!("no log tells of `{name}`"))
}
