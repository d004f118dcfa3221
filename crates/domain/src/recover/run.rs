//! Recovery's loop over the ports.

use super::saga::{Ask, ask};
use super::{Deed, ImageAction, Memory, Observed, Plan, Proof, RecoverPolicy, Role, plan, plan_images, role};
use crate::ladder;
use crate::memory::Memory as Kept;
use crate::ports::{
    AddressLook, Alerts, ChannelsTable, Connect, ControlTable, Credential, Gateway, GatewayAdmin, Images,
    Instances, LogIn, Moved, PortError, Power, PublicAddress, Put, Site,
};
use crate::setup::{self, SetupPolicy, Standing, set_up};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;

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
    let plan = look(policy, setup, site, &kept.value, now).await?;
    let changed = plan.memory != kept.value;
    kept.value = plan.memory;
    if !changed && plan.deeds.is_empty() && kept.value.outbox.is_empty() {
        return Ok(None);
    }
    if kept.save(site.table).await? == Put::Stale || !kept.is_current(site.table).await? {
        report.notes.push("another invocation was faster".into());
        return Ok(None);
    }
    report.notes.extend(plan.notes);
    for deed in &plan.deeds {
        match act(policy, site, deed, &kept.value, now).await {
            Ok(()) => report.deeds.push(deed.to_string()),
            Err(error) => report.failures.push(format!("{deed}: {}", error.chain())),
        }
    }
    deliver(site.alerts, &mut kept.value, report).await;
    let saved = kept.save(site.table).await?;
    let more = saved == Put::Written && (changed || !plan.deeds.is_empty());
    Ok(more.then_some(plan.deeds))
}

async fn look<H, C, T, L>(
    policy: &RecoverPolicy,
    setup: &SetupPolicy,
    site: Site<'_, H, C, T, L>,
    memory: &Memory,
    now: Timestamp,
) -> Result<Plan, PortError>
where
    H: Instances + Images + PublicAddress,
    C: Connect,
    T: ControlTable + ChannelsTable,
{
    let role = Role::load(site.table).await?;
    let request = role::requested(site.table).await?;
    let health: Kept<ladder::Memory> = Kept::load(site.table, ladder::MEMORY).await?;
    let instances = site.host.list_instances().await?;
    let address = site.host.find_address().await?;
    let images = site.host.list_images().await?;
    let mut observed = Observed {
        role: role.as_ref(),
        request: request.as_ref(),
        ill: health.value.ill_since.is_some() || health.value.refused.is_some(),
        instances: &instances,
        address: &address,
        images: &images,
        proof: Proof::NotAsked,
        lost_devices: None,
    };
    match ask(policy, memory, &observed, now) {
        None => {}
        Some(Ask::SetUp(endpoint)) => {
            let mut setup = setup.clone();
            setup
                .wanted
                .external_address
                .get_or_insert_with(|| address.address.clone());
            observed.proof = proven(prove(&setup, site, &endpoint, now).await);
        }
        Some(Ask::Verify) => observed.proof = proven(verify(setup, site, &address, now).await),
        Some(Ask::Devices(endpoint)) => observed.lost_devices = lost_devices(site, &endpoint).await.ok(),
    }
    Ok(plan(policy, memory, &observed, now))
}

/// The public address is what devices and players shall be told, unless the operator says otherwise.
fn with_address(setup: &SetupPolicy, address: &AddressLook) -> SetupPolicy {
    let mut setup = setup.clone();
    let wanted = &mut setup.wanted.external_address;
    wanted.get_or_insert_with(|| address.address.clone());
    setup
}

fn proven(answer: Result<Proof, PortError>) -> Proof {
    answer.unwrap_or_else(|error| Proof::NotYet(error.chain()))
}

/// Sets the gateway up.
async fn prove<H, C, T, L>(
    setup: &SetupPolicy,
    site: Site<'_, H, C, T, L>,
    endpoint: &str,
    now: Timestamp,
) -> Result<Proof, PortError>
where
    C: Connect,
    T: ControlTable,
{
    let gateway = site.connect.connect(endpoint)?;
    let report = set_up(setup, endpoint, &gateway, site.table, now).await?;
    Ok(match report.standing {
        Standing::InOrder(_) => report
            .by_hand
            .first()
            .cloned()
            .map_or(Proof::InOrder, Proof::ButByHand),
        Standing::Underway(why) => Proof::NotYet(why),
        Standing::NeedsPerson(why) => Proof::NeedsPerson(why),
    })
}

/// Whether the gateway behind the public address is in order; changes nothing.
async fn verify<H, C, T, L>(
    setup: &SetupPolicy,
    site: Site<'_, H, C, T, L>,
    address: &AddressLook,
    now: Timestamp,
) -> Result<Proof, PortError>
where
    C: Connect,
{
    let gateway = site.connect.connect(&address.endpoint)?;
    match gateway.log_in(Credential::Wanted).await? {
        LogIn::Accepted(_) => {}
        LogIn::Rejected { .. } => return Ok(Proof::NeedsPerson("its password is wrong".into())),
        LogIn::Locked { .. } => return Ok(Proof::NeedsPerson("its account is locked".into())),
    }
    let setup = with_address(setup, address);
    let plan = setup::plan(&setup, &gateway.configuration().await?, now);
    if plan.is_in_order() {
        return Ok(Proof::InOrder);
    }
    Ok(Proof::NotYet(plan.to_string()))
}

async fn lost_devices<H, C, T, L>(
    site: Site<'_, H, C, T, L>,
    endpoint: &str,
) -> Result<Vec<String>, PortError>
where
    C: Connect,
    T: ChannelsTable,
{
    let devices = site.connect.connect(endpoint)?.devices().await?;
    let known: BTreeSet<_> = devices.into_iter().map(|device| device.index).collect();
    let mut lost = BTreeSet::new();
    for row in site.table.list_channels().await? {
        if !known.contains(&row.key.device) {
            lost.insert(format!("{} ({})", row.key.device, row.device_name));
        }
    }
    Ok(lost.into_iter().collect())
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

async fn deliver<L: Alerts>(alerts: &L, memory: &mut Memory, report: &mut Report) {
    let mut kept = Vec::new();
    for alert in memory.outbox.drain(..) {
        if let Err(error) = alerts.send(&alert).await {
            report.failures.push(error.chain());
            kept.push(alert);
        }
    }
    memory.outbox = kept;
}
