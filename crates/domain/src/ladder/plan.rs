//! The ladder's plan: a pure function of one look and the memory of earlier ones.

use super::tell;
use super::{InstanceLook, LadderPolicy, Look, Memory, Outcome, Rung, Symptom, Try};
use crate::id::InstanceId;
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;

/// What to remember and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The memory after this look; to be stored before anything is done.
    pub memory: Memory,
    /// What to do.
    pub action: Option<Action>,
    /// Why, or why nothing.
    pub reason: String,
    /// It is ill and nothing is left to try.
    pub exhausted: bool,
}

/// One repair. All are safe to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Restart the gateway's software by its API.
    Restart,
    /// Reboot its instance.
    Reboot,
    /// Stop its instance; a later look starts it.
    Stop,
    /// Start its instance.
    Start,
    /// Ask for its replacement.
    Replace,
}

/// Plans one look at the gateway on `instance`. `replacing`: a replacement is under way, which the ladder leaves alone.
pub fn plan(
    policy: &LadderPolicy,
    memory: &Memory,
    instance: &InstanceId,
    replacing: bool,
    look: &Look,
    now: Timestamp,
) -> Plan {
    let mut after = remember(policy, memory, instance, now);
    if replacing {
        after.ill_looks = 0;
        after.symptom_looks = 0;
        return done(after, "a replacement is under way");
    }
    if is_doubled(policy, &after, now) {
        return done(memory.clone(), "too soon after the last look");
    }
    let plan = match look.symptom(policy) {
        None => well(policy, after, now),
        Some(symptom) => ill(policy, after, look, symptom, now),
    };
    tell::standing_troubles(policy, plan, look, now)
}

fn done(memory: Memory, reason: impl Into<String>) -> Plan {
    Plan {
        memory,
        action: None,
        reason: reason.into(),
        exhausted: false,
    }
}

/// The memory without what is too old to matter, and without what another instance suffered from.
fn remember(policy: &LadderPolicy, memory: &Memory, instance: &InstanceId, now: Timestamp) -> Memory {
    let mut after = memory.clone();
    let is_news = after.instance.as_ref().is_some_and(|known| known != instance);
    after.tried.retain(|tried| {
        let recent = now.duration_since(tried.at) < policy.remembered(tried.rung);
        recent && (!is_news || tried.rung == Rung::Replace)
    });
    if is_news {
        after.ill_looks = 0;
        after.symptom_looks = 0;
        after.well_looks = 0;
    }
    after.instance = Some(instance.clone());
    after
}

/// A clock that went back makes a look new, not doubled.
fn is_doubled(policy: &LadderPolicy, memory: &Memory, now: Timestamp) -> bool {
    memory
        .looked_at
        .is_some_and(|looked_at| now >= looked_at && now.duration_since(looked_at) < policy.look_interval_min)
}

fn well(policy: &LadderPolicy, mut after: Memory, now: Timestamp) -> Plan {
    after.symptom = None;
    after.symptom_looks = 0;
    after.ill_looks = 0;
    let Some(since) = after.ill_since else {
        after.looked_at = None;
        return done(after, "well");
    };
    after.looked_at = Some(now);
    after.well_looks = after.well_looks.saturating_add(1);
    if after.well_looks < policy.recover_looks {
        return done(after, "it seems well again");
    }
    // Who was not told of the illness need not hear of its end.
    if after.tried.iter().any(|tried| tried.at >= since) {
        after.outbox.push(tell::recovered(&after.tried, since, now));
    }
    after.ill_since = None;
    after.well_looks = 0;
    after.looked_at = None;
    done(after, "well again")
}

fn ill(policy: &LadderPolicy, mut after: Memory, look: &Look, symptom: Symptom, now: Timestamp) -> Plan {
    after.looked_at = Some(now);
    after.well_looks = 0;
    after.ill_looks = after.ill_looks.saturating_add(1);
    after.symptom_looks = if after.symptom == Some(symptom) {
        after.symptom_looks.saturating_add(1)
    } else {
        1
    };
    after.symptom = Some(symptom);
    after.ill_since.get_or_insert(now);
    let stops = after
        .tried
        .last()
        .is_some_and(|tried| tried.rung == Rung::StopStart);
    if stops && look.instance == InstanceLook::Stopped {
        return act(after, Action::Start, "it was stopped to be started");
    }
    let (looks, needed) = if symptom.is_hosts_word() {
        (after.symptom_looks, policy.confirm_looks)
    } else {
        (after.ill_looks, policy.suspect_looks)
    };
    if looks < needed {
        return done(after, format!("suspect, look {looks} of {needed}: {symptom}"));
    }
    if let Some(until) = cooling(policy, &after, symptom, now) {
        return done(after, format!("what was tried has until {until:.0} to help"));
    }
    climb(policy, after, look, symptom, now)
}

fn act(memory: Memory, action: Action, reason: impl Into<String>) -> Plan {
    Plan {
        memory,
        action: Some(action),
        reason: reason.into(),
        exhausted: false,
    }
}

/// Until when the last step may still help. One that failed does not; nor do milder ones when the host itself
/// says that the matter is worse.
fn cooling(policy: &LadderPolicy, memory: &Memory, symptom: Symptom, now: Timestamp) -> Option<Timestamp> {
    let last = memory.tried.last()?;
    match last.outcome {
        Outcome::Failed(_) | Outcome::Throttled => return None,
        Outcome::Decided | Outcome::Taken => {}
    }
    if symptom.is_hosts_word() && last.rung < symptom.first_rung() {
        return None;
    }
    let until = last.at.saturating_add(policy.cool_down(last.rung)).ok()?;
    (until > now).then_some(until)
}

/// The mildest step that makes sense and was not tried.
fn climb(policy: &LadderPolicy, mut after: Memory, look: &Look, symptom: Symptom, now: Timestamp) -> Plan {
    let fits = |rung: &Rung| {
        let makes_sense = (symptom.first_rung()..=symptom.last_rung()).contains(rung);
        makes_sense && policy.allows(*rung)
    };
    // Nothing but a replacement brings back what is gone, however often.
    let untried = |rung: &Rung| symptom == Symptom::Gone || is_untried(policy, &after.tried, *rung);
    let Some(rung) = Rung::ALL.into_iter().filter(fits).find(untried) else {
        let mut plan = done(after, format!("nothing is left to try: {symptom}"));
        plan.exhausted = true;
        return plan;
    };
    let action = match rung {
        Rung::Restart => Action::Restart,
        Rung::Reboot => Action::Reboot,
        Rung::StopStart if look.instance == InstanceLook::Stopped => Action::Start,
        Rung::StopStart => Action::Stop,
        Rung::Replace => Action::Replace,
    };
    after
        .outbox
        .push(tell::step(policy, &after, look, symptom, rung, now));
    after.tried.push(Try {
        rung,
        at: now,
        outcome: Outcome::Decided,
    });
    act(after, action, format!("{rung}: {symptom}"))
}

fn is_untried(policy: &LadderPolicy, tried: &[Try], rung: Rung) -> bool {
    let mut put_off = 0;
    for earlier in tried.iter().filter(|tried| tried.rung == rung) {
        match earlier.outcome {
            Outcome::Throttled => put_off += 1,
            Outcome::Decided | Outcome::Taken | Outcome::Failed(_) => return false,
        }
    }
    put_off < policy.throttled_max
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action {
            Some(action) => write!(f, "{action:?}: {}", self.reason),
            None => write!(f, "nothing: {}", self.reason),
        }
    }
}
