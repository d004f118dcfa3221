//! The yard: instances on their way out, instances nobody knows any more, and an address that went astray.
//!
//! Nothing is stopped or ended that has the address, is said to be the gateway, or belongs to a replacement under
//! way; and nothing that a person made or took.

use super::memory::{Memory, Retired};
use super::{Deed, Observed, Plan, RecoverPolicy, Role, tell};
use crate::id::InstanceId;
use crate::instance::InstanceState;
use jiff::{SignedDuration, Timestamp};

/// An instance that is gone is listed for about an hour on EC2; one that is not listed for longer is gone.
const UNLISTED_MAX: SignedDuration = SignedDuration::from_hours(2);

/// Puts an instance on its way out.
pub(super) fn retire(
    memory: &mut Memory,
    instance: Option<InstanceId>,
    because: &str,
    at_once: bool,
    now: Timestamp,
) {
    let Some(instance) = instance else {
        return;
    };
    memory.retired.entry(instance).or_insert_with(|| Retired {
        since: now,
        because: because.to_owned(),
        at_once,
        stopped_at: None,
    });
}

/// Without a replacement under way: the role follows the address, and an address that is nowhere goes back to the
/// role's instance when the gateway on it is in order.
pub(super) fn keep_address(policy: &RecoverPolicy, plan: &mut Plan, observed: &Observed<'_>, now: Timestamp) {
    let holder = observed.address.holder();
    let role = observed.role.map(|role| &role.instance_id);
    if holder.is_some() && holder == role {
        plan.memory.astray_since = None;
        return;
    }
    let since = *plan.memory.astray_since.get_or_insert(now);
    if now.duration_since(since) < policy.confirm {
        return;
    }
    match (holder, role) {
        (Some(holder), _) => adopt(plan, observed, holder, now),
        (None, Some(role)) if observed.proof.is_good() => {
            plan.notes
                .push("the address is nowhere and goes back to the gateway".into());
            plan.deeds.push(Deed::MoveAddress {
                to: role.clone(),
                from: None,
            });
        }
        (None, Some(_) | None) => {}
    }
}

fn adopt(plan: &mut Plan, observed: &Observed<'_>, holder: &InstanceId, now: Timestamp) {
    let Some(endpoint) = observed
        .instance(holder)
        .and_then(|instance| instance.endpoint.clone())
    else {
        return;
    };
    plan.notes
        .push(format!("{holder} has the address and is adopted"));
    plan.deeds.push(Deed::Announce(Role {
        instance_id: holder.clone(),
        endpoint,
    }));
    let memory = &mut plan.memory;
    memory.setup_pending = true;
    memory.retired.remove(holder);
    memory.left_to_people.remove(holder);
    let former = observed.role.map(|role| role.instance_id.clone());
    if let Some(former) = former.filter(|former| !memory.retired.contains_key(former))
        && memory.left_to_people.insert(former.clone())
    {
        memory.outbox.push(tell::adopted(holder, &former, now));
    }
}

/// Stops and ends what is on its way out, and puts there what nobody knows any more.
pub(super) fn clear(policy: &RecoverPolicy, plan: &mut Plan, observed: &Observed<'_>, now: Timestamp) {
    sweep(&mut plan.memory, observed, now);
    let retired: Vec<(InstanceId, Retired)> = plan
        .memory
        .retired
        .iter()
        .map(|(id, retired)| (id.clone(), retired.clone()))
        .collect();
    for (id, retired) in retired {
        let Some(fate) = fate(policy, &plan.memory, observed, &id, &retired, now) else {
            continue;
        };
        match fate {
            Fate::Forget => _ = plan.memory.retired.remove(&id),
            Fate::LeaveToPeople => {
                plan.memory.retired.remove(&id);
                plan.memory.outbox.push(tell::restarted_by_hand(&id, &retired));
                plan.memory.left_to_people.insert(id);
            }
            Fate::NoteStopped => {
                if let Some(retired) = plan.memory.retired.get_mut(&id) {
                    retired.stopped_at = Some(now);
                }
            }
            Fate::Do(deed) => plan.deeds.push(deed),
        }
    }
    plan.memory.left_to_people.retain(|id| observed.is_alive(id));
}

/// What becomes of an instance on its way out.
enum Fate {
    Forget,
    LeaveToPeople,
    NoteStopped,
    Do(Deed),
}

fn fate(
    policy: &RecoverPolicy,
    memory: &Memory,
    observed: &Observed<'_>,
    id: &InstanceId,
    retired: &Retired,
    now: Timestamp,
) -> Option<Fate> {
    let Some(instance) = observed.instance(id) else {
        return (now.duration_since(retired.since) > UNLISTED_MAX).then_some(Fate::Forget);
    };
    if instance.state == InstanceState::Gone {
        return Some(Fate::Forget);
    }
    if is_in_office(memory, observed, id) {
        return None;
    }
    if retired.at_once {
        return Some(Fate::Do(Deed::Terminate(id.clone())));
    }
    match (instance.state, retired.stopped_at) {
        (InstanceState::Stopped, None) => Some(Fate::NoteStopped),
        (InstanceState::Stopped, Some(stopped_at)) => {
            let over = now.duration_since(stopped_at) >= policy.quarantine;
            over.then(|| Fate::Do(Deed::Terminate(id.clone())))
        }
        (InstanceState::Starting | InstanceState::Running, None) => Some(Fate::Do(Deed::Stop(id.clone()))),
        (InstanceState::Starting | InstanceState::Running, Some(stopped_at)) => {
            let surely = now.duration_since(stopped_at) > policy.confirm;
            surely.then_some(Fate::LeaveToPeople)
        }
        (InstanceState::Stopping | InstanceState::Gone, _) => None,
    }
}

/// Whether an instance has the address, is said to be the gateway, or is a replacement under way.
pub(super) fn is_in_office(memory: &Memory, observed: &Observed<'_>, id: &InstanceId) -> bool {
    observed.address.holder() == Some(id)
        || observed.role.is_some_and(|role| role.instance_id == *id)
        || memory
            .saga
            .as_ref()
            .is_some_and(|saga| saga.new.as_ref() == Some(id))
}

/// Instances that were launched by us and that nothing remembers: a crash or a lost answer left them over.
fn sweep(memory: &mut Memory, observed: &Observed<'_>, now: Timestamp) {
    let current = memory.saga.as_ref().map(super::Saga::token);
    let old = memory.saga.as_ref().and_then(|saga| saga.old.clone());
    for instance in observed.instances {
        let Some(token) = instance
            .token
            .as_ref()
            .filter(|_| instance.state != InstanceState::Gone)
        else {
            continue;
        };
        let known = memory.retired.contains_key(&instance.id)
            || memory.left_to_people.contains(&instance.id)
            || current.as_ref() == Some(token)
            || old.as_ref() == Some(&instance.id)
            || is_in_office(memory, observed, &instance.id);
        if !known {
            let drill = token.starts_with("drill-");
            retire(memory, Some(instance.id.clone()), "it was left over", drill, now);
        }
    }
}
