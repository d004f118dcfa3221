//! Control items as values: JSON that is read with its version, and written only over what was read.

use crate::ports::{ControlTable, PortError, Put};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value of the item `name`, and the version to hand to [`write`]; neither when it was never written.
///
/// # Errors
/// The table's; [`PortError::Refused`] for a value that does not read as such.
pub async fn read<T, V>(table: &T, name: &str) -> Result<(Option<V>, Option<u64>), PortError>
where
    T: ControlTable,
    V: DeserializeOwned,
{
    let Some(item) = table.get_control(name).await? else {
        return Ok((None, None));
    };
    let value = serde_json::from_value(item.value)
        .map_err(|error| PortError::refused(format!("reading the control item `{name}`"), error))?;
    Ok((Some(value), Some(item.version)))
}

/// The same of an item that may be forgotten: one that does not read is the default.
///
/// # Errors
/// The table's.
pub async fn read_or_default<T, V>(table: &T, name: &str) -> Result<(V, Option<u64>), PortError>
where
    T: ControlTable,
    V: DeserializeOwned + Default,
{
    let item = table.get_control(name).await?;
    let version = item.as_ref().map(|item| item.version);
    let value = item.and_then(|item| serde_json::from_value(item.value).ok());
    Ok((value.unwrap_or_default(), version))
}

/// Writes the item if it still has the version that was read.
///
/// # Errors
/// The table's.
pub async fn write<T, V>(table: &T, name: &str, value: &V, version: Option<u64>) -> Result<Put, PortError>
where
    T: ControlTable,
    V: Serialize,
{
    let json = serde_json::to_value(value).map_err(|error| PortError::refused(writing(name), error))?;
    table.put_control(name, &json, version).await
}

/// Whoever wrote the item at the same time was faster, as often as it was tried.
pub fn contended(name: &str) -> PortError {
    PortError::throttled(writing(name), "others write it at the same time")
}

fn writing(name: &str) -> String {
    format!("writing the control item `{name}`")
}
