use crate::control;
use crate::id::ChannelKey;
use crate::ports::{ControlTable, PortError, Put};
use crate::segment::ObjectKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the control item.
const NAME: &str = "keep-cursor";

/// What one run leaves for the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Memory {
    /// What the clock said at the last run.
    pub(super) looked_at: Option<Timestamp>,
    /// Where the last run stopped, when it did not finish.
    pub(super) cursor: Option<Cursor>,
}

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// In this channel,
    pub(super) channel: ChannelKey,
    /// after this key.
    pub(super) after: Option<ObjectKey>,
}

impl Memory {
    /// The memory, with the version to hand to [`Memory::store`]. One that does not read as such is a new one: it
    /// holds a run back once and starts from the first channel.
    pub(super) async fn load<T: ControlTable>(table: &T) -> Result<(Self, Option<u64>), PortError> {
        control::read_or_default(table, NAME).await
    }

    /// Stores the memory. Another run's is as good as ours.
    pub(super) async fn store<T: ControlTable>(
        &self,
        table: &T,
        loaded: Option<u64>,
    ) -> Result<Put, PortError> {
        control::write(table, NAME, self, loaded).await
    }
}
