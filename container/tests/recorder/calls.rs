//! What a recorder costs in calls to the tables: docs/benchmarks.md has the formula.

use crate::bed::{Bed, channel, eventually};
use domain::ports::TasksTable;
use simulator::rtsp::StreamSpec;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test]
async fn a_calm_recorder_makes_one_call_a_pull_and_one_write_a_heartbeat() {
    const CHANNELS: u32 = 2;
    const PULL_INTERVAL: Duration = Duration::from_millis(500);
    const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(4);
    let bed = Bed::with(&[StreamSpec::default(), StreamSpec::default()]).await;
    for n in 1..=CHANNELS {
        bed.assign(&bed.assignment(n, 1)).await;
    }
    let mut config = bed.config();
    config.pull_interval = PULL_INTERVAL;
    config.heartbeat_interval = HEARTBEAT_INTERVAL;
    let running = bed.run_with(config, bed.archive());
    for n in 1..=CHANNELS {
        let is_calm = async || {
            let row = bed.tables.assignment(&channel(n)).await.unwrap().unwrap();
            row.heartbeat.last_segment_at.is_some() && bed.gaps(n).await.iter().all(|gap| gap.end.is_some())
        };
        eventually("the channel records and its rows are written", is_calm).await;
    }
    sleep(Duration::from_secs(1)).await;

    let (calls, writes, begins) = (bed.tables_weather.calls(), bed.tables.writes(), Instant::now());
    sleep(2 * HEARTBEAT_INTERVAL).await;
    let (calls, writes) = (bed.tables_weather.calls() - calls, bed.tables.writes() - writes);
    // One more of each where the window begins just before; a busy machine makes the window longer.
    let window = begins.elapsed();
    let most = |interval: Duration| u64::try_from(window.as_millis() / interval.as_millis()).unwrap() + 1;
    assert!(
        writes <= most(HEARTBEAT_INTERVAL) * u64::from(CHANNELS),
        "{writes} writes in {window:?}"
    );
    assert!(
        writes >= u64::from(CHANNELS),
        "{writes} writes: heartbeats are missing"
    );
    let pulls = calls - writes;
    assert!(pulls <= most(PULL_INTERVAL), "{pulls} reads in {window:?}");
    running.stops().await;
}
