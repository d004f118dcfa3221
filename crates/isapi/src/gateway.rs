use crate::client::Client;
use crate::streams::{Method, StreamType};
use domain::Device;
use domain::id::{ChannelKey, DeviceIndex};
use domain::ports::{Gateway, GatewayChannel, PortError};

impl Gateway for Client {
    async fn devices(&self) -> Result<Vec<Device>, PortError> {
        let devices = Client::devices(self).await;
        devices.map_err(|error| error.into_port("listing the gateway's devices"))
    }

    async fn channels(&self, device: &DeviceIndex) -> Result<Vec<GatewayChannel>, PortError> {
        let channels = Client::channels(self, device).await;
        channels.map_err(|error| error.into_port(format!("listing the channels of {device}")))
    }

    async fn live_url(&self, key: &ChannelKey) -> Result<String, PortError> {
        let url = self.stream_url(key, StreamType::Main, Method::Preview).await;
        url.map_err(|error| error.into_port(format!("asking for the live URL of {key}")))
    }
}
