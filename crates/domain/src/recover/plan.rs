//! The plan of one round: a pure function of what is remembered and what is seen.

use super::memory::{Memory, Saga, Step};
use super::{ImageAction, RecoverPolicy, Request, Role, plan_images, saga, tell, yard};
use crate::id::{ImageId, InstanceId};
use crate::instance::{Image, ImageState, Instance, InstanceState};
use crate::ports::{AddressLook, Held, NewInstance};
use jiff::Timestamp;
use std::cmp::Reverse;
use std::fmt;

/// One possibly stale look at everything.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// Who the gateway is said to be.
    pub role: Option<&'a Role>,
    /// Who asks for a replacement or drill.
    pub request: Option<&'a Request>,
    /// The health ladder finds the gateway ill, or is not let in.
    pub ill: bool,
    /// The instances of this stack.
    pub instances: &'a [Instance],
    /// Where the public address is.
    pub address: &'a AddressLook,
    /// The images of this stack.
    pub images: &'a [Image],
    /// What was seen of the gateway that had to be asked.
    pub proof: Proof,
    /// Settings that were changed at the gateway in office to make it so, in words.
    pub drift: Vec<String>,
    /// Wanted devices that the new gateway does not know, when its list could be had.
    pub lost_devices: Option<Vec<String>>,
}

/// What was seen of the gateway whose turn it is to be looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It was nobody's turn.
    NotAsked,
    /// It answers and its configuration is right.
    InOrder,
    /// So too, but something only a person can change is not as it should be.
    ButByHand(String),
    /// Not so, and why.
    NotYet(String),
    /// Not so, and it will not become so without a person.
    NeedsPerson(String),
}

impl Proof {
    /// Whether the gateway may have the role.
    pub(super) fn is_good(&self) -> bool {
        match self {
            Self::InOrder | Self::ButByHand(_) => true,
            Self::NotAsked | Self::NotYet(_) | Self::NeedsPerson(_) => false,
        }
    }
}

/// What to remember, and then what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The memory after this round; to be stored before anything is done.
    pub memory: Memory,
    /// What to do; each is safe to repeat.
    pub deeds: Vec<Deed>,
    /// What was decided and why, in words.
    pub notes: Vec<String>,
    /// The moment the newest usable image shows.
    pub newest_image: Option<Timestamp>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Launch an instance.
    Launch(NewInstance),
    /// Move the public address.
    MoveAddress {
        /// To this instance.
        to: InstanceId,
        /// From where it was seen.
        from: Option<Held>,
    },
    /// Write who the gateway is.
    Announce(Role),
    /// Stop an instance on its way out.
    Stop(InstanceId),
    /// End an instance on its way out for ever.
    Terminate(InstanceId),
    /// Something about images.
    Image(ImageAction),
}

/// Plans one round. Total and deterministic; at most one step of the saga.
pub fn plan(policy: &RecoverPolicy, memory: &Memory, observed: &Observed<'_>, now: Timestamp) -> Plan {
    let mut plan = Plan {
        memory: memory.clone(),
        deeds: Vec::new(),
        notes: Vec::new(),
        newest_image: None,
    };
    if plan.memory.saga.is_some() && !yields(policy, &mut plan, observed, now) {
        saga::advance(policy, &mut plan, observed, now);
    } else if let Some(request) = due(policy, &mut plan.memory, observed, now) {
        begin(policy, &mut plan, observed, request, now);
    } else {
        yard::keep_address(policy, &mut plan, observed, now);
    }
    yard::clear(policy, &mut plan, observed, now);
    note_setup(&mut plan, memory, observed, now);
    let images = plan_images(
        policy,
        &plan.memory,
        observed.images,
        fit_for_image(&plan, observed),
        now,
    );
    plan.newest_image = images.newest;
    let troubles = tell::troubles(policy, &plan.memory, observed, &images, now);
    plan.deeds.extend(images.actions.into_iter().map(Deed::Image));
    let listed = |failed: &ImageId| observed.images.iter().any(|image| image.id == *failed);
    plan.memory.failed_images.retain(|image, _| listed(image));
    let (watch, alerts) = plan.memory.watch.look(&troubles, now);
    plan.memory.watch = watch;
    plan.memory.outbox.extend(alerts);
    tell::bound(&mut plan.memory.outbox);
    plan
}

/// Remembers what was seen of the gateway in office: it is asked again until it is in order.
fn note_setup(plan: &mut Plan, before: &Memory, observed: &Observed<'_>, now: Timestamp) {
    if before.saga.is_some() {
        return;
    }
    let (pending, trouble) = match &observed.proof {
        Proof::NotAsked => return,
        Proof::InOrder => (false, None),
        Proof::ButByHand(why) | Proof::NeedsPerson(why) => (false, Some(why.clone())),
        Proof::NotYet(_) => (true, plan.memory.setup_trouble.take()),
    };
    plan.memory.setup_pending = pending;
    plan.memory.setup_trouble = trouble;
    if !observed.drift.is_empty() {
        plan.memory.outbox.push(tell::drifted(&observed.drift, now));
    }
}

