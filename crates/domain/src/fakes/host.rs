use super::{Software, Weather};
use crate::id::{ImageId, InstanceId};
use crate::instance::{Image, ImageState, Instance, InstanceState, StatusCheck};
use crate::ports::{
    AddressLook, Held, Images, Instances, Moved, NewInstance, PortError, Power, PublicAddress, Source,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The public address and the endpoint behind it.
const ADDRESS: &str = "192.0.2.10";
const PUBLIC: &str = "http://192.0.2.10";

/// How long things take.
const BOOT: SignedDuration = SignedDuration::from_secs(30);
const CHECKS: SignedDuration = SignedDuration::from_secs(60);
const STOP: SignedDuration = SignedDuration::from_secs(20);
const COPY: SignedDuration = SignedDuration::from_mins(5);

/// A lagging look shows the world as it was up to so many ticks ago.
const LAG_TICKS: usize = 2;

/// A host that runs gateways in name only. Time passes at [`FakeHost::set_now`]. As on EC2 a launch token names one
/// instance for ever, looks lag in bad weather, and moving the address is two calls of which the second may be lost.
/// Clones share it.
#[derive(Debug, Clone)]
pub struct FakeHost {
    weather: Weather,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    seen: Seen,
    before: VecDeque<Seen>,
    machines: BTreeMap<InstanceId, Machine>,
    copies: BTreeMap<ImageId, Copy>,
    launched: u64,
    copied: u64,
    stays: u64,
    doom: bool,
    stick: bool,
    refusing: bool,
    blocked: bool,
}

/// What looks show.
#[derive(Debug, Clone, Default)]
struct Seen {
    instances: BTreeMap<InstanceId, Instance>,
    images: BTreeMap<ImageId, Image>,
    held: Option<Held>,
}

/// What an instance really is.
#[derive(Debug)]
struct Machine {
    changed_at: Timestamp,
    software: Software,
    broken_software: bool,
    broken_hardware: bool,
    doomed: bool,
}

#[derive(Debug)]
struct Copy {
    token: String,
    software: Software,
    stuck: bool,
}

impl FakeHost {
    /// A host without instances and images, at time zero.
    pub fn new(weather: Weather) -> Self {
        let state = State {
            now: Timestamp::UNIX_EPOCH,
            seen: Seen::default(),
            before: VecDeque::new(),
            machines: BTreeMap::new(),
            copies: BTreeMap::new(),
            launched: 0,
            copied: 0,
            stays: 0,
            doom: false,
            stick: false,
            refusing: false,
            blocked: false,
        };
        Self {
            weather,
            state: Arc::new(Mutex::new(state)),
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

impl State {
    fn pass(&mut self, now: Timestamp) {
        self.before.push_back(self.seen.clone());
        if self.before.len() > LAG_TICKS {
            self.before.pop_front();
        }
        self.now = now;
        for (id, instance) in &mut self.seen.instances {
            if let Some(machine) = self.machines.get_mut(id) {
                machine.pass(instance, now);
            }
        }
        for (id, image) in &mut self.seen.images {
            let stuck = self.copies.get(id).is_none_or(|copy| copy.stuck);
            let done = now.duration_since(image.taken_at) >= COPY;
            if image.state == ImageState::Pending && done && !stuck {
                image.state = ImageState::Usable;
            }
        }
    }

    fn answers(&self, instance: &InstanceId) -> bool {
        let running = self
            .seen
            .instances
            .get(instance)
            .is_some_and(|instance| instance.state == InstanceState::Running);
        let machine = self.machines.get(instance);
        running
            && machine.is_some_and(|machine| {
                !machine.broken_hardware && !machine.broken_software && machine.software.answers(self.now)
            })
    }

    fn launch(&mut self, token: Option<String>, mut software: Software) -> InstanceId {
        self.launched += 1;
        let id = InstanceId::new(format!("i-{:03}", self.launched));
        let instance = Instance {
            id: id.clone(),
            state: InstanceState::Starting,
            system: StatusCheck::Pending,
            software: StatusCheck::Pending,
            endpoint: Some(format!("http://{id}")),
            launched_at: self.now,
            token,
        };
        software.boot(self.now);
        let machine = Machine {
            changed_at: self.now,
            software,
            broken_software: false,
            broken_hardware: self.doom,
            doomed: self.doom,
        };
        self.seen.instances.insert(id.clone(), instance);
        self.machines.insert(id.clone(), machine);
        id
    }

    fn power(&mut self, id: &InstanceId, power: Power) -> Result<(), PortError> {
        let (Some(instance), Some(machine)) = (self.seen.instances.get_mut(id), self.machines.get_mut(id))
        else {
            return Err(PortError::refused("powering an instance", "there is none"));
        };
        match (instance.state, power) {
            (InstanceState::Gone, _) => {
                return Err(PortError::refused("powering an instance", "it is gone"));
            }
            (InstanceState::Running, Power::Reboot) => {
                machine.broken_software = false;
                machine.software.boot(self.now);
            }
            (InstanceState::Starting | InstanceState::Running, Power::Stop) => {
                instance.state = InstanceState::Stopping;
                machine.changed_at = self.now;
            }
            (InstanceState::Stopped, Power::Start) => {
                instance.state = InstanceState::Starting;
                instance.system = StatusCheck::Pending;
                instance.software = StatusCheck::Pending;
                machine.changed_at = self.now;
                machine.broken_hardware = machine.doomed;
                machine.broken_software = false;
                machine.software.boot(self.now);
            }
            (
                InstanceState::Starting
                | InstanceState::Running
                | InstanceState::Stopping
                | InstanceState::Stopped,
                Power::Reboot | Power::Stop | Power::Start,
            ) => {}
        }
        Ok(())
    }

    fn terminate(&mut self, id: &InstanceId) {
        if let Some(instance) = self.seen.instances.get_mut(id) {
            instance.state = InstanceState::Gone;
        }
        if self.seen.held.as_ref().is_some_and(|held| held.instance == *id) {
            self.seen.held = None;
        }
    }

    fn place(&mut self, to: Option<&InstanceId>) {
        self.stays += 1;
        self.seen.held = to.map(|instance| Held {
            instance: instance.clone(),
            stay: format!("stay-{}", self.stays),
        });
    }
}

impl Machine {
    fn pass(&mut self, instance: &mut Instance, now: Timestamp) {
        let elapsed = now.duration_since(self.changed_at);
        match instance.state {
            InstanceState::Starting if elapsed >= BOOT => instance.state = InstanceState::Running,
            InstanceState::Stopping if elapsed >= STOP => instance.state = InstanceState::Stopped,
            InstanceState::Starting
            | InstanceState::Running
            | InstanceState::Stopping
            | InstanceState::Stopped
            | InstanceState::Gone => {}
        }
        if instance.state == InstanceState::Running && elapsed >= CHECKS {
            let verdict = |broken| {
                if broken {
                    StatusCheck::Failed
                } else {
                    StatusCheck::Passed
                }
            };
            instance.system = verdict(self.broken_hardware);
            instance.software = verdict(self.broken_software || self.broken_hardware);
        }
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
