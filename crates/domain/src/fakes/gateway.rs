use super::Weather;
use crate::device::Device;
use crate::id::{ChannelId, ChannelKey, DeviceIndex};
use crate::ports::{Gateway, GatewayChannel, PortError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A gateway with devices. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeGateway {
    weather: Weather,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    devices: BTreeMap<DeviceIndex, (Device, Vec<ChannelId>)>,
    urls: BTreeMap<ChannelKey, u64>,
    refusing: bool,
    lookups: u64,
}

impl FakeGateway {
    /// A gateway without devices.
    pub fn new(weather: Weather) -> Self {
        Self {
            weather,
            state: Arc::default(),
        }
    }

    /// Adds or replaces a device and its channels.
    pub fn set(&self, device: Device, channels: &[&str]) {
        let channels = channels.iter().map(|id| ChannelId::new(*id)).collect();
        self.state()
            .devices
            .insert(device.index.clone(), (device, channels));
    }

    /// Changes a device, if it is there.
    pub fn change(&self, device: &DeviceIndex, change: impl FnOnce(&mut Device)) {
        if let Some((device, _)) = self.state().devices.get_mut(device) {
            change(device);
        }
    }

    /// Deletes a device.
    pub fn delete(&self, device: &DeviceIndex) {
        self.state().devices.remove(device);
    }

    /// Hands out another URL for a channel from now on; the old one is dead.
    pub fn change_url(&self, key: &ChannelKey) {
        *self.state().urls.entry(key.clone()).or_default() += 1;
    }

    /// Refuses every call, as after a change of password.
    pub fn refuse(&self, refusing: bool) {
        self.state().refusing = refusing;
    }

    /// The devices as they really are.
    pub fn truth(&self) -> Vec<(Device, Vec<ChannelId>)> {
        self.state().devices.values().cloned().collect()
    }

    /// The URL under which a channel can be had now.
    pub fn url(&self, key: &ChannelKey) -> String {
        let version = self.state().urls.get(key).copied().unwrap_or(0);
        format!("rtsp://gateway/{key}?version={version}")
    }

    /// Channel lists and URLs asked for so far.
    pub fn lookups(&self) -> u64 {
        self.state().lookups
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<R>(&self, doing: &str, act: impl FnOnce() -> R) -> Result<R, PortError> {
        if self.state().refusing {
            return Err(PortError::refused(doing, "the password was rejected"));
        }
        self.weather.call(doing, act).await
    }
}

impl Gateway for FakeGateway {
    async fn devices(&self) -> Result<Vec<Device>, PortError> {
        let list = || self.truth().into_iter().map(|(device, _)| device).collect();
        self.ask("listing devices", list).await
    }

    async fn channels(&self, device: &DeviceIndex) -> Result<Vec<GatewayChannel>, PortError> {
        let list = || {
            let mut state = self.state();
            state.lookups += 1;
            let ids = state
                .devices
                .get(device)
                .map(|(_, ids)| ids.clone())
                .unwrap_or_default();
            ids.into_iter()
                .map(|id| GatewayChannel {
                    name: format!("channel {id}"),
                    id,
                })
                .collect()
        };
        self.ask("listing channels", list).await
    }

    async fn live_url(&self, key: &ChannelKey) -> Result<String, PortError> {
        let ask = || {
            self.state().lookups += 1;
            self.url(key)
        };
        self.ask("asking for a stream URL", ask).await
    }
}
