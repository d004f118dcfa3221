//! Who the gateway is, and who asks for its replacement: two small control items.

use crate::control;
use crate::id::InstanceId;
use crate::ports::{ControlTable, PortError, Put};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The control item that says where the gateway is.
pub const ROLE: &str = "gateway";

/// The control item that asks for a replacement or a drill.
pub const REQUEST: &str = "recover-request";

/// Which instance is the gateway, and where its API answers privately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// The instance.
    pub instance_id: InstanceId,
    /// Base URL of its API.
    pub endpoint: String,
}

impl Role {
    /// Who is the gateway now, as far as it was ever written.
    ///
    /// # Errors
    /// The table's, and [`PortError::Refused`] when the item is not understood.
    pub async fn load<T: ControlTable>(table: &T) -> Result<Option<Self>, PortError> {
        control::read(table, ROLE).await.map(|(role, _)| role)
    }

    /// Writes it, unless it is so already.
    ///
    /// # Errors
    /// The table's; [`PortError::Throttled`] when somebody else wrote at the same time.
    pub(super) async fn store<T: ControlTable>(&self, table: &T) -> Result<(), PortError> {
        write(table, ROLE, self).await
    }
}

/// Somebody asks for a replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// When; it also names the request.
    pub at: Timestamp,
    /// Since when there has been trouble: the recovery time counts from here.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
    /// Only launch, prove and end it again.
    pub drill: bool,
}

/// What became of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The next round begins it.
    Waits,
    /// A drill that is not asked for, because this was so lately that it may wait or be under way.
    NotAfter(Request),
}

/// A drill is not asked for so soon after another request: it must not take the place of a replacement that is
/// waiting, and an event that came twice is one drill.
const DRILL_APART: SignedDuration = SignedDuration::from_hours(1);

/// Asks for a replacement or a drill; the next round of [`recover`](super::recover) begins it. A replacement takes the
/// place of a request that is still waiting; a drill does not.
///
/// # Errors
/// The table's; [`PortError::Throttled`] when somebody else asked at the same time.
pub async fn request<T: ControlTable>(table: &T, request: &Request) -> Result<Asked, PortError> {
    if request.drill
        && let Some(before) = requested(table).await?
        && request.at.duration_since(before.at).abs() < DRILL_APART
    {
        return Ok(Asked::NotAfter(before));
    }
    write(table, REQUEST, request).await?;
    Ok(Asked::Waits)
}

pub(super) async fn requested<T: ControlTable>(table: &T) -> Result<Option<Request>, PortError> {
    control::read(table, REQUEST).await.map(|(request, _)| request)
}

async fn write<T, V>(table: &T, name: &str, value: &V) -> Result<(), PortError>
where
    T: ControlTable,
    V: Serialize + serde::de::DeserializeOwned + PartialEq,
{
    let (stored, version) = control::read::<T, V>(table, name).await?;
    if stored.as_ref() == Some(value) {
        return Ok(());
    }
    match control::write(table, name, value, version).await? {
        Put::Written => Ok(()),
        Put::Stale => Err(control::contended(name)),
    }
}
