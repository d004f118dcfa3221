mod world;

use super::{Software, Weather};
use crate::id::{ImageId, InstanceId};
use crate::instance::{Image, ImageState, Instance, InstanceState};
use crate::ports::{
    AddressLook, Held, Images, Instances, Moved, NewInstance, PortError, Power, PublicAddress, Source,
};
use jiff::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use world::{Copy, LAG_TICKS, Machine, Seen, State};

/// The public address and the endpoint behind it.
const ADDRESS: &str = "192.0.2.10";
const PUBLIC: &str = "http://192.0.2.10";

/// A host that runs gateways in name only. Time passes at [`FakeHost::set_now`]. As on EC2 a launch token names one
/// instance for ever, looks lag in bad weather, and moving the address is two calls of which the second may be lost.
/// Clones share it.
#[derive(Debug, Clone)]
pub struct FakeHost {
    weather: Weather,
    state: Arc<Mutex<State>>,
}

impl FakeHost {
    /// A host without instances and images, at time zero.
    pub fn new(weather: Weather) -> Self {
        Self {
            weather,
            state: Arc::new(Mutex::new(State::new())),
        }
    }

    /// Lets time pass.
    pub fn set_now(&self, now: Timestamp) {
        self.state().pass(now);
    }

    /// From now on new instances never become sound.
    pub fn doom_launches(&self, doom: bool) {
        self.state().doom = doom;
    }

    /// From now on new images never complete.
    pub fn stick_images(&self, stick: bool) {
        self.state().stick = stick;
    }

    /// Refuses launches and images, as a host at its limits would.
    pub fn refuse(&self, refusing: bool) {
        self.state().refusing = refusing;
    }

    /// Lets nothing through the public address, though it is where it should be.
    pub fn block_address(&self, blocked: bool) {
        self.state().blocked = blocked;
    }

    /// An image that is being copied fails.
    pub fn fail_image(&self, image: &ImageId) {
        if let Some(image) = self.state().seen.images.get_mut(image)
            && image.state == ImageState::Pending
        {
            image.state = ImageState::Failed;
        }
    }

    /// Breaks the operating system of an instance until it is rebooted.
    pub fn break_software(&self, instance: &InstanceId) {
        self.with_machine(instance, |machine| machine.broken_software = true);
    }

    /// Breaks the hardware below an instance until it is stopped and started; for ever if `doomed`.
    pub fn break_hardware(&self, instance: &InstanceId, doomed: bool) {
        self.with_machine(instance, |machine| {
            machine.broken_hardware = true;
            machine.doomed |= doomed;
        });
    }

    /// Changes the software on an instance.
    pub fn change_software(&self, instance: &InstanceId, change: impl FnOnce(&mut Software)) {
        self.with_machine(instance, |machine| change(&mut machine.software));
    }

    /// A person launches an instance by hand.
    pub fn add_instance(&self, software: Software) -> InstanceId {
        self.state().launch(None, software)
    }

    /// A person stops, starts or terminates (`None`) an instance.
    pub fn meddle(&self, instance: &InstanceId, power: Option<Power>) {
        let mut state = self.state();
        match power {
            Some(power) => _ = state.power(instance, power),
            None => state.terminate(instance),
        }
    }

    /// A person moves the address.
    pub fn place_address(&self, to: Option<&InstanceId>) {
        let mut state = self.state();
        state.place(to);
    }

    /// A person deletes an image.
    pub fn drop_image(&self, image: &ImageId) {
        let mut state = self.state();
        state.copies.remove(image);
        state.seen.images.remove(image);
    }

    /// The instances as they really are.
    pub fn instances(&self) -> Vec<Instance> {
        self.state().seen.instances.values().cloned().collect()
    }

    /// The images as they really are.
    pub fn images(&self) -> Vec<Image> {
        self.state().seen.images.values().cloned().collect()
    }

    /// Who really has the address.
    pub fn holder(&self) -> Option<InstanceId> {
        self.state().seen.held.as_ref().map(|held| held.instance.clone())
    }

    /// The software on an instance that runs and lets it answer.
    pub fn software(&self, instance: &InstanceId) -> Option<Software> {
        let state = self.state();
        let answers = state.answers(instance);
        answers.then(|| {
            state
                .machines
                .get(instance)
                .map(|machine| machine.software.clone())
        })?
    }

    /// Every software there ever was, answering or not.
    pub fn all_software(&self) -> Vec<Software> {
        self.state()
            .machines
            .values()
            .map(|machine| machine.software.clone())
            .collect()
    }

    pub(super) fn with_software<R>(
        &self,
        endpoint: &str,
        act: impl FnOnce(&mut Software, Timestamp) -> R,
    ) -> Option<R> {
        let mut state = self.state();
        let instance = if endpoint == PUBLIC {
            if state.blocked {
                return None;
            }
            state.seen.held.as_ref()?.instance.clone()
        } else {
            InstanceId::new(endpoint.strip_prefix("http://")?)
        };
        if !state.answers(&instance) {
            return None;
        }
        let now = state.now;
        Some(act(&mut state.machines.get_mut(&instance)?.software, now))
    }

