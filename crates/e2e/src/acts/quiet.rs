//! Nothing happens: nothing is written but heartbeats, and no more is asked than docs/emulated-deployment.md says.

use crate::budget::{GATEWAY, Occasions, overdrawn};
use crate::deployment::{DISPATCHER, Deployment, HEALTH_CHECK, POLLER, RECORDER, Row, TABLES};
use crate::progress::{say, until};
use anyhow::ensure;
use jiff::Timestamp;
use simulator::RequestCounts;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What is watched: two or three runs of every function, a dozen pulls.
const WATCHED_FOR: Duration = Duration::from_secs(125);

/// A run of a function takes a second; all begin in the same one or the next.
const RUNS_WITHIN: Duration = Duration::from_secs(10);

/// The time for what the acts before have stirred up to settle.
const SETTLES_FOR: Duration = Duration::from_secs(30);

/// The second of each hour at which archive-keeper runs: an act of its own looks at that.
const KEPT_AT_SECOND: i64 = 20 * 60;

/// Polls are a minute apart.
const A_POLL_COMES_WITHIN: Duration = Duration::from_secs(70);

/// The recorders' `MILLRACE_PULL_INTERVAL`, which the template leaves at its default.
const PULL_SECONDS: u64 = 10;

/// The default of `HeartbeatInterval`.
const HEARTBEAT_SECONDS: u64 = 30;

/// The template's `Segment`, as deployed here.
const SEGMENT_SECONDS: u64 = 10;

/// Calls by who made them and their name.
type Counts = BTreeMap<(String, String), u64>;

/// Watches an unchanged world, and counts.
pub(super) async fn world_costs_what_is_written(
    deployment: &Deployment<'_>,
    start: Instant,
) -> anyhow::Result<()> {
    sleep(SETTLES_FOR).await;
    between_runs(deployment).await?;
    say(start, "nothing happens for two minutes");
    let before = state(deployment).await?;
    let asked = deployment.bed.simulator.requests();
    let since = Timestamp::now();
    sleep(WATCHED_FOR).await;
    let occasions = occasions(deployment, since).await?;
    let counts = count(deployment, since, &asked)?;
    let after = state(deployment).await?;
    for ((by, name), count) in &counts {
        say(start, &format!("{count:>5} x {by}: {name}"));
    }
    ensure!(
        before == after,
        "an unchanged world changed rows:\nbefore {before:#?}\nafter {after:#?}"
    );
    ensure!(
        occasions.polls > 0 && occasions.dispatches > 0 && occasions.checks > 0,
        "a function did not run: {occasions:?}"
    );
    let overdrawn = overdrawn(&counts, &occasions);
    ensure!(overdrawn.is_empty(), "too much for {occasions:?}: {overdrawn:#?}");
    say(
        start,
        "no row changed but by heartbeats, and no call was one too many",
    );
    Ok(())
}

/// Waits until all functions have run and none is about to, so that no run is counted in part.
async fn between_runs(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    sleep(until_the_keeper_ran(Timestamp::now())).await;
    let since = Timestamp::now();
    until("a poll", A_POLL_COMES_WITHIN, async || {
        let polls = runs(deployment, POLLER, &deployment.log_lines(since).await?)?;
        Ok(if polls > 0 {
            Ok(())
        } else {
            Err("none yet".to_owned())
        })
    })
    .await?;
    sleep(RUNS_WITHIN).await;
    Ok(())
}

/// How long until archive-keeper has run, if it is to run before the watch is over.
fn until_the_keeper_ran(now: Timestamp) -> Duration {
    let until = (KEPT_AT_SECOND - now.as_second()).rem_euclid(60 * 60);
    let until = Duration::from_secs(until.unsigned_abs());
    if until <= A_POLL_COMES_WITHIN + RUNS_WITHIN + WATCHED_FOR {
        until + RUNS_WITHIN
    } else {
        Duration::ZERO
    }
}

fn count(deployment: &Deployment<'_>, since: Timestamp, asked: &RequestCounts) -> anyhow::Result<Counts> {
    let mut counts = Counts::new();
    for call in deployment.bed.proxy.since(since) {
        let by = deployment.caller(&call).to_owned();
        ensure!(
            by == RECORDER || !call.writes(),
            "{by} wrote in an unchanged world: {}",
            call.request
        );
        *counts.entry((by, call.name)).or_default() += 1;
    }
    let now = deployment.bed.simulator.requests();
    let asked_since = (now.total() - now.challenged) - (asked.total() - asked.challenged);
    counts.insert(
        (GATEWAY.to_owned(), "requests, challenges aside".to_owned()),
        asked_since,
    );
    Ok(counts)
}

/// Of the lines of a log, how many tell of the beginning of a run.
fn runs(deployment: &Deployment<'_>, function: &str, lines: &[String]) -> anyhow::Result<u64> {
    let group = deployment.stack.resource(&format!("{function}Logs"))?;
    let begin = format!("{group} START RequestId");
    let runs = lines.iter().filter(|line| line.starts_with(&begin)).count();
    Ok(u64::try_from(runs)?)
}

/// How often there was reason for calls since a moment. Recorders' are rounded up: one more at either end.
async fn occasions(deployment: &Deployment<'_>, since: Timestamp) -> anyhow::Result<Occasions> {
    let lines = deployment.log_lines(since).await?;
    let running = deployment.tasks().await?.into_iter();
    let recorders = running.filter(|task| task["lastStatus"] == "RUNNING").count();
    let recorders = u64::try_from(recorders)?;
    let seconds = u64::try_from(Timestamp::now().duration_since(since).as_secs())?;
    let every = |interval: u64| recorders * (seconds / interval + 2);
    Ok(Occasions {
        polls: runs(deployment, POLLER, &lines)?,
        dispatches: runs(deployment, DISPATCHER, &lines)?,
        checks: runs(deployment, HEALTH_CHECK, &lines)?,
        recorders,
        pulls: every(PULL_SECONDS),
        heartbeats: every(HEARTBEAT_SECONDS),
        segments: every(SEGMENT_SECONDS),
    })
}

/// All rows, without what heartbeats write.
async fn state(deployment: &Deployment<'_>) -> anyhow::Result<BTreeMap<&'static str, Vec<Row>>> {
    let mut state = BTreeMap::new();
    for table in TABLES {
        let mut rows = deployment.rows(table).await?;
        for row in rows.iter_mut().filter_map(Row::as_object_mut) {
            for heartbeat in ["heartbeatAt", "lastSegmentAt"] {
                row.remove(heartbeat);
            }
        }
        state.insert(table, rows);
    }
    Ok(state)
}
