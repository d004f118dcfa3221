//! Nothing happens: nothing is written but heartbeats, and no more is asked than docs/emulated-deployment.md says.

use crate::deployment::{CHANNELS, CONTROL, DISPATCHER, Deployment, GAPS, POLLER, Row, TASKS};
use crate::progress::say;
use anyhow::ensure;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What is watched: two or three runs of every function, a dozen pulls.
const WATCHED_FOR: Duration = Duration::from_secs(125);

/// The time for what the acts before have stirred up to settle.
const SETTLES_FOR: Duration = Duration::from_secs(30);

/// Watches an unchanged world, and counts.
pub(super) async fn world_costs_what_is_written(
    deployment: &Deployment<'_>,
    start: Instant,
) -> anyhow::Result<()> {
    sleep(SETTLES_FOR).await;
    say(start, "nothing happens for two minutes");
    let before = state(deployment).await?;
    let since = Timestamp::now();
    sleep(WATCHED_FOR).await;
    let after = state(deployment).await?;
    ensure!(
        before == after,
        "an unchanged world changed rows:\nbefore {before:#?}\nafter {after:#?}"
    );
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for call in deployment.bed.proxy.since(since) {
        let by = deployment.function_of(&call).unwrap_or("recorder").to_owned();
        if by != "recorder" {
            ensure!(
                !call.writes(),
                "{by} wrote in an unchanged world: {}",
                call.request
            );
        }
        *counts.entry((by, call.name)).or_default() += 1;
    }
    for ((by, name), count) in &counts {
        say(start, &format!("{count:>4} x {by} {name}"));
    }
    ensure!(
        counts.keys().any(|(by, _)| by == POLLER) && counts.keys().any(|(by, _)| by == DISPATCHER),
        "no function ran"
    );
    Ok(())
}

/// All rows, without what heartbeats write.
async fn state(deployment: &Deployment<'_>) -> anyhow::Result<BTreeMap<&'static str, Vec<Row>>> {
    let mut state = BTreeMap::new();
    for table in [CHANNELS, TASKS, GAPS, CONTROL] {
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
