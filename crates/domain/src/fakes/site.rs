use super::{FakeHost, Software, Weather};
use crate::device::Device;
use crate::id::{ChannelId, ChannelKey, DeviceIndex};
use crate::ports::{Connect, Credential, Gateway, GatewayAdmin, GatewayChannel, LogIn, PortError};
use crate::setup::{Applied, Change, Configuration};
use jiff::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};

/// Reaches the gateways on a [`FakeHost`] by the endpoints it hands out.
#[derive(Debug, Clone)]
pub struct FakeSite {
    weather: Weather,
    host: FakeHost,
}

/// One gateway on a [`FakeHost`], asked with the password that was tried last, as the real client does.
#[derive(Debug, Clone)]
pub struct FakeAdmin {
    site: FakeSite,
    endpoint: String,
    password: Arc<Mutex<Credential>>,
}

impl FakeSite {
    /// The gateways of `host`.
    pub fn new(weather: Weather, host: FakeHost) -> Self {
        Self { weather, host }
    }
}

impl Connect for FakeSite {
    type Gateway = FakeAdmin;

    fn connect(&self, endpoint: &str) -> Result<FakeAdmin, PortError> {
        Ok(FakeAdmin {
            site: self.clone(),
            endpoint: endpoint.to_owned(),
            password: Arc::new(Mutex::new(Credential::Wanted)),
        })
    }
}

impl FakeAdmin {
    fn password(&self) -> Credential {
        *self.password.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_password(&self, password: Credential) {
        *self.password.lock().unwrap_or_else(PoisonError::into_inner) = password;
    }

    async fn ask<R>(
        &self,
        doing: &str,
        act: impl FnOnce(&mut Software, Timestamp) -> Result<R, PortError>,
    ) -> Result<R, PortError> {
        let ask = || {
            let answer = self.site.host.with_software(&self.endpoint, act);
            answer.unwrap_or_else(|| Err(PortError::throttled(doing, "no connection")))
        };
        self.site.weather.call(doing, ask).await?
    }
}

impl GatewayAdmin for FakeAdmin {
    async fn log_in(&self, with: Credential) -> Result<LogIn, PortError> {
        self.set_password(with);
        self.ask("logging in", |software, now| Ok(software.log_in(with, now)))
            .await
    }

    async fn configuration(&self) -> Result<Configuration, PortError> {
        let password = self.password();
        self.ask("reading the configuration", |software, now| {
            software.configuration(password, now)
        })
        .await
    }

    async fn adopt_password(&self) -> Result<(), PortError> {
        self.ask("changing the password", |software, _| software.adopt_password())
            .await?;
        self.set_password(Credential::Wanted);
        Ok(())
    }

    async fn change(&self, change: &Change) -> Result<Applied, PortError> {
        let password = self.password();
        self.ask("changing the configuration", |software, now| {
            software.change(change, password, now)
        })
        .await
    }

    async fn restart(&self) -> Result<(), PortError> {
        let password = self.password();
        self.ask("restarting the software", |software, now| {
            software.restart(password, now)
        })
        .await
    }
}

impl Gateway for FakeAdmin {
    async fn devices(&self) -> Result<Vec<Device>, PortError> {
        let password = self.password();
        self.ask("listing devices", |software, _| software.list_devices(password))
            .await
    }

    async fn channels(&self, device: &DeviceIndex) -> Result<Vec<GatewayChannel>, PortError> {
        let password = self.password();
        let list = |software: &mut Software, _| {
            let devices = software.list_devices(password)?;
            let known = devices.iter().find(|known| known.index == *device);
            let channels = 1..=known.map_or(0, |known| known.video_channels);
            Ok(channels
                .map(|id| GatewayChannel {
                    id: ChannelId::new(id.to_string()),
                    name: format!("channel {id}"),
                })
                .collect())
        };
        self.ask("listing channels", list).await
    }

    async fn live_url(&self, key: &ChannelKey) -> Result<String, PortError> {
        let password = self.password();
        let url = |software: &mut Software, _| {
            let listed = software.list_devices(password);
            listed.map(|_| format!("rtsp://gateway/{key}"))
        };
        self.ask("asking for a stream URL", url).await
    }
}
