//! The replacement, step by step. Each step waits for what it needs to be *seen*, so it may be resumed by anybody.

use super::memory::{Memory, Saga, SagaResult, Step};
use super::plan::choose;
use super::{Deed, Observed, Plan, Proof, RecoverPolicy, Role, tell, yard};
use crate::id::InstanceId;
use crate::instance::{Instance, InstanceState};
use crate::ports::NewInstance;
use jiff::{SignedDuration, Timestamp};

/// What becomes of the saga in this round.
enum Next {
    Stay,
    Do(Deed),
    Go(Step),
    /// This image or instance will not do.
    Fail(String),
    /// A person decided otherwise.
    Abandon(String),
    Finish,
}

/// Where a gateway stands in the way of the next step and has to be asked; see [`Proof`].
pub(super) enum Ask {
    /// Set the new gateway at this private endpoint up, and say whether it is in order.
    Candidate(String),
    /// The same for the gateway in office.
    InOffice(String),
    /// Say whether the gateway behind the public address answers and is in order.
    Verify,
    /// Compare the devices of the gateway at this private endpoint with the wanted channels.
    Devices(String),
}

/// Who has to be asked before the next plan.
pub(super) fn ask(
    policy: &RecoverPolicy,
    memory: &Memory,
    observed: &Observed<'_>,
    now: Timestamp,
) -> Option<Ask> {
    let Some(saga) = &memory.saga else {
        let due = observed.address.held.is_none() || memory.setup_pending || policy.is_setup_time(now);
        let role = observed.role.filter(|_| due)?;
        let sound = observed
            .instance(&role.instance_id)
            .is_some_and(Instance::is_sound);
        return sound.then(|| Ask::InOffice(role.endpoint.clone()));
    };
    let endpoint = || observed.instance(saga.new.as_ref()?)?.endpoint.clone();
    match saga.step {
        Step::Prove | Step::MoveAddress => endpoint().map(Ask::Candidate),
        Step::Verify => (observed.address.holder() == saga.new.as_ref()).then_some(Ask::Verify),
        Step::Compare => endpoint().map(Ask::Devices),
        Step::Launch | Step::Boot | Step::GiveBack | Step::Announce | Step::RetireOld => None,
    }
}

/// Takes the saga at most one step on.
pub(super) fn advance(policy: &RecoverPolicy, plan: &mut Plan, observed: &Observed<'_>, now: Timestamp) {
    let Some(mut saga) = plan.memory.saga.take() else {
        return;
    };
    let next = next(policy, &mut plan.memory, &mut saga, observed, now);
    match next {
        Next::Stay => plan.memory.saga = Some(saga),
        Next::Do(deed) => {
            plan.deeds.push(deed);
            plan.memory.saga = Some(saga);
        }
        Next::Go(step) => {
            plan.notes
                .push(format!("{}: {} → {step}", saga.token(), saga.step));
            saga.go(step, now);
            plan.memory.saga = Some(saga);
        }
        Next::Fail(why) => fail(policy, plan, saga, observed, &why, now),
        Next::Abandon(why) => abandon(plan, saga, observed, &why, now),
        Next::Finish => finish(policy, plan, saga, now),
    }
}

fn next(
    policy: &RecoverPolicy,
    memory: &mut Memory,
    saga: &mut Saga,
    observed: &Observed<'_>,
    now: Timestamp,
) -> Next {
    let late = saga.at_step_for(now) > policy.limit(saga.step);
    if let Some(why) = lost(saga, observed) {
        return Next::Fail(why);
    }
    match saga.step {
        Step::Launch => launch(saga, observed, late),
        Step::Boot => match saga.new.as_ref().and_then(|new| observed.instance(new)) {
            Some(instance) if instance.is_sound() => Next::Go(Step::Prove),
            Some(_) | None => wait(late, "the host did not find the instance sound in time"),
        },
        Step::Prove => match refusal(&observed.proof) {
            None if saga.request.drill => {
                saga.answered_at = Some(now);
                Next::Finish
            }
            None => Next::Go(Step::MoveAddress),
            Some(why) => wait(late, why),
        },
        Step::MoveAddress => move_address(policy, memory, saga, observed, late, now),
        Step::Verify => verify(policy, memory, saga, observed, late, now),
        Step::GiveBack => give_back(saga, observed, late),
        Step::Announce => announce(saga, observed),
        Step::RetireOld => retire_old(policy, memory, saga, observed, now),
        Step::Compare => {
            saga.lost_devices.clone_from(&observed.lost_devices);
            if saga.lost_devices.is_some() || late {
                return Next::Finish;
            }
            Next::Stay
        }
    }
}

