use crate::client::Client;
use crate::streams::{Method, StreamType};
use domain::Device;
use domain::id::{ChannelKey, DeviceIndex};
use domain::ports::{Footage, Gateway, GatewayChannel, PortError};
use jiff::Timestamp;
use std::ops::Range;

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

impl Footage for Client {
    async fn find_footage(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Range<Timestamp>>, PortError> {
        match self.search_recordings(key, from, to).await {
            Ok(found) => Ok(found.into_iter().map(|file| file.start..file.end).collect()),
            Err(error) if error.says_no_recording() => Ok(Vec::new()),
            Err(error) => Err(error.into_port(format!("searching the recordings of {key}"))),
        }
    }

    async fn playback_url(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<String>, PortError> {
        let method = Method::Playback { start: from, end: to };
        match self.stream_url(key, StreamType::Main, method).await {
            Ok(url) => Ok(Some(url)),
            Err(error) if error.says_no_recording() => Ok(None),
            Err(error) => Err(error.into_port(format!("asking for a playback of {key}"))),
        }
    }
}
