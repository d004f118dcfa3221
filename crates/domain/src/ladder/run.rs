//! The ladder's loop over the ports.

use super::observe::look;
use super::{Action, ArchiveLook, EndpointLook, LadderPolicy, Memory, Outcome, Symptom, plan};
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
    /// The gravest symptom.
    pub symptom: Option<Symptom>,
    /// The gateway does not let us in.
    pub shut_out: bool,
    /// The step taken.
    pub action: Option<String>,
    /// Why, or why nothing.
    pub reason: String,
    /// What failed; the next check goes on.
    pub failures: Vec<String>,
}

/// Looks at the gateway once and takes at most one step. `archive` is what the caller found in the archive; who has
/// not looked there passes the default.
pub async fn check<H, C, T, L>(
    policy: &LadderPolicy,
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
    if let Err(error) = run(policy, site, archive, now, &mut report).await {
        report.failures.push(error.chain());
    }
    report
}

async fn run<H, C, T, L>(
    policy: &LadderPolicy,
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
    let Some(role) = Role::load(site.table).await? else {
        report.reason = "there is no gateway yet".into();
        return Ok(());
    };
    let replacing = recover::is_replacing(site.table).await?;
    let mut memory = kept.value.clone();
    let look = look(policy, site, &role, &mut memory, archive, now).await?;
    let plan = plan(policy, &memory, &role.instance_id, replacing, &look, now);
    report.symptom = look.symptom(policy);
    report.shut_out = matches!(look.endpoint, EndpointLook::ShutOut(_));
    report.reason.clone_from(&plan.reason);
    report.action = plan.action.map(|action| format!("{action:?}"));
    kept.value = plan.memory;
    if kept.save(site.table).await? == Put::Stale {
        report.action = None;
        report.reason = "another invocation looked at the same time".into();
        return Ok(());
    }
    if let Some(action) = plan.action {
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
            recover::request(site.table, &request).await
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