/// Why the instance of this attempt is no longer to be had. Once the old one is retired, the new one is the
/// gateway and the ladder's matter.
fn lost(saga: &Saga, observed: &Observed<'_>) -> Option<String> {
    if saga.step == Step::Compare {
        return None;
    }
    let instance = observed.instance(saga.new.as_ref()?)?;
    match instance.state {
        InstanceState::Gone => Some(format!("somebody terminated {}", instance.id)),
        InstanceState::Stopping | InstanceState::Stopped => Some(format!("somebody stopped {}", instance.id)),
        InstanceState::Starting | InstanceState::Running => None,
    }
}

fn wait(late: bool, why: &str) -> Next {
    if late {
        Next::Fail(why.to_owned())
    } else {
        Next::Stay
    }
}

fn launch(saga: &mut Saga, observed: &Observed<'_>, late: bool) -> Next {
    let token = saga.token();
    let launched = observed
        .instances
        .iter()
        .find(|instance| instance.token.as_ref() == Some(&token));
    if let Some(instance) = launched {
        saga.new = Some(instance.id.clone());
        return Next::Go(Step::Boot);
    }
    if late {
        return Next::Fail("no instance could be launched in time".into());
    }
    Next::Do(Deed::Launch(NewInstance {
        token,
        source: saga.source(),
        like: saga.old.clone(),
        isolated: saga.request.drill,
    }))
}

fn move_address(
    policy: &RecoverPolicy,
    memory: &mut Memory,
    saga: &Saga,
    observed: &Observed<'_>,
    late: bool,
    now: Timestamp,
) -> Next {
    let Some(new) = &saga.new else {
        return Next::Fail("its instance was forgotten".into());
    };
    let holder = observed.address.holder();
    if holder == Some(new) {
        memory.astray_since = None;
        return Next::Go(Step::Verify);
    }
    let expected = holder.is_none_or(|id| saga.old.as_ref() == Some(id) || memory.retired.contains_key(id));
    if !expected {
        return astray(policy, memory, observed, now);
    }
    memory.astray_since = None;
    match refusal(&observed.proof) {
        None => Next::Do(Deed::MoveAddress {
            to: new.clone(),
            from: observed.address.held.clone(),
        }),
        Some(why) => wait(late, why),
    }
}

/// Why a gateway may not have the role, if so.
fn refusal(proof: &Proof) -> Option<&str> {
    match proof {
        Proof::InOrder | Proof::ButByHand(_) => None,
        Proof::NotYet(why) | Proof::NeedsPerson(why) => Some(why),
        Proof::NotAsked => Some("the gateway on it could not be asked"),
    }
}

fn verify(
    policy: &RecoverPolicy,
    memory: &mut Memory,
    saga: &mut Saga,
    observed: &Observed<'_>,
    late: bool,
    now: Timestamp,
) -> Next {
    if observed.address.holder() != saga.new.as_ref() {
        return astray(policy, memory, observed, now);
    }
    memory.astray_since = None;
    match &observed.proof {
        Proof::InOrder | Proof::ButByHand(_) => {
            saga.answered_at = Some(now);
            Next::Go(Step::Announce)
        }
        // Asking on would lock the account.
        Proof::NeedsPerson(_) => Next::Go(Step::GiveBack),
        Proof::NotAsked | Proof::NotYet(_) if late => Next::Go(Step::GiveBack),
        Proof::NotAsked | Proof::NotYet(_) => Next::Stay,
    }
}

/// The address is not where it should be. Seen once that may be an old answer; seen for a while, somebody moved it:
/// from nowhere we take it back, from an instance we do not.
fn astray(policy: &RecoverPolicy, memory: &mut Memory, observed: &Observed<'_>, now: Timestamp) -> Next {
    let since = *memory.astray_since.get_or_insert(now);
    if now.duration_since(since) < policy.confirm {
        return Next::Stay;
    }
    memory.astray_since = None;
    match observed.address.holder() {
        None => Next::Go(Step::MoveAddress),
        Some(holder) => Next::Abandon(format!("somebody moved the address to {holder}")),
    }
}

