//! One look at everything a round needs, the gateway whose turn it is included.

use super::office::{BY, InOffice};
use super::saga::{Ask, ask};
use super::{Memory, Observed, Plan, Proof, RecoverPolicy, Role, plan, role};
use crate::credentials::{self, Rejection};
use crate::ladder;
use crate::memory::Memory as Kept;
use crate::ports::{
    AddressLook, ChannelsTable, Connect, ControlTable, Credential, Gateway, GatewayAdmin, Images, Instances,
    LogIn, PortError, PublicAddress, Site,
};
use crate::setup::{self, SetupPolicy, Standing, set_up};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The plan that follows from a look, and what looking changed.
pub(super) struct Looked {
    pub(super) plan: Plan,
    /// Settings that were changed at the gateway in office.
    pub(super) drift: Vec<String>,
}

/// Looks and plans. Asking a gateway may bring its configuration a step nearer to what is wanted.
///
/// # Errors
/// That of a port without whose answer nothing can be planned.
pub(super) async fn look<H, C, T, L>(
    policy: &RecoverPolicy,
    setup: &SetupPolicy,
    site: Site<'_, H, C, T, L>,
    memory: &Memory,
    now: Timestamp,
) -> Result<Looked, PortError>
where
    H: Instances + Images + PublicAddress,
    C: Connect,
    T: ControlTable + ChannelsTable,
{
    let role = Role::load(site.table).await?;
    let request = role::requested(site.table).await?;
    let health: Kept<ladder::Memory> = Kept::load(site.table, ladder::MEMORY).await?;
    let rejection = credentials::rejected(site.table).await?;
    let instances = site.host.list_instances().await?;
    let address = site.host.find_address().await?;
    let images = site.host.list_images().await?;
    let mut observed = Observed {
        role: role.as_ref(),
        request: request.as_ref(),
        ill: health.value.ill_since.is_some() || rejection.is_some(),
        instances: &instances,
        address: &address,
        images: &images,
        proof: Proof::NotAsked,
        drift: Vec::new(),
        lost_devices: None,
    };
    let setup = with_address(setup, &address);
    match ask(policy, memory, &observed, now) {
        None => {}
        Some(Ask::Candidate(endpoint)) => {
            (observed.proof, _) = proven(prove(&setup, site, &endpoint, now).await);
        }
        Some(Ask::InOffice(endpoint)) => {
            (observed.proof, observed.drift) =
                proven(look_over(&setup, site, &endpoint, rejection, now).await);
        }
        Some(Ask::Verify) => {
            let verified = verify(&setup, site, &address, now).await;
            (observed.proof, _) = proven(verified.map(|proof| (proof, Vec::new())));
        }
        Some(Ask::Devices(endpoint)) => observed.lost_devices = lost_devices(site, &endpoint).await.ok(),
    }
    let plan = plan(policy, memory, &observed, now);
    Ok(Looked {
        plan,
        drift: observed.drift,
    })
}

/// The public address is what devices and players shall be told, unless the operator says otherwise.
fn with_address(setup: &SetupPolicy, address: &AddressLook) -> SetupPolicy {
    let mut setup = setup.clone();
    let wanted = &mut setup.wanted.external_address;
    wanted.get_or_insert_with(|| address.address.clone());
    setup
}

/// A gateway's proof, and the settings that were changed on the way to it.
type Proven = (Proof, Vec<String>);

fn proven(answer: Result<Proven, PortError>) -> Proven {
    answer.unwrap_or_else(|error| (Proof::NotYet(error.chain()), Vec::new()))
}

/// Sets a gateway up.
async fn prove<H, C, T, L>(
    setup: &SetupPolicy,
    site: Site<'_, H, C, T, L>,
    endpoint: &str,
    now: Timestamp,
) -> Result<Proven, PortError>
where
    C: Connect,
    T: ControlTable,
{
    let gateway = site.connect.connect(endpoint)?;
    Ok(proof_of(set_up(setup, endpoint, &gateway, site.table, now).await))
}

/// What a run of setup proves. What it changed is told even if it failed afterwards.
fn proof_of(report: setup::Report) -> Proven {
    let proof = match report.standing {
        Ok(Standing::InOrder(_)) => report
            .by_hand
            .first()
            .cloned()
            .map_or(Proof::InOrder, Proof::ButByHand),
        Ok(Standing::Underway(why)) => Proof::NotYet(why),
        Ok(Standing::NeedsPerson(why)) => Proof::NeedsPerson(why),
        Err(error) => Proof::NotYet(error.chain()),
    };
    (proof, report.changed)
}

/// Sets the gateway in office up, into which others log in too: a password it refused is tried by nobody again, and
/// what it refuses now is told to all.
async fn look_over<H, C, T, L>(
    setup: &SetupPolicy,
    site: Site<'_, H, C, T, L>,
    endpoint: &str,
    rejection: Option<Rejection>,
    now: Timestamp,
) -> Result<Proven, PortError>
where
    C: Connect,
    T: ControlTable,
{
    let forbidden = rejection
        .as_ref()
        .filter(|rejection| rejection.forbids(setup.password_version, now));
    if let Some(rejection) = forbidden
        && (rejection.locked_until.is_some() || !setup::owes_initial(setup, endpoint, site.table).await?)
    {
        return Ok((Proof::NeedsPerson(rejection.to_string()), Vec::new()));
    }
    let gateway = InOffice {
        gateway: site.connect.connect(endpoint)?,
        table: site.table,
        version: setup.password_version,
        rejection,
        now,
    };
    let proven = proof_of(set_up(setup, endpoint, &gateway, site.table, now).await);
    if setup::is_refused(setup, endpoint, site.table).await? {
        let rejection = Rejection {
            version: Some(setup.password_version),
            since: now,
            by: BY.into(),
            locked_until: None,
        };
        credentials::reject(site.table, &rejection).await?;
    }
    Ok(proven)
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
    let plan = setup::plan(setup, &gateway.configuration().await?, now);
    if plan.is_in_order() {
        return Ok(Proof::InOrder);
    }
    Ok(Proof::NotYet(plan.to_string()))
}

/// The wanted devices that the gateway at `endpoint` does not know.
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
