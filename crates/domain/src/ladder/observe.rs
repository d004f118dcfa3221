//! One look at the gateway from all sides but the archive's.

use super::{ArchiveLook, DevicesLook, EndpointLook, InstanceLook, LadderPolicy, Look, Memory, Patient};
use crate::credentials::{self, Rejection};
use crate::device::DeviceStatus;
use crate::instance::{Instance, InstanceState, StatusCheck};
use crate::ports::{
    Connect, ControlTable, Credential, Gateway, GatewayAdmin, Instances, LogIn, PortError, Site,
};
use crate::recover::Role;
use crate::setup::Identity;
use jiff::Timestamp;

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
        None if let Some(until) = pause(policy, memory, now) => {
            let why =
                format!("it does not say whether the password is right, and is asked again at {until:.0}");
            (EndpointLook::Silent(why), DevicesLook::Unknown)
        }
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

/// Until when the password is not tried, because too many answers to it were lost.
fn pause(policy: &LadderPolicy, memory: &Memory, now: Timestamp) -> Option<Timestamp> {
    let last = memory
        .untold_at
        .filter(|_| memory.untold_logins >= policy.untold_max)?;
    let until = last.saturating_add(policy.untold_wait).ok()?;
    (until > now && last <= now).then_some(until)
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
    let answer = gateway.log_in(Credential::Wanted).await;
    count_untold(memory, &answer, now);
    match answer {
        Ok(LogIn::Accepted(identity)) => {
            if let Some(rejection) = rejection {
                credentials::accept(site.table, rejection).await?;
            }
            if let Some(who) = stranger(policy, &identity) {
                return unseen(EndpointLook::Stranger(who));
            }
        }
        Ok(LogIn::Rejected { .. }) => {
            memory.refused_version = Some(policy.password_version);
            tell_refusal(policy, site, memory, now).await;
            return unseen(EndpointLook::ShutOut(rejection_of(policy, None, now).to_string()));
        }
        Ok(LogIn::Locked { locked_for }) => {
            let until = now.saturating_add(locked_for.unwrap_or(policy.lock_wait)).ok();
            let rejection = rejection_of(policy, until, now);
            credentials::reject(site.table, &rejection).await?;
            return unseen(EndpointLook::ShutOut(rejection.to_string()));
        }
        Err(error @ PortError::Refused { .. }) => return unseen(EndpointLook::ShutOut(error.chain())),
        Err(error @ (PortError::Throttled { .. } | PortError::Unknown { .. })) => {
            return unseen(EndpointLook::Silent(error.chain()));
        }
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
    Ok((EndpointLook::Well, devices))
}

fn count_untold(memory: &mut Memory, answer: &Result<LogIn, PortError>, now: Timestamp) {
    match answer {
        Ok(LogIn::Accepted(_) | LogIn::Rejected { .. } | LogIn::Locked { .. })
        | Err(PortError::Refused { .. }) => {
            memory.untold_logins = 0;
            memory.untold_at = None;
        }
        Err(PortError::Unknown { .. }) => {
            memory.untold_logins = memory.untold_logins.saturating_add(1);
            memory.untold_at = Some(now);
        }
        // It was surely not reached.
        Err(PortError::Throttled { .. }) => {}
    }
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
        by: "health check".into(),
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