    fn with_machine(&self, instance: &InstanceId, change: impl FnOnce(&mut Machine)) {
        if let Some(machine) = self.state().machines.get_mut(instance) {
            change(machine);
        }
    }

    /// A look that lags in bad weather.
    async fn look<R>(&self, doing: &str, read: impl FnOnce(&Seen) -> R) -> Result<R, PortError> {
        let ticks = if self.weather.mishap() {
            usize::try_from(self.weather.below(LAG_TICKS as u64 + 1)).unwrap_or(0)
        } else {
            0
        };
        let look = || {
            let state = self.state();
            let back = state.before.len().checked_sub(ticks);
            let seen = back.and_then(|at| state.before.get(at)).unwrap_or(&state.seen);
            read(seen)
        };
        self.weather.call(doing, look).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instances for FakeHost {
    async fn list_instances(&self) -> Result<Vec<Instance>, PortError> {
        self.look("listing instances", |seen| {
            seen.instances.values().cloned().collect()
        })
        .await
    }

    async fn launch_instance(&self, new: &NewInstance) -> Result<InstanceId, PortError> {
        if self.state().refusing {
            return Err(PortError::refused("launching an instance", "a limit is reached"));
        }
        let launch = || {
            let mut state = self.state();
            let known = |instance: &&Instance| instance.token.as_ref() == Some(&new.token);
            if let Some(instance) = state.seen.instances.values().find(known) {
                return Ok(instance.id.clone());
            }
            let software = match &new.source {
                Source::Base => Software::fresh(),
                Source::Image(image) => match state.copies.get(image) {
                    Some(copy) => copy.software.clone(),
                    None => return Err(PortError::refused("launching an instance", "no such image")),
                },
            };
            Ok(state.launch(Some(new.token.clone()), software))
        };
        self.weather.call("launching an instance", launch).await?
    }

    async fn power(&self, instance: &InstanceId, power: Power) -> Result<(), PortError> {
        self.weather
            .call("powering an instance", || self.state().power(instance, power))
            .await?
    }

    async fn terminate_instance(&self, instance: &InstanceId) -> Result<(), PortError> {
        self.weather
            .call("terminating an instance", || self.state().terminate(instance))
            .await
    }
}

impl Images for FakeHost {
    async fn list_images(&self) -> Result<Vec<Image>, PortError> {
        self.look("listing images", |seen| seen.images.values().cloned().collect())
            .await
    }

    async fn create_image(&self, instance: &InstanceId, token: &str) -> Result<ImageId, PortError> {
        if self.state().refusing {
            return Err(PortError::refused("creating an image", "a limit is reached"));
        }
        let create = || {
            let mut state = self.state();
            if let Some((id, _)) = state.copies.iter().find(|(_, copy)| copy.token == token) {
                return Ok(id.clone());
            }
            let Some(machine) = state.machines.get(instance) else {
                return Err(PortError::refused("creating an image", "no such instance"));
            };
            let copy = Copy {
                token: token.to_owned(),
                software: machine.software.clone(),
                stuck: state.stick,
            };
            state.copied += 1;
            let image = Image {
                id: ImageId::new(format!("ami-{:03}", state.copied)),
                state: ImageState::Pending,
                taken_at: state.now,
            };
            let id = image.id.clone();
            state.copies.insert(id.clone(), copy);
            state.seen.images.insert(id.clone(), image);
            Ok(id)
        };
        self.weather.call("creating an image", create).await?
    }

    async fn delete_image(&self, image: &ImageId) -> Result<(), PortError> {
        self.weather
            .call("deleting an image", || self.drop_image(image))
            .await
    }
}

impl PublicAddress for FakeHost {
    async fn find_address(&self) -> Result<AddressLook, PortError> {
        let look = |seen: &Seen| AddressLook {
            address: ADDRESS.into(),
            endpoint: PUBLIC.into(),
            held: seen.held.clone(),
        };
        self.look("finding the address", look).await
    }

    async fn move_address(&self, to: &InstanceId, from: Option<&Held>) -> Result<Moved, PortError> {
        let torn = self.weather.mishap();
        let move_it = || {
            let mut state = self.state();
            if state.seen.held.as_ref() != from {
                return Ok(Moved::Stale);
            }
            let here = state.seen.instances.get(to);
            if here.is_none_or(|instance| instance.state == InstanceState::Gone) {
                return Err(PortError::refused("moving the address", "no such instance"));
            }
            if torn {
                state.place(None);
                return Err(PortError::unknown(
                    "moving the address",
                    "only half of it was done",
                ));
            }
            state.place(Some(to));
            Ok(Moved::Moved)
        };
        self.weather.call("moving the address", move_it).await?
    }
}
