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
    let patience = policy.cool_down(rung);
    let next = Rung::ALL
        .into_iter()
        .find(|next| *next > rung && *next <= symptom.last_rung() && policy.allows(*next))
        .map_or_else(
            || "If that does not help, a person is needed.".to_owned(),
            |next| format!("If that does not help within {patience:#}, the next step is to {next}."),
        );
    Alert {
        severity: Severity::Critical,
        subject: SUBJECT.into(),
        text: format!(
            "the gateway is ill: {}, for {}. Tried before: {}. Now: {rung}. {next}",
            in_detail(look, symptom),
            lasting(since, now),
            steps(&memory.tried)
        ),
        since,
    }
}

/// The symptom, with the error that shows it.
fn in_detail(look: &Look, symptom: Symptom) -> String {
    match (&look.endpoint, symptom) {
        (EndpointLook::Silent(error), Symptom::Silent) => format!("{symptom} ({error})"),
        (
            EndpointLook::Well
            | EndpointLook::Silent(_)
            | EndpointLook::ShutOut(_)
            | EndpointLook::Stranger(_),
            _,
        ) => symptom.to_string(),
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
    if let (true, Some(symptom)) = (plan.exhausted, plan.memory.symptom) {
        let allowed = match policy.repair_up_to {
            None => "No repair is allowed".to_owned(),
            Some(rung) => format!("No more is allowed than to {rung}"),
        };
        troubles.push(trouble(
            "gateway repair",
            1,
            format!(
                "the gateway is ill and nothing is left to try: {}. Tried: {}. {allowed}. A person must \
                 look; what was tried is tried again when it is longer ago",
                in_detail(look, symptom),
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
