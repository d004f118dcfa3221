//! The machine room: the emulator keeps no more than an entry of an instance; here each one that runs has a simulated
//! gateway on it, and the devices on its disks go into images and come out of them.

use crate::door::Door;
use crate::stack::{INITIAL, WANTED};
use aws::ec2::Machines;
use aws::harness::Site;
use domain::ports::{Images, Instances, PublicAddress};
use domain::{ImageId, Instance, InstanceId, InstanceState};
use simulator::scenario::{DeviceSpec, Password};
use simulator::{Operation, Scenario, Simulator};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Everything that runs.
pub(crate) struct Room {
    site: Site,
    machines: Machines,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is on the disks of an instance: the devices its gateway knows.
    disks: BTreeMap<InstanceId, Vec<DeviceSpec>>,
    images: BTreeMap<ImageId, Vec<DeviceSpec>>,
    running: BTreeMap<InstanceId, (Simulator, Door)>,
}

impl Room {
    /// A room without machines.
    pub(crate) fn new(site: Site, machines: Machines) -> Arc<Self> {
        Arc::new(Self {
            site,
            machines,
            state: Mutex::default(),
        })
    }

    /// The door of the Elastic IP.
    pub(crate) async fn open_address(self: &Arc<Self>) -> Door {
        let look = self.machines.find_address().await.expect("the emulator answers");
        let address = socket(&look.endpoint).expect("it is an address");
        let room = Arc::clone(self);
        let whither = move || {
            let room = Arc::clone(&room);
            async move { room.behind_address().await }
        };
        Door::open(address, whither).await
    }

    async fn behind_address(&self) -> Option<SocketAddr> {
        let look = self.machines.find_address().await.ok()?;
        let instances = self.machines.list_instances().await.ok()?;
        let holder = instances.into_iter().find(|it| look.holder() == Some(&it.id))?;
        holder.endpoint.as_deref().and_then(socket)
    }

    /// A device registers with the gateway on this instance.
    pub(crate) async fn register(&self, instance: &InstanceId, device: DeviceSpec) {
        let mut state = self.state.lock().await;
        let (gateway, _) = &state.running[instance];
        let added = Operation::AddDevice {
            device: device.clone(),
        };
        gateway.control().apply(added).expect("it is a new device");
        state.disks.entry(instance.clone()).or_default().push(device);
    }

    /// Lets machines and images become what the emulator says they are.
    pub(crate) async fn follow(&self) {
        let mut state = self.state.lock().await;
        let images = self.machines.list_images().await.expect("the emulator answers");
        let instances = self
            .machines
            .list_instances()
            .await
            .expect("the emulator answers");
        for image in images {
            if !state.images.contains_key(&image.id)
                && let Some(source) = self.source_of(&image.id).await
            {
                let disks = state.disks.get(&source).cloned().unwrap_or_default();
                state.images.insert(image.id, disks);
            }
        }
        for instance in instances {
            let is_on = state.running.contains_key(&instance.id);
            match (instance.state, is_on) {
                (InstanceState::Running, false) => self.switch_on(&mut state, &instance).await,
                (InstanceState::Stopped | InstanceState::Gone, true) => {
                    state.running.remove(&instance.id);
                }
                (InstanceState::Starting | InstanceState::Stopping, _)
                | (InstanceState::Running, true)
                | (InstanceState::Stopped | InstanceState::Gone, false) => {}
            }
        }
    }

    /// The instance an image is of.
    async fn source_of(&self, image: &ImageId) -> Option<InstanceId> {
        let asked = self.site.client.describe_images().image_ids(image.as_str());
        let images = asked.send().await.ok()?.images?;
        images.into_iter().next()?.source_instance_id.map(InstanceId::new)
    }

    async fn switch_on(&self, state: &mut State, instance: &Instance) {
        let from = ImageId::new(self.image_of(&instance.id).await);
        let image = state.images.get(&from).cloned();
        let password = if image.is_some() { WANTED } else { INITIAL };
        let devices = image.unwrap_or_default();
        let mut scenario = Scenario::with_devices(devices.clone()).api_only();
        scenario.gateway.password = Password::from(password);
        scenario.gateway.reboot_seconds = 0.2;
        let gateway = Simulator::start(scenario).await.expect("a gateway starts");
        let api = socket(&gateway.api_url()).expect("it has an address");
        let address = instance.endpoint.as_deref().and_then(socket);
        let address = address.expect("what runs has an address");
        let door = Door::open(address, move || async move { Some(api) }).await;
        state.disks.insert(instance.id.clone(), devices);
        state.running.insert(instance.id.clone(), (gateway, door));
    }

    async fn image_of(&self, instance: &InstanceId) -> String {
        let asked = self
            .site
            .client
            .describe_instances()
            .instance_ids(instance.as_str());
        let answer = asked.send().await.expect("the emulator answers");
        let instance = &answer.reservations()[0].instances()[0];
        instance.image_id().expect("it has one").to_owned()
    }
}

/// Where a base URL leads.
fn socket(url: &str) -> Option<SocketAddr> {
    url.strip_prefix("http://")?.parse().ok()
}
