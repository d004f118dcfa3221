//! Tables whose list of a task's rows lags, as a global index of DynamoDB may.

use crate::bed::{Bed, eventually};
use domain::fakes::FakeTables;
use domain::ports::{ControlItem, ControlTable, GapsTable, PortError, Put, TasksTable};
use domain::{Assignment, AssignmentRow, ChannelKey, Gap, Generation, Heartbeat, TaskArn};
use jiff::Timestamp;
use serde_json::Value;
use simulator::rtsp::StreamSpec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_util::sync::CancellationToken;

/// Each so many-th list is empty.
const LAGS_EVERY: u32 = 3;

#[derive(Clone)]
struct Lagging {
    tables: FakeTables,
    lists: Arc<AtomicU32>,
}

impl TasksTable for Lagging {
    async fn list_assignments(&self) -> Result<Vec<AssignmentRow>, PortError> {
        self.tables.list_assignments().await
    }

    async fn assignment(&self, key: &ChannelKey) -> Result<Option<AssignmentRow>, PortError> {
        self.tables.assignment(key).await
    }

    async fn assignments_of(&self, task: &TaskArn) -> Result<Vec<AssignmentRow>, PortError> {
        let nth = self.lists.fetch_add(1, Ordering::Relaxed) + 1;
        let mut rows = self.tables.assignments_of(task).await?;
        rows.retain(|_| !nth.is_multiple_of(LAGS_EVERY));
        Ok(rows)
    }

    async fn put_assignment(
        &self,
        assignment: &Assignment,
        expected: Option<Generation>,
    ) -> Result<Put, PortError> {
        self.tables.put_assignment(assignment, expected).await
    }

    async fn delete_assignment(&self, key: &ChannelKey, expected: Generation) -> Result<Put, PortError> {
        self.tables.delete_assignment(key, expected).await
    }

    async fn heartbeat(
        &self,
        key: &ChannelKey,
        task: &TaskArn,
        generation: Generation,
        heartbeat: &Heartbeat,
    ) -> Result<Put, PortError> {
        self.tables.heartbeat(key, task, generation, heartbeat).await
    }
}

impl GapsTable for Lagging {
    async fn put_gap(&self, gap: &Gap) -> Result<(), PortError> {
        self.tables.put_gap(gap).await
    }

    async fn list_gaps(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Gap>, PortError> {
        self.tables.list_gaps(key, from, to).await
    }
}

impl ControlTable for Lagging {
    async fn get_control(&self, name: &str) -> Result<Option<ControlItem>, PortError> {
        self.tables.get_control(name).await
    }

    async fn put_control(&self, name: &str, value: &Value, expected: Option<u64>) -> Result<Put, PortError> {
        self.tables.put_control(name, value, expected).await
    }
}

#[tokio::test]
async fn a_list_that_lags_stops_no_channel_and_loses_no_frame() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    bed.assign(&bed.assignment(1, 1)).await;
    let lagging = Lagging {
        tables: bed.tables.clone(),
        lists: Arc::default(),
    };
    let stop = CancellationToken::new();
    let (config, archive) = (bed.config(), bed.archive());
    let recorder = recorder::run(config, lagging.clone(), archive, bed.alerts.clone(), stop.clone());
    let recorder = tokio::spawn(recorder);
    eventually("two segments are archived", async || {
        bed.segments(1).await.len() >= 2
    })
    .await;
    assert!(lagging.lists.load(Ordering::Relaxed) > 2 * LAGS_EVERY);
    stop.cancel();
    recorder.await.unwrap().unwrap();
    bed.footage(1, &StreamSpec::default()).await.is_whole();
}
