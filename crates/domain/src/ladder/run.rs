//! The ladder's loop over the ports.

use super::observe::look;
use super::{Action, ArchiveLook, LadderPolicy, Look, Memory, Outcome, Patient, Rung, Symptom, plan};
use crate::memory::Memory as Kept;
use crate::ports::{Alerts, Connect, ControlTable, GatewayAdmin, Instances, PortError, Power, Put, Site};
use crate::recover::{self, Request, Role};
use crate::watch::deliver;
use jiff::Timestamp;
use serde::Serialize;

/// The control item that remembers the ladder.
pub const MEMORY: &str = "health";

/// What one check saw and did: the wide event of its invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was seen; `None` while there is no gateway.
    pub look: Option<Look>,
    /// The gravest symptom.
    pub symptom: Option<Symptom>,
    /// It counts as ill: since when.
    pub ill_since: Option<Timestamp>,
    /// What was done.
    pub action: Option<Action>,
    /// The step of the ladder that this began.
    pub step: Option<Rung>,
    /// Why, or why nothing.
    pub reason: String,
    /// What failed; the next check goes on.
    pub failures: Vec<String>,
}

impl Report {
    /// That of a check that could not look at the gateway.
    pub fn of_failure(why: impl Into<String>) -> Self {
        Self {
            failures: vec![why.into()],
            ..Self::default()
        }
    }
}

/// Looks at the `patient` once and takes at most one step. `archive` is what the caller found in the archive; who has
/// not looked there passes the default.
pub async fn check<H, C, T, L>(
    policy: &LadderPolicy,
    patient: &Patient,
    site: Site<'_, H, C, T, L>,
    archive: ArchiveLook,
    now: Timestamp,
) -> Report
where
    H: Instances,
    C: Connect,
    T: ControlTable,
    L: Alerts,
{
    let mut report = Report::default();
    if let Err(error) = run(&patient.policy(policy), patient, site, archive, now, &mut report).await {
        report.failures.push(error.chain());
    }
    report
}

async fn run<H, C, T, L>(
    policy: &LadderPolicy,
    patient: &Patient,
    site: Site<'_, H, C, T, L>,
    archive: ArchiveLook,
    now: Timestamp,
    report: &mut Report,
) -> Result<(), PortError>
where
    H: Instances,
    C: Connect,
    T: ControlTable,
    L: Alerts,
{
    let mut kept: Kept<Memory> = Kept::load(site.table, MEMORY).await?;
    let Some(role) = patient.whereabouts(site.table).await? else {
        report.reason = "there is no gateway yet".into();
        return Ok(());
    };
    let replacing = recover::is_replacing(site.table).await?;
    let mut memory = kept.value.clone();
    let look = look(policy, patient, site, &role, &mut memory, archive, now).await?;
    let plan = plan(policy, &memory, &role.instance_id, replacing, &look, now);
    report.symptom = look.symptom(policy);
    report.look = Some(look);
    report.ill_since = plan.memory.ill_since;
    report.reason.clone_from(&plan.reason);
    kept.value = plan.memory;
    if kept.save(site.table).await? == Put::Stale {
        report.reason = "another invocation looked at the same time".into();
        return Ok(());
    }
    if let Some(action) = plan.action {
        let begun = kept.value.tried.last().filter(|tried| tried.at == now);
        report.action = Some(action);
        report.step = begun.map(|tried| tried.rung);
        let reason = (plan.reason.as_str(), kept.value.ill_since.unwrap_or(now));
        let done = act(site, &role, action, reason, now).await;
        note(&mut kept.value, action, &done);
        report.failures.extend(done.err().map(|error| error.chain()));
    }
    let undelivered = deliver(site.alerts, &mut kept.value.outbox).await;
    report.failures.extend(undelivered);
    // Stale: another invocation took over; it delivers again what we could not take off the list.
    let _ = kept.save(site.table).await?;
    Ok(())
}

async fn act<H, C, T, L>(
    site: Site<'_, H, C, T, L>,
    role: &Role,
    action: Action,
    (reason, since): (&str, Timestamp),
    now: Timestamp,
) -> Result<(), PortError>
where
    H: Instances,
    C: Connect,
    T: ControlTable,
{
    let instance = &role.instance_id;
    match action {
        Action::Restart => site.connect.connect(&role.endpoint)?.restart().await,
        Action::Reboot => site.host.power(instance, Power::Reboot).await,
        Action::Stop => site.host.power(instance, Power::Stop).await,
        Action::Start => site.host.power(instance, Power::Start).await,
        Action::Replace => {
            let request = Request {
                at: now,
                since,
                reason: reason.to_owned(),
                drill: false,
            };
            recover::request(site.table, &request).await.map(drop)
        }
    }
}

/// Remembers what became of the step that was just decided; starting what was stopped is part of one.
fn note(memory: &mut Memory, action: Action, done: &Result<(), PortError>) {
    let Some(tried) = memory.tried.last_mut() else {
        return;
    };
    tried.outcome = match (done, action) {
        (Ok(()), _) => Outcome::Taken,
        (Err(error @ (PortError::Throttled { .. } | PortError::Unknown { .. })), Action::Restart)
            if memory.symptom == Some(Symptom::Silent) =>
        {
            Outcome::Failed(error.chain())
        }
        // The connection may have broken because the software restarts.
        (Err(PortError::Unknown { .. }), Action::Restart | Action::Reboot | Action::Stop | Action::Start) => {
            Outcome::Decided
        }
        (Err(PortError::Throttled { .. } | PortError::Unknown { .. }), _) => Outcome::Throttled,
        (Err(error @ PortError::Refused { .. }), _) => Outcome::Failed(error.chain()),
    };
}
