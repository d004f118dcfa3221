//! Recovery's loop over the ports.

use super::observe::{Looked, look};
use super::{Deed, ImageAction, Memory, RecoverPolicy, Role, Saga, SagaResult, plan_images};
use crate::memory::Memory as Kept;
use crate::ports::{
    Alerts, ChannelsTable, Connect, ControlTable, Images, Instances, Moved, PortError, Power, PublicAddress,
    Put, Site,
};
use crate::setup::SetupPolicy;
use crate::watch::deliver;
use jiff::Timestamp;
use serde::Serialize;

/// The control item that remembers recovery.
pub const MEMORY: &str = "recover";

/// What one invocation decided and did: its wide event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Rounds of looking and planning.
    pub rounds: u32,
    /// What was decided and why.
    pub notes: Vec<String>,
    /// What was done.
    pub deeds: Vec<String>,
    /// What failed; the next round goes on.
    pub failures: Vec<String>,
    /// The replacement or drill under way.
    pub saga: Option<Saga>,
    /// The one that ended now.
    pub ended: Option<SagaResult>,
    /// Settings that were changed at the gateway in office.
    pub drift: Vec<String>,
    /// The moment the newest usable image shows; `None` without one, or when nothing could be seen.
    pub newest_image: Option<Timestamp>,
}

/// Whether a replacement is under way; the ladder leaves the gateway alone meanwhile.
///
/// # Errors
/// The table's.
pub async fn is_replacing<T: ControlTable>(table: &T) -> Result<bool, PortError> {
    let kept: Kept<Memory> = Kept::load(table, MEMORY).await?;
    Ok(kept.value.saga.is_some_and(|saga| !saga.request.drill))
}

/// Looks after images and the replacement, as far as it goes without waiting. Safe to repeat, to run twice at once and
/// to crash between any two calls.
pub async fn recover<H, C, T, L>(
    policy: &RecoverPolicy,
    setup: &SetupPolicy,
    site: Site<'_, H, C, T, L>,
    now: Timestamp,
) -> Report
where
    H: Instances + Images + PublicAddress,
    C: Connect,
    T: ControlTable + ChannelsTable,
    L: Alerts,
{
    let mut report = Report::default();
    let mut last_deeds = Vec::new();
    while report.rounds < policy.rounds_max {
        report.rounds += 1;
        match round(policy, setup, site, now, &mut report).await {
            Ok(Some(deeds)) if deeds.is_empty() || deeds != last_deeds => last_deeds = deeds,
            Ok(Some(_) | None) => break,
            Err(error) => {
                report.failures.push(error.chain());
                break;
            }
        }
    }
    report
}

/// One round; the deeds done if another one makes sense.
async fn round<H, C, T, L>(
    policy: &RecoverPolicy,
    setup: &SetupPolicy,
    site: Site<'_, H, C, T, L>,
    now: Timestamp,
    report: &mut Report,
) -> Result<Option<Vec<Deed>>, PortError>
where
    H: Instances + Images + PublicAddress,
    C: Connect,
    T: ControlTable + ChannelsTable,
    L: Alerts,
{
    // The memory is read first: whatever changes after that makes the write below stale.
    let mut kept: Kept<Memory> = Kept::load(site.table, MEMORY).await?;
    report.saga.clone_from(&kept.value.saga);
    let Looked { plan, drift } = look(policy, setup, site, &kept.value, now).await?;
    report.drift.extend(drift);
    report.newest_image = plan.newest_image;
    let changed = plan.memory != kept.value;
    let ended = plan.memory.last != kept.value.last;
    kept.value = plan.memory;
    if !changed && plan.deeds.is_empty() && kept.value.outbox.is_empty() {
        return Ok(None);
    }
    if kept.save(site.table).await? == Put::Stale || !kept.is_current(site.table).await? {
        report.notes.push("another invocation was faster".into());
        return Ok(None);
    }
    report.notes.extend(plan.notes);
    report.saga.clone_from(&kept.value.saga);
    if ended {
        report.ended.clone_from(&kept.value.last);
    }
    for deed in &plan.deeds {
        match act(policy, site, deed, &kept.value, now).await {
            Ok(()) => report.deeds.push(deed.to_string()),
            Err(error) => report.failures.push(format!("{deed}: {}", error.chain())),
        }
    }
    let undelivered = deliver(site.alerts, &mut kept.value.outbox).await;
    report.failures.extend(undelivered);
    let saved = kept.save(site.table).await?;
    let more = saved == Put::Written && (changed || !plan.deeds.is_empty());
    Ok(more.then_some(plan.deeds))
}

async fn act<H, C, T, L>(
    policy: &RecoverPolicy,
    site: Site<'_, H, C, T, L>,
    deed: &Deed,
    memory: &Memory,
    now: Timestamp,
) -> Result<(), PortError>
where
    H: Instances + Images + PublicAddress,
    T: ControlTable,
{
    match deed {
        Deed::Launch(new) => site.host.launch_instance(new).await.map(drop),
        Deed::MoveAddress { to, from } => match site.host.move_address(to, from.as_ref()).await? {
            Moved::Moved | Moved::Stale => Ok(()),
        },
        Deed::Announce(role) => role.store(site.table).await,
        Deed::Stop(instance) => {
            still_out(site, instance).await?;
            site.host.power(instance, Power::Stop).await
        }
        Deed::Terminate(instance) => {
            still_out(site, instance).await?;
            site.host.terminate_instance(instance).await
        }
        Deed::Image(ImageAction::Create { instance, token }) => {
            site.host.create_image(instance, token).await.map(drop)
        }
        Deed::Image(action @ ImageAction::Delete { image, .. }) => {
            let images = site.host.list_images().await?;
            let again = plan_images(policy, memory, &images, None, now);
            if again.actions.contains(action) {
                site.host.delete_image(image).await?;
            }
            Ok(())
        }
    }
}

/// A second look before an instance is stopped or ended: it must not have the address, nor be said to be the gateway.
async fn still_out<H, C, T, L>(
    site: Site<'_, H, C, T, L>,
    instance: &crate::InstanceId,
) -> Result<(), PortError>
where
    H: PublicAddress,
    T: ControlTable,
{
    let doing = || format!("looking at {instance} once more");
    let address = site.host.find_address().await?;
    if address.holder() == Some(instance) {
        return Err(PortError::throttled(doing(), "it has the address"));
    }
    let role = Role::load(site.table).await?;
    if role.is_some_and(|role| role.instance_id == *instance) {
        return Err(PortError::throttled(doing(), "it is the gateway"));
    }
    Ok(())
}
