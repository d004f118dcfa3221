use super::{LadderPolicy, Rung};
use crate::id::InstanceId;
use crate::ports::{ControlTable, PortError};
use crate::recover::Role;

/// Which gateway is looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patient {
    /// The gateway in office: the control item `gateway` says where it is, and the host runs its instance.
    InOffice,
    /// One that others run, at this base URL. The host knows no instance of it.
    Elsewhere(String),
}

impl Patient {
    /// Where it is; `None` while there is no gateway in office.
    ///
    /// # Errors
    /// The table's.
    pub(super) async fn whereabouts<T: ControlTable>(&self, table: &T) -> Result<Option<Role>, PortError> {
        match self {
            Self::InOffice => Role::load(table).await,
            Self::Elsewhere(endpoint) => Ok(Some(Role {
                instance_id: InstanceId::new(endpoint),
                endpoint: endpoint.clone(),
            })),
        }
    }

    /// What may be done for it: a machine that is another's can only be asked, over its API, to restart its software.
    pub(super) fn policy(&self, policy: &LadderPolicy) -> LadderPolicy {
        let mut policy = policy.clone();
        match self {
            Self::InOffice => {}
            Self::Elsewhere(_) => policy.repair_up_to = policy.repair_up_to.min(Some(Rung::Restart)),
        }
        policy
    }
}