/// A drill makes way for a replacement that is needed.
fn yields(policy: &RecoverPolicy, plan: &mut Plan, observed: &Observed<'_>, now: Timestamp) -> bool {
    let wanted = asked(policy, &plan.memory, observed, now).is_some_and(|request| !request.drill);
    let is_drill = plan.memory.saga.as_ref().is_some_and(|saga| saga.request.drill);
    if !(wanted && is_drill) {
        return false;
    }
    if let Some(saga) = plan.memory.saga.take() {
        yard::retire(
            &mut plan.memory,
            saga.new,
            "the drill made way for a replacement",
            true,
            now,
        );
    }
    plan.notes.push("the drill makes way".into());
    true
}

/// The request to begin now, if there is one.
fn due(
    policy: &RecoverPolicy,
    memory: &mut Memory,
    observed: &Observed<'_>,
    now: Timestamp,
) -> Option<Request> {
    if let Some(request) = asked(policy, memory, observed, now) {
        return Some(request.clone());
    }
    if observed.role.is_some() || observed.address.held.is_some() {
        return None;
    }
    let failed_lately = memory
        .last
        .as_ref()
        .is_some_and(|last| !last.success && now.duration_since(last.at) < policy.retry_after);
    let since = *memory.astray_since.get_or_insert(now);
    (!failed_lately && now.duration_since(since) >= policy.confirm).then(|| Request {
        at: now,
        since,
        reason: "there is no gateway yet".into(),
        drill: false,
    })
}

/// The request that waits, unless it is too old, was begun already or was answered by what came after it.
fn asked<'a>(
    policy: &RecoverPolicy,
    memory: &Memory,
    observed: &Observed<'a>,
    now: Timestamp,
) -> Option<&'a Request> {
    observed
        .request
        .filter(|request| memory.leaves_waiting(policy, request, now))
}

fn begin(policy: &RecoverPolicy, plan: &mut Plan, observed: &Observed<'_>, request: Request, now: Timestamp) {
    let holder = observed.address.holder();
    let old = holder
        .or_else(|| observed.role.map(|role| &role.instance_id))
        .cloned();
    let image = choose(policy, &plan.memory, observed, old.as_ref(), 1);
    let saga = Saga {
        started_at: now,
        old,
        attempt: 1,
        image: image.map(|image| image.id.clone()),
        image_taken_at: image.map(|image| image.taken_at),
        new: None,
        step: Step::Launch,
        step_since: now,
        answered_at: None,
        lost_devices: None,
        request,
    };
    plan.notes
        .push(format!("begin {}: {}", saga.token(), saga.request.reason));
    plan.memory.outbox.push(tell::begun(&saga));
    plan.memory.begun = Some(saga.request.at);
    plan.memory.astray_since = None;
    plan.memory.saga = Some(saga);
}

/// The newest usable image that no gateway failed to come up from; else, in turn, the usable one whose failure is
/// longest ago. The base image, which loses every device, only when there is no other, or as the last try when all
/// failed and nothing is left to fall back on.
pub(super) fn choose<'a>(
    policy: &RecoverPolicy,
    memory: &Memory,
    observed: &Observed<'a>,
    old: Option<&InstanceId>,
    attempt: u32,
) -> Option<&'a Image> {
    let failed_at = |image: &Image| memory.failed_images.get(&image.id);
    let next = observed
        .images
        .iter()
        .filter(|image| image.state == ImageState::Usable)
        .min_by_key(|image| (failed_at(image), Reverse((image.taken_at, &image.id))))?;
    let fallback = old.is_some_and(|old| observed.is_alive(old));
    let last_try = attempt > 1 && attempt >= policy.attempts_max;
    (failed_at(next).is_none() || fallback || !last_try).then_some(next)
}

/// The gateway's instance when an image of it is worth keeping.
fn fit_for_image<'a>(plan: &Plan, observed: &Observed<'a>) -> Option<&'a InstanceId> {
    let replacing = plan.memory.saga.as_ref().is_some_and(|saga| !saga.request.drill);
    let amiss = observed.ill || plan.memory.setup_pending || plan.memory.setup_trouble.is_some();
    let role = observed.role.filter(|_| !replacing && !amiss)?;
    let instance = observed.instance(&role.instance_id)?;
    let in_office = observed.address.holder() == Some(&role.instance_id);
    (instance.is_sound() && in_office).then_some(&role.instance_id)
}

impl<'a> Observed<'a> {
    /// An instance by name, if it is listed.
    pub(super) fn instance(&self, id: &InstanceId) -> Option<&'a Instance> {
        self.instances.iter().find(|instance| instance.id == *id)
    }

    /// Whether an instance is listed and not gone.
    pub(super) fn is_alive(&self, id: &InstanceId) -> bool {
        self.instance(id)
            .is_some_and(|instance| instance.state != InstanceState::Gone)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launch(new) => write!(f, "launch {}", new.token),
            Self::MoveAddress { to, from } => {
                let from = from.as_ref().map_or("nowhere", |held| held.instance.as_str());
                write!(f, "move the address from {from} to {to}")
            }
            Self::Announce(role) => write!(f, "announce {} at {}", role.instance_id, role.endpoint),
            Self::Stop(instance) => write!(f, "stop {instance}"),
            Self::Terminate(instance) => write!(f, "terminate {instance}"),
            Self::Image(action) => action.fmt(f),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for deed in &self.deeds {
            writeln!(f, "-> {deed}")?;
        }
        Ok(())
    }
}
