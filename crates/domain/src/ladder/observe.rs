//! One look at the gateway from all sides but the archive's.

use super::{ArchiveLook, DevicesLook, EndpointLook, InstanceLook, LadderPolicy, Look, Memory, Patient};
use crate::credentials::{self, Begun, Fate, Rejection, Try};
use crate::device::DeviceStatus;
use crate::instance::{Instance, InstanceState, StatusCheck};
use crate::ports::{
    Connect, ControlTable, Credential, Gateway, GatewayAdmin, Instances, LogIn, PortError, Site,
};
use crate::recover::Role;
use crate::setup::Identity;
use jiff::Timestamp;

/// Who says what it learns of the password.
const BY: &str = "health check";

/// Looks. What cannot be seen is unknown, not ill, but for the gateway's own silence.
///
/// # Errors
/// The table's: who cannot tell whether the password was refused does not try it.
pub(super) async fn look<H, C, T, L>(
    policy: &LadderPolicy,
    patient: &Patient,
    site: Site<'_, H, C, T, L>,
    role: &Role,
    memory: &mut Memory,
    archive: ArchiveLook,
    now: Timestamp,
) -> Result<Look, PortError>
where
    H: Instances,
    C: Connect,
    T: ControlTable,
{
    tell_refusal(policy, site, memory, now).await;
    let rejection = credentials::rejected(site.table).await?;
    let forbidden = rejection
        .as_ref()
        .filter(|rejection| rejection.forbids(policy.password_version, now));
    let (endpoint, devices) = match forbidden {
        Some(rejection) => (EndpointLook::ShutOut(rejection.to_string()), DevicesLook::Unknown),
        None if memory.refused_version == Some(policy.password_version) => {
            let why = "it refused this password, which could not be told to all yet".to_owned();
            (EndpointLook::ShutOut(why), DevicesLook::Unknown)
        }
        None => look_inside(policy, site, role, memory, rejection.as_ref(), now).await?,
    };
    let instance = match patient {
        Patient::Elsewhere(_) => InstanceLook::Unknown,
        Patient::InOffice => instance(site, role).await,
    };
    Ok(Look {
        endpoint,
        instance,
        devices,
        archive,
    })
}

async fn instance<H: Instances, C, T, L>(site: Site<'_, H, C, T, L>, role: &Role) -> InstanceLook {
    match site.host.list_instances().await {
        Err(_) => InstanceLook::Unknown,
        Ok(instances) => instances
            .iter()
            .find(|instance| instance.id == role.instance_id)
            .map_or(InstanceLook::Gone, InstanceLook::of),
    }
}

async fn look_inside<H, C, T, L>(
    policy: &LadderPolicy,
    site: Site<'_, H, C, T, L>,
    role: &Role,
    memory: &mut Memory,
    rejection: Option<&Rejection>,
    now: Timestamp,
) -> Result<(EndpointLook, DevicesLook), PortError>
where
    C: Connect,
    T: ControlTable,
{
    let unseen = |endpoint| Ok((endpoint, DevicesLook::Unknown));
    let gateway = match site.connect.connect(&role.endpoint) {
        Ok(gateway) => gateway,
        Err(error) => return unseen(EndpointLook::ShutOut(error.chain())),
    };
    let tried = match credentials::begin(site.table, policy.password_version, BY, now).await? {
        Begun::Try(tried) => tried,
        Begun::Wait(wait) => return unseen(EndpointLook::Silent(wait.to_string())),
    };
    let answer = gateway.log_in(Credential::Wanted).await;
    let endpoint = judge(policy, site, memory, tried, answer, rejection, now).await?;
    if endpoint != EndpointLook::Well {
        return unseen(endpoint);
    }
    let devices = match gateway.devices().await {
        Err(_) => DevicesLook::Unknown,
        Ok(devices) => DevicesLook::Listed {
            devices: devices.len(),
            online: devices
                .iter()
                .filter(|device| !matches!(device.status, DeviceStatus::Offline(_)))
                .count(),
        },
    };
    Ok((endpoint, devices))
}

/// What the answer to a login says of the endpoint. What everybody must know of it is told first.
async fn judge<H, C, T, L>(
    policy: &LadderPolicy,
    site: Site<'_, H, C, T, L>,
    memory: &mut Memory,
    tried: Try,
    answer: Result<LogIn, PortError>,
    rejection: Option<&Rejection>,
    now: Timestamp,
) -> Result<EndpointLook, PortError>
where
    T: ControlTable,
{
    let fate = Fate::of(&answer);
    let endpoint = match answer {
        Ok(LogIn::Accepted(identity)) => {
            if let Some(rejection) = rejection {
                credentials::accept(site.table, rejection).await?;
            }
            stranger(policy, &identity).map_or(EndpointLook::Well, EndpointLook::Stranger)
        }
        Ok(LogIn::Rejected { .. }) => {
            memory.refused_version = Some(policy.password_version);
            tell_refusal(policy, site, memory, now).await;
            EndpointLook::ShutOut(rejection_of(policy, None, now).to_string())
        }
        Ok(LogIn::Locked { locked_for }) => {
            let until = now.saturating_add(locked_for.unwrap_or(policy.lock_wait)).ok();
            let rejection = rejection_of(policy, until, now);
            credentials::reject(site.table, &rejection).await?;
            EndpointLook::ShutOut(rejection.to_string())
        }
        Err(error @ PortError::Refused { .. }) => EndpointLook::ShutOut(error.chain()),
        Err(error @ (PortError::Throttled { .. } | PortError::Unknown { .. })) => {
            EndpointLook::Silent(error.chain())
        }
    };
    // A refusal that could not be told stays a try whose answer is lost, for which everybody waits.
    if memory.refused_version.is_none() {
        credentials::settle(site.table, tried, fate).await?;
    }
    Ok(endpoint)
}

/// Tells everybody who would try the password that it was refused. While that fails, the ladder's own memory keeps
/// it: what nobody remembers is tried again, and a few more tries lock the account.
async fn tell_refusal<H, C, T, L>(
    policy: &LadderPolicy,
    site: Site<'_, H, C, T, L>,
    memory: &mut Memory,
    now: Timestamp,
) where
    T: ControlTable,
{
    if memory.refused_version != Some(policy.password_version) {
        memory.refused_version = None;
        return;
    }
    let told = credentials::reject(site.table, &rejection_of(policy, None, now)).await;
    if told.is_ok() {
        memory.refused_version = None;
    }
}

fn rejection_of(policy: &LadderPolicy, locked_until: Option<Timestamp>, now: Timestamp) -> Rejection {
    Rejection {
        version: Some(policy.password_version),
        since: now,
        by: BY.into(),
        locked_until,
    }
}

fn stranger(policy: &LadderPolicy, identity: &Identity) -> Option<String> {
    let expected = policy.model.as_ref()?;
    (*expected != identity.model).then(|| format!("a `{}`", identity.model.escape_debug()))
}

impl InstanceLook {
    /// What the host says of an instance.
    pub fn of(instance: &Instance) -> Self {
        match instance.state {
            InstanceState::Starting | InstanceState::Stopping => Self::Changing,
            InstanceState::Stopped => Self::Stopped,
            InstanceState::Gone => Self::Gone,
            InstanceState::Running if instance.system == StatusCheck::Failed => Self::SystemFailed,
            InstanceState::Running if instance.software == StatusCheck::Failed => Self::SoftwareFailed,
            InstanceState::Running => Self::Sound,
        }
    }
}
