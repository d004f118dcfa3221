//! Ports that look over the loops' shoulders: what the gateway really answered, and what was being recorded when
//! a task was stopped.

use domain::fakes::{FakeGateway, FakeTables, FakeTasks};
use domain::ports::{Gateway, GatewayChannel, PortError, Tasks};
use domain::{ChannelKey, Device, DeviceIndex, DeviceKind, DeviceStatus, Launch, LiveTask, TaskArn};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// When a channel was last to be seen on a device that is online.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting {
    /// By the true time.
    pub(crate) at: Timestamp,
    /// How often the loops' clock had been stepped by then.
    pub(crate) clock_steps: u64,
    /// Device lists since that did not show it so.
    pub(crate) misses: u64,
}

/// Remembers when a device list last showed a device online, for each of the channels that it then had.
#[derive(Clone)]
pub(crate) struct WatchedGateway {
    pub(crate) inner: FakeGateway,
    /// The channels of devices that are online in the newest list and of a kind that is recorded.
    look: Arc<Mutex<BTreeSet<ChannelKey>>>,
    sightings: Arc<Mutex<BTreeMap<ChannelKey, Sighting>>>,
}

impl WatchedGateway {
    pub(crate) fn new(inner: FakeGateway) -> Self {
        Self {
            inner,
            look: Arc::default(),
            sightings: Arc::default(),
        }
    }

    /// A poll has come to its end with the newest list; `whole` if it could write all it wanted to.
    pub(crate) fn keep_look(&self, at: Timestamp, clock_steps: u64, whole: bool) {
        let seen = Sighting {
            at,
            clock_steps,
            misses: 0,
        };
        if whole {
            let look = self.look.lock().unwrap().clone();
            let mut sightings = self.sightings.lock().unwrap();
            sightings.extend(look.into_iter().map(|key| (key, seen)));
        }
    }

    /// When a poll that was taken in whole could last see the channel.
    pub(crate) fn sighting(&self, key: &ChannelKey) -> Option<Sighting> {
        self.sightings.lock().unwrap().get(key).copied()
    }

    /// The channels there are, of devices that are online and of a kind that is recorded.
    fn channels_online(&self) -> BTreeSet<ChannelKey> {
        let all = self.inner.truth().into_iter();
        let online = all.filter(|(device, _)| {
            device.status == DeviceStatus::Online && device.kind != DeviceKind::AccessControl
        });
        let keys = online.flat_map(|(device, channels)| {
            let key = move |channel| ChannelKey {
                device: device.index.clone(),
                channel,
            };
            channels.into_iter().map(key)
        });
        keys.collect()
    }
}

impl Gateway for WatchedGateway {
    async fn devices(&self) -> Result<Vec<Device>, PortError> {
        let devices = self.inner.devices().await?;
        let look = self.channels_online();
        let mut sightings = self.sightings.lock().unwrap();
        for (_, missed) in sightings.iter_mut().filter(|(key, _)| !look.contains(key)) {
            missed.misses += 1;
        }
        *self.look.lock().unwrap() = look;
        Ok(devices)
    }

    async fn channels(&self, device: &DeviceIndex) -> Result<Vec<GatewayChannel>, PortError> {
        self.inner.channels(device).await
    }

    async fn live_url(&self, key: &ChannelKey) -> Result<String, PortError> {
        self.inner.live_url(key).await
    }
}

/// I2: a task is stopped only when no channel that it reports on is assigned to it. M2: nor while a channel moves away
/// from it that has no picture elsewhere, unless it is silent.
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
            let unfinished = row.heartbeat.first_picture.is_none();
            let predecessor = row
                .assignment
                .predecessor
                .filter(|old| unfinished && old.task == *task);
            assert!(
                predecessor.is_none() || reason == "it reports nothing",
                "M2: stopped {task} although {} has no picture elsewhere: {reason}",
                row.assignment.key
            );
        }
        self.inner.stop_task(task, reason).await
    }
}
