//! A host that looks over the loops' shoulders: it asserts at every deed what must hold before it.

use domain::fakes::{FakeHost, FakeTables, Password};
use domain::ports::{
    AddressLook, ControlTable, Held, Images, Instances, Moved, NewInstance, PortError, Power, PublicAddress,
};
use domain::recover::{MEMORY, Memory, ROLE, Role, Step};
use domain::{Image, ImageId, ImageState, Instance, InstanceId};
use futures::executor::block_on;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The host as recovery uses it.
#[derive(Clone)]
pub(crate) struct WatchedHost {
    pub(crate) inner: FakeHost,
    /// Tables in calm weather: the truth.
    pub(crate) truth: FakeTables,
    /// Every instance that ever had the address.
    pub(crate) had_address: Arc<Mutex<BTreeSet<InstanceId>>>,
    /// Every instance that ever was announced.
    pub(crate) announced: Arc<Mutex<BTreeSet<InstanceId>>>,
}

impl WatchedHost {
    pub(crate) fn memory(&self) -> Memory {
        let item = block_on(self.truth.get_control(MEMORY)).unwrap();
        item.map(|item| serde_json::from_value(item.value).unwrap())
            .unwrap_or_default()
    }

    pub(crate) fn role(&self) -> Option<Role> {
        let item = block_on(self.truth.get_control(ROLE)).unwrap();
        item.map(|item| serde_json::from_value(item.value).unwrap())
    }

    /// Whether the gateway on an instance answers, is set up, and what was set up is in force.
    pub(crate) fn is_proven(&self, instance: &InstanceId) -> bool {
        self.inner.software(instance).is_some_and(|software| {
            software.password == Password::Wanted
                && software.in_force
                && software.configuration.platform_ports.enabled
                && software.configuration.device_ports.enabled
        })
    }

    /// G1: the address goes only to a gateway that answers and is set up, or back to where it came from.
    fn assert_may_have_the_address(&self, to: &InstanceId) {
        let saga = self.memory().saga;
        let back = saga.is_some_and(|saga| saga.step == Step::GiveBack && saga.old.as_ref() == Some(to));
        assert!(
            back || self.is_proven(to),
            "G1: the address went to {to}, which is not proven"
        );
    }

    /// G2: what is stopped or ended for good neither has the address nor is said to be the gateway; and if it ever
    /// was the gateway, another one is that has had the address.
    fn assert_may_go(&self, instance: &InstanceId) {
        assert_ne!(
            self.inner.holder().as_ref(),
            Some(instance),
            "G2: it has the address"
        );
        let role = self.role();
        let role = role.as_ref().map(|role| &role.instance_id);
        assert_ne!(role, Some(instance), "G2: it is the gateway");
        let had_address = self.had_address.lock().unwrap();
        if self.announced.lock().unwrap().contains(instance) {
            assert!(
                role.is_some_and(|role| had_address.contains(role)),
                "G2: no other was proven"
            );
        }
    }

    pub(crate) fn note(&self) {
        self.had_address.lock().unwrap().extend(self.inner.holder());
        let role = self.role().map(|role| role.instance_id);
        self.announced.lock().unwrap().extend(role);
    }
}

impl Instances for WatchedHost {
    async fn list_instances(&self) -> Result<Vec<Instance>, PortError> {
        self.inner.list_instances().await
    }

    async fn launch_instance(&self, new: &NewInstance) -> Result<InstanceId, PortError> {
        self.inner.launch_instance(new).await
    }

    async fn power(&self, instance: &InstanceId, power: Power) -> Result<(), PortError> {
        assert_eq!(power, Power::Stop, "recovery only stops");
        self.assert_may_go(instance);
        self.inner.power(instance, power).await
    }

    async fn terminate_instance(&self, instance: &InstanceId) -> Result<(), PortError> {
        self.assert_may_go(instance);
        self.inner.terminate_instance(instance).await
    }
}

impl Images for WatchedHost {
    async fn list_images(&self) -> Result<Vec<Image>, PortError> {
        self.inner.list_images().await
    }

    async fn create_image(&self, instance: &InstanceId, token: &str) -> Result<ImageId, PortError> {
        self.inner.create_image(instance, token).await
    }

    /// G3: by our own deletion there is never no usable image.
    async fn delete_image(&self, image: &ImageId) -> Result<(), PortError> {
        let images = self.inner.images();
        let usable = |image: &&Image| image.state == ImageState::Usable;
        let is_usable = images.iter().filter(usable).any(|usable| usable.id == *image);
        let others = images
            .iter()
            .filter(usable)
            .filter(|other| other.id != *image)
            .count();
        assert!(
            !is_usable || others > 0,
            "G3: deleted the last usable image {image}"
        );
        self.inner.delete_image(image).await
    }
}

impl PublicAddress for WatchedHost {
    async fn find_address(&self) -> Result<AddressLook, PortError> {
        self.inner.find_address().await
    }

    async fn move_address(&self, to: &InstanceId, from: Option<&Held>) -> Result<Moved, PortError> {
        let before = self.inner.holder();
        let proven = self.is_proven(to);
        let moved = self.inner.move_address(to, from).await;
        let holder = self.inner.holder();
        if !proven && holder.as_ref() == Some(to) && before != holder {
            self.assert_may_have_the_address(to);
        }
        self.note();
        moved
    }
}
