//! The host: what runs gateway instances, keeps their images and holds the public address.

use super::PortError;
use crate::id::{ImageId, InstanceId};
use crate::instance::{Image, Instance};

/// The gateway instances of this stack.
pub trait Instances: Send + Sync {
    /// All of them: the gateway's, candidates, drills and retired ones. The list may lag: a new one may be absent
    /// for a while, and one that is gone may be listed as gone, or no longer at all.
    fn list_instances(&self) -> impl Future<Output = Result<Vec<Instance>, PortError>> + Send;

    /// Launches one; the same token again names the same instance, even one that is gone by now.
    fn launch_instance(
        &self,
        new: &NewInstance,
    ) -> impl Future<Output = Result<InstanceId, PortError>> + Send;

    /// Changes whether an instance runs. One that is so already is `Ok`.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the instance is gone.
    fn power(
        &self,
        instance: &InstanceId,
        power: Power,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Ends an instance for ever. One that is gone already is `Ok`.
    fn terminate_instance(&self, instance: &InstanceId)
    -> impl Future<Output = Result<(), PortError>> + Send;
}

/// An instance to launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInstance {
    /// Names the decision: one instance a token, for ever.
    pub token: String,
    /// What its disks start with.
    pub source: Source,
    /// The instance it shall be like in everything but its age: network, rights, tags. `None`, or one that is no
    /// longer known: as the stack is configured.
    pub like: Option<InstanceId>,
    /// Whether nothing but ourselves may reach it: a drill.
    pub isolated: bool,
}

/// What the disks of a new instance start with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The image the stack was set up with: a gateway that knows no device.
    Base,
    /// An image of an earlier gateway.
    Image(ImageId),
}

/// What to do with a running or stopped instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// Restarts the operating system, on the same hardware.
    Reboot,
    /// Shuts it down and keeps its disks.
    Stop,
    /// Starts it again, as a rule on other hardware.
    Start,
}

/// The images of this stack's gateways.
pub trait Images: Send + Sync {
    /// All of them, failed and unfinished ones included. The list may lag.
    fn list_images(&self) -> impl Future<Output = Result<Vec<Image>, PortError>> + Send;

    /// Begins an image of an instance, all its disks, without stopping it. The same token again names the same
    /// image.
    fn create_image(
        &self,
        instance: &InstanceId,
        token: &str,
    ) -> impl Future<Output = Result<ImageId, PortError>> + Send;

    /// Deletes an image and the disk copies it is made of. One that is gone already is `Ok`.
    fn delete_image(&self, image: &ImageId) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The public address devices register with: it names the gateway, whichever instance that is.
pub trait PublicAddress: Send + Sync {
    /// Where it is. The answer may lag.
    fn find_address(&self) -> impl Future<Output = Result<AddressLook, PortError>> + Send;

    /// Moves it to an instance if it is still where the caller saw it (`None`: nowhere). An answer that is lost
    /// may leave it nowhere.
    fn move_address(
        &self,
        to: &InstanceId,
        from: Option<&Held>,
    ) -> impl Future<Output = Result<Moved, PortError>> + Send;
}

/// Where the public address is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressLook {
    /// The address itself, as it is told to devices.
    pub address: String,
    /// Base URL of the gateway behind it.
    pub endpoint: String,
    /// Who has it.
    pub held: Option<Held>,
}

impl AddressLook {
    /// The instance that has it.
    pub fn holder(&self) -> Option<&InstanceId> {
        self.held.as_ref().map(|held| &held.instance)
    }
}

/// One stay of the address at an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Where it is.
    pub instance: InstanceId,
    /// Names this stay: it differs from that of every earlier and later stay, at the same instance too.
    pub stay: String,
}

/// What became of moving the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Moved {
    /// It is there.
    Moved,
    /// It is no longer where the caller saw it; it stayed where it is.
    Stale,
}
