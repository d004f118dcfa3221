//! What people are told: what, since when, what was tried, what is next.

use super::{EndpointLook, LadderPolicy, Look, Memory, Plan, Rung, Symptom, Try};
use crate::alert::{Alert, Severity, Trouble};
use jiff::{SignedDuration, Timestamp};

const SUBJECT: &str = "gateway";

/// Undelivered alerts are kept up to this many; then the oldest go.
const OUTBOX_MAX: usize = 20;

/// The message about a step that is about to be taken.
pub(super) fn step(
    policy: &LadderPolicy,
    memory: &Memory,
    look: &Look,
    symptom: Symptom,
    rung: Rung,
    now: Timestamp,
) -> Alert {
    let since = memory.ill_since.unwrap_or(now);
    let detail = match (&look.endpoint, symptom) {
        (EndpointLook::Silent(error), Symptom::Silent) => format!(" ({error})"),
        (
            EndpointLook::Well
            | EndpointLook::Silent(_)
            | EndpointLook::ShutOut(_)
            | EndpointLook::Stranger(_),
            _,
        ) => String::new(),
    };
    let patience = policy.cool_down(rung);
    let next = Rung::ALL
        .into_iter()
        .find(|next| *next > rung && *next <= symptom.last_rung())
        .map_or_else(
            || "If that does not help, a person is needed.".to_owned(),
            |next| format!("If that does not help within {patience:#}, the next step is to {next}."),
        );
    Alert {
        severity: Severity::Critical,
        subject: SUBJECT.into(),
        text: format!(
            "the gateway is ill: {symptom}{detail}, for {}. Tried before: {}. Now: {rung}. {next}",
            lasting(since, now),
            steps(&memory.tried)
        ),
        since,
    }
}

/// The message that it is over.
pub(super) fn recovered(tried: &[Try], since: Timestamp, now: Timestamp) -> Alert {
    let in_this_illness: Vec<Try> = tried.iter().filter(|tried| tried.at >= since).cloned().collect();
    Alert {
        severity: Severity::Resolved,
        subject: SUBJECT.into(),
        text: format!(
            "the gateway is well again after {}. Tried: {}.",
            lasting(since, now),
            steps(&in_this_illness)
        ),
        since,
    }
}

/// Adds what the watch over standing troubles has to say, and keeps the outbox bounded.
pub(super) fn standing_troubles(policy: &LadderPolicy, mut plan: Plan, look: &Look, now: Timestamp) -> Plan {
    let troubles = troubles(policy, &plan, look);
    let (watch, alerts) = plan.memory.watch.look(&troubles, now);
    plan.memory.watch = watch;
    plan.memory.outbox.extend(alerts);
    let too_many = plan.memory.outbox.len().saturating_sub(OUTBOX_MAX);
    plan.memory.outbox.drain(..too_many);
    plan
}

fn troubles(policy: &LadderPolicy, plan: &Plan, look: &Look) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    match &look.endpoint {
        EndpointLook::ShutOut(why) => troubles.push(trouble(
            "gateway password",
            1,
            format!(
                "the gateway does not let us in: {why}. Restarting would not help and is not done. Put the right \
                 password into the parameter store; until then it is not tried again, lest the account locks"
            ),
        )),
        EndpointLook::Stranger(who) => troubles.push(trouble(
            "gateway identity",
            policy.suspect_looks,
            format!("not the gateway answers at its address, but {who}. Nothing is done about it: look who it is"),
        )),
        EndpointLook::Well | EndpointLook::Silent(_) => {}
    }
    let archive = look.archive;
    if archive.stale > 0 {
        troubles.push(trouble(
            "archive",
            policy.suspect_looks,
            format!(
                "{} of {} wanted channels have no fresh segment in the archive; for {} of them the recorder says \
                 that it gets no video. `millrace status` names them",
                archive.stale, archive.wanted, archive.no_video
            ),
        ));
    }
    if plan.exhausted {
        troubles.push(trouble(
            "gateway repair",
            1,
            format!(
                "{}. Tried: {}. A person must look; what was tried is tried again when it is longer ago",
                plan.reason,
                steps(&plan.memory.tried)
            ),
        ));
    }
    troubles
}

fn trouble(subject: &str, patience_looks: u32, text: String) -> Trouble {
    Trouble {
        subject: subject.into(),
        severity: Severity::Critical,
        text,
        patience_looks,
    }
}

fn steps(tried: &[Try]) -> String {
    if tried.is_empty() {
        return "nothing".into();
    }
    let steps: Vec<String> = tried.iter().map(Try::to_string).collect();
    steps.join(", ")
}

fn lasting(since: Timestamp, now: Timestamp) -> String {
    let time = SignedDuration::from_secs(now.duration_since(since).as_secs());
    format!("{time:#} (since {since:.0})")
}
