//! Ports that look over the loops' shoulders: what the gateway really answered, and what was being recorded when
//! a task was stopped.

use domain::fakes::{FakeGateway, FakeTables, FakeTasks};
use domain::ports::{Gateway, GatewayChannel, PortError, Tasks};
use domain::{ChannelKey, Device, DeviceIndex, DeviceStatus, Launch, LiveTask, TaskArn};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Remembers when a device list last showed a device online.
#[derive(Clone)]
pub(crate) struct WatchedGateway {
    pub(crate) inner: FakeGateway,
    pub(crate) now: Arc<Mutex<Timestamp>>,
    /// The devices online in the newest list.
    pub(crate) look: Arc<Mutex<Vec<DeviceIndex>>>,
    pub(crate) seen_online: Arc<Mutex<BTreeMap<DeviceIndex, Timestamp>>>,
}

impl WatchedGateway {
    /// The newest list was taken in whole.
    pub(crate) fn keep_look(&self) {
        let now = *self.now.lock().unwrap();
        let look = self.look.lock().unwrap().clone();
        self.seen_online
            .lock()
            .unwrap()
            .extend(look.into_iter().map(|device| (device, now)));
    }
}

impl Gateway for WatchedGateway {
    async fn devices(&self) -> Result<Vec<Device>, PortError> {
        let devices = self.inner.devices().await?;
        let online = devices
            .iter()
            .filter(|device| device.status == DeviceStatus::Online);
        *self.look.lock().unwrap() = online.map(|device| device.index.clone()).collect();
        Ok(devices)
    }

    async fn channels(&self, device: &DeviceIndex) -> Result<Vec<GatewayChannel>, PortError> {
        self.inner.channels(device).await
    }

    async fn live_url(&self, key: &ChannelKey) -> Result<String, PortError> {
        self.inner.live_url(key).await
    }
}

/// I2: a task is stopped only when no channel that it reports on is assigned to it.
#[derive(Clone)]
pub(crate) struct WatchedTasks {
    pub(crate) inner: FakeTasks,
    pub(crate) tables: FakeTables,
}

impl Tasks for WatchedTasks {
    async fn list_tasks(&self) -> Result<Vec<LiveTask>, PortError> {
        self.inner.list_tasks().await
    }

    async fn start_task(&self, launch: &Launch) -> Result<TaskArn, PortError> {
        self.inner.start_task(launch).await
    }

    async fn stop_task(&self, task: &TaskArn, reason: &str) -> Result<(), PortError> {
        for row in self.tables.assignments() {
            let recording = row.heartbeat.heartbeat_at.is_some();
            let own = row.assignment.task.as_ref() == Some(task);
            assert!(
                !(own && recording),
                "I2: stopped {task}, which records {}",
                row.assignment.key
            );
        }
        self.inner.stop_task(task, reason).await
    }
}
