//! A gateway that is asked only while there is time.

use domain::Device;
use domain::id::{ChannelKey, DeviceIndex};
use domain::ports::{Credential, Gateway, GatewayAdmin, GatewayChannel, LogIn, PortError};
use domain::setup::{Applied, Change, Configuration};
use isapi::Admin;
use tokio::time::{Instant, timeout_at};

/// One gateway, asked until a moment; after it every call fails.
#[derive(Debug, Clone)]
pub struct Guest {
    admin: Admin,
    until: Instant,
}

impl Guest {
    pub(super) fn new(admin: Admin, until: Instant) -> Self {
        Self { admin, until }
    }

    async fn in_time<R>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<R, PortError>>,
    ) -> Result<R, PortError> {
        // Nothing is begun that cannot be waited for.
        if self.until <= Instant::now() {
            return Err(PortError::throttled(doing, "there is no time left for it"));
        }
        let answer = timeout_at(self.until, call).await;
        answer.map_err(|elapsed| PortError::unknown(doing, elapsed))?
    }
}

impl GatewayAdmin for Guest {
    async fn log_in(&self, with: Credential) -> Result<LogIn, PortError> {
        self.in_time("logging in at the gateway", self.admin.log_in(with))
            .await
    }

    async fn configuration(&self) -> Result<Configuration, PortError> {
        self.in_time("reading the gateway's configuration", self.admin.configuration())
            .await
    }

    async fn adopt_password(&self) -> Result<(), PortError> {
        self.in_time(
            "replacing the gateway's initial password",
            self.admin.adopt_password(),
        )
        .await
    }

    async fn change(&self, change: &Change) -> Result<Applied, PortError> {
        self.in_time("changing the gateway's configuration", self.admin.change(change))
            .await
    }

    async fn restart(&self) -> Result<(), PortError> {
        self.in_time("restarting the gateway's software", self.admin.restart())
            .await
    }
}

impl Gateway for Guest {
    async fn devices(&self) -> Result<Vec<Device>, PortError> {
        self.in_time("listing the gateway's devices", self.admin.devices())
            .await
    }

    async fn channels(&self, device: &DeviceIndex) -> Result<Vec<GatewayChannel>, PortError> {
        self.in_time("listing a device's channels", self.admin.channels(device))
            .await
    }

    async fn live_url(&self, key: &ChannelKey) -> Result<String, PortError> {
        self.in_time("asking for a live URL", self.admin.live_url(key))
            .await
    }
}
