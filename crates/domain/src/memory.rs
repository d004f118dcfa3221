//! A loop's memory in its control item: read once, written only when it changed, and only over what was read.

use crate::control;
use crate::ports::{ControlTable, PortError, Put};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A memory as it was read, and as it is to be.
pub(crate) struct Memory<M> {
    name: &'static str,
    stored: M,
    version: Option<u64>,
    /// What it is to be.
    pub(crate) value: M,
}

impl<M: Clone + Default + PartialEq + Serialize + DeserializeOwned> Memory<M> {
    /// Reads the item `name`; one that was never written is the default.
    ///
    /// # Errors
    /// The table's; [`PortError::Refused`] for an item that another version wrote and this one cannot read:
    /// to start anew could repeat what must not be repeated.
    pub(crate) async fn load<T: ControlTable>(table: &T, name: &'static str) -> Result<Self, PortError> {
        let (value, version) = control::read::<T, M>(table, name).await?;
        let value = value.unwrap_or_default();
        Ok(Self {
            name,
            stored: value.clone(),
            version,
            value,
        })
    }

    /// Stores the value if it changed. Of two invocations with one reading, one is stale and must do nothing.
    ///
    /// # Errors
    /// The table's.
    pub(crate) async fn save<T: ControlTable>(&mut self, table: &T) -> Result<Put, PortError> {
        if self.value == self.stored {
            return Ok(Put::Written);
        }
        let put = control::write(table, self.name, &self.value, self.version).await?;
        if put == Put::Written {
            self.version = Some(self.version.map_or(1, |version| version + 1));
            self.stored = self.value.clone();
        }
        Ok(put)
    }

    /// Whether the item is still as this memory was last read or written: the last look before a deed.
    ///
    /// # Errors
    /// The table's.
    pub(crate) async fn is_current<T: ControlTable>(&self, table: &T) -> Result<bool, PortError> {
        let item = table.get_control(self.name).await?;
        Ok(item.map(|item| item.version) == self.version)
    }
}
