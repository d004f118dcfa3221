//! What a recorder costs in calls to the tables: docs/benchmarks.md has the formula.

use crate::bed::{Bed, channel, eventually};
use domain::ports::TasksTable;
use simulator::rtsp::StreamSpec;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test]
async fn a_calm_recorder_makes_one_call_a_pull_and_one_write_a_heartbeat() {
    const CHANNELS: u32 = 2;
    let bed = Bed::with(&[StreamSpec::default(), StreamSpec::default()]).await;
    for n in 1..=CHANNELS {
        bed.assign(&bed.assignment(n, 1)).await;
    }
    let mut config = bed.config();
    config.pull_interval = Duration::from_millis(500);
    config.heartbeat_interval = Duration::from_secs(4);
    let running = bed.run_with(config, bed.archive().await);
    for n in 1..=CHANNELS {
        let is_calm = async || {
            let row = bed.tables.assignment(&channel(n)).await.unwrap().unwrap();
            row.heartbeat.last_segment_at.is_some() && bed.gaps(n).await.iter().all(|gap| gap.end.is_some())
        };
        eventually("the channel records and its rows are written", is_calm).await;
    }
    sleep(Duration::from_secs(1)).await;

    let (calls, writes) = (bed.tables_weather.calls(), bed.tables.writes());
    sleep(Duration::from_secs(8)).await;
    let (calls, writes) = (bed.tables_weather.calls() - calls, bed.tables.writes() - writes);
    // 16 pulls, and two heartbeats of each channel; one more of each where the window begins just before.
    assert!(writes <= u64::from(3 * CHANNELS), "{writes} writes");
    assert!(
        writes >= u64::from(CHANNELS),
        "{writes} writes: heartbeats are missing"
    );
    let pulls = calls - writes;
    assert!(pulls <= 17, "{pulls} reads");
    running.stops().await;
}
