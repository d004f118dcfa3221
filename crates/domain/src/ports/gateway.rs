use super::PortError;
use crate::device::Device;
use crate::id::{ChannelId, ChannelKey, DeviceIndex};

/// The media gateway, as far as the poll needs it.
pub trait Gateway: Send + Sync {
    /// Every device the gateway knows, from one consistent reading of all pages.
    ///
    /// # Errors
    /// A short, changing or malformed list is [`PortError::Unknown`], never an empty world. A rejected
    /// password or locked account is [`PortError::Refused`] and is not tried again until credentials change.
    fn devices(&self) -> impl Future<Output = Result<Vec<Device>, PortError>> + Send;

    /// The video inputs of a device.
    fn channels(
        &self,
        device: &DeviceIndex,
    ) -> impl Future<Output = Result<Vec<GatewayChannel>, PortError>> + Send;

    /// The RTSP URL of a channel's live main stream, without credentials.
    fn live_url(&self, key: &ChannelKey) -> impl Future<Output = Result<String, PortError>> + Send;
}

/// A video input as the gateway lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayChannel {
    /// Its id at the device; not a position.
    pub id: ChannelId,
    /// Its name; any Unicode.
    pub name: String,
}