fn give_back(saga: &Saga, observed: &Observed<'_>, late: bool) -> Next {
    const WHY: &str = "it did not answer through the address";
    let holder = observed.address.holder();
    let old = saga.old.as_ref().filter(|old| observed.is_alive(old));
    match old {
        Some(old) if !late && (holder.is_none() || holder == saga.new.as_ref()) => {
            Next::Do(Deed::MoveAddress {
                to: old.clone(),
                from: observed.address.held.clone(),
            })
        }
        Some(_) | None => Next::Fail(WHY.into()),
    }
}

fn announce(saga: &Saga, observed: &Observed<'_>) -> Next {
    let Some(new) = &saga.new else {
        return Next::Fail("its instance was forgotten".into());
    };
    let Some(endpoint) = observed
        .instance(new)
        .and_then(|instance| instance.endpoint.clone())
    else {
        return Next::Stay;
    };
    let role = Role {
        instance_id: new.clone(),
        endpoint,
    };
    if observed.role == Some(&role) {
        return Next::Go(Step::RetireOld);
    }
    Next::Do(Deed::Announce(role))
}

/// The old one goes only now, with the new one in office; the [yard](super::yard) stops it.
fn retire_old(
    policy: &RecoverPolicy,
    memory: &mut Memory,
    saga: &Saga,
    observed: &Observed<'_>,
    now: Timestamp,
) -> Next {
    if observed.address.holder() != saga.new.as_ref() {
        return astray(policy, memory, observed, now);
    }
    memory.astray_since = None;
    yard::retire(memory, saga.old.clone(), "it was replaced", false, now);
    Next::Go(Step::Compare)
}

fn fail(
    policy: &RecoverPolicy,
    plan: &mut Plan,
    mut saga: Saga,
    observed: &Observed<'_>,
    why: &str,
    now: Timestamp,
) {
    plan.notes
        .push(format!("{}: {} failed: {why}", saga.token(), saga.step));
    let memory = &mut plan.memory;
    memory.astray_since = None;
    if let (Some(image), Step::Boot | Step::Prove | Step::Verify | Step::GiveBack) = (&saga.image, saga.step)
    {
        memory.failed_images.insert(image.clone(), now);
    }
    yard::retire(memory, saga.new.take(), why, saga.request.drill, now);
    if saga.attempt >= policy.attempts_max {
        memory.outbox.push(tell::failed(&saga, why));
        memory.last = Some(SagaResult::of(&saga, false, now));
        return;
    }
    memory.outbox.push(tell::attempt_failed(&saga, why));
    saga.attempt += 1;
    let image = choose(policy, memory, observed, saga.old.as_ref(), saga.attempt);
    saga.image = image.map(|image| image.id.clone());
    saga.image_taken_at = image.map(|image| image.taken_at);
    saga.go(Step::Launch, now);
    memory.saga = Some(saga);
}

fn abandon(plan: &mut Plan, saga: Saga, observed: &Observed<'_>, why: &str, now: Timestamp) {
    plan.notes.push(format!("{} abandoned: {why}", saga.token()));
    plan.memory.outbox.push(tell::abandoned(&saga, why));
    plan.memory.last = Some(SagaResult::of(&saga, false, now));
    let new: Option<InstanceId> = saga.new.filter(|new| observed.address.holder() != Some(new));
    yard::retire(&mut plan.memory, new, why, false, now);
}

fn finish(policy: &RecoverPolicy, plan: &mut Plan, saga: Saga, now: Timestamp) {
    let result = SagaResult::of(&saga, true, now);
    plan.notes.push(format!("{} finished", saga.token()));
    plan.memory.outbox.push(tell::finished(policy, &saga, &result));
    if let Some(image) = &saga.image {
        plan.memory.failed_images.remove(image);
    }
    if saga.request.drill {
        yard::retire(&mut plan.memory, saga.new, "the drill is over", true, now);
    }
    plan.memory.last = Some(result);
}

impl SagaResult {
    fn of(saga: &Saga, success: bool, now: Timestamp) -> Self {
        let since = saga.request.since;
        let seconds = |time: SignedDuration| time.as_secs();
        Self {
            at: now,
            success,
            drill: saga.request.drill,
            rto_seconds: saga
                .answered_at
                .filter(|_| success)
                .map(|at| seconds(at.duration_since(since))),
            rpo_seconds: saga
                .image_taken_at
                .filter(|_| success)
                .map(|taken_at| seconds(since.duration_since(taken_at))),
            lost_devices: saga.lost_devices.clone(),
        }
    }
}
