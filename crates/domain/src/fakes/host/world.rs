//! What is really the case on a fake host, and how it changes with time.

use super::super::Software;
use crate::id::{ImageId, InstanceId};
use crate::instance::{Image, ImageState, Instance, InstanceState, StatusCheck};
use crate::ports::{Held, PortError, Power};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// How long things take.
const BOOT: SignedDuration = SignedDuration::from_secs(30);
const CHECKS: SignedDuration = SignedDuration::from_secs(60);
const STOP: SignedDuration = SignedDuration::from_secs(20);
const COPY: SignedDuration = SignedDuration::from_mins(5);

/// A lagging look shows the world as it was up to so many ticks ago.
pub(super) const LAG_TICKS: usize = 2;

#[derive(Debug)]
pub(super) struct State {
    pub(super) now: Timestamp,
    pub(super) seen: Seen,
    pub(super) before: VecDeque<Seen>,
    pub(super) machines: BTreeMap<InstanceId, Machine>,
    pub(super) copies: BTreeMap<ImageId, Copy>,
    pub(super) launched: u64,
    pub(super) copied: u64,
    pub(super) stays: u64,
    pub(super) doom: bool,
    pub(super) stick: bool,
    pub(super) refusing: bool,
    pub(super) blocked: bool,
}

/// What looks show.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) images: BTreeMap<ImageId, Image>,
    pub(super) held: Option<Held>,
}

/// What an instance really is.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) changed_at: Timestamp,
    pub(super) software: Software,
    pub(super) broken_software: bool,
    pub(super) broken_hardware: bool,
    pub(super) doomed: bool,
}

#[derive(Debug)]
pub(super) struct Copy {
    pub(super) token: String,
    pub(super) software: Software,
    pub(super) stuck: bool,
}

impl State {
    /// Nothing, at time zero.
    pub(super) fn new() -> Self {
        Self {
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
        }
    }

    pub(super) fn pass(&mut self, now: Timestamp) {
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

    pub(super) fn answers(&self, instance: &InstanceId) -> bool {
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

    pub(super) fn launch(&mut self, token: Option<String>, mut software: Software) -> InstanceId {
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

    pub(super) fn power(&mut self, id: &InstanceId, power: Power) -> Result<(), PortError> {
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

    pub(super) fn terminate(&mut self, id: &InstanceId) {
        if let Some(instance) = self.seen.instances.get_mut(id) {
            instance.state = InstanceState::Gone;
        }
        if self.seen.held.as_ref().is_some_and(|held| held.instance == *id) {
            self.seen.held = None;
        }
    }

    pub(super) fn place(&mut self, to: Option<&InstanceId>) {
        self.stays += 1;
        self.seen.held = to.map(|instance| Held {
            instance: instance.clone(),
            stay: format!("stay-{}", self.stays),
        });
    }
}

impl Machine {
    pub(super) fn pass(&mut self, instance: &mut Instance, now: Timestamp) {
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
