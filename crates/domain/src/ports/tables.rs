use super::PortError;
use crate::channel::{ChannelRow, Revision};
use crate::episode::Episode;
use crate::gap::Gap;
use crate::id::{ChannelKey, Generation, TaskArn};
use crate::task::{Assignment, AssignmentRow, Heartbeat};
use jiff::Timestamp;

/// What became of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// It is stored.
    Written,
    /// The row is no longer as the caller read it; nothing was changed.
    Stale,
}

/// The known channels. Written by the poll (and by people, who change settings).
pub trait ChannelsTable: Send + Sync {
    /// All rows, in key order.
    fn list_channels(&self) -> impl Future<Output = Result<Vec<ChannelRow>, PortError>> + Send;

    /// Stores `row` if the stored revision is `expected` (`None`: if there is no row). The caller sets
    /// `row.revision`.
    fn put_channel(
        &self,
        row: &ChannelRow,
        expected: Option<Revision>,
    ) -> impl Future<Output = Result<Put, PortError>> + Send;

    /// Deletes the row if its revision is `expected`. A row that is gone already is `Written`.
    fn delete_channel(
        &self,
        key: &ChannelKey,
        expected: Revision,
    ) -> impl Future<Output = Result<Put, PortError>> + Send;
}

/// The assignments, with their recorders' heartbeats.
pub trait TasksTable: Send + Sync {
    /// All rows, in key order.
    fn list_assignments(&self) -> impl Future<Output = Result<Vec<AssignmentRow>, PortError>> + Send;

    /// The row of one channel.
    fn assignment(
        &self,
        key: &ChannelKey,
    ) -> impl Future<Output = Result<Option<AssignmentRow>, PortError>> + Send;

    /// The rows of one task: a recorder's pull.
    fn assignments_of(
        &self,
        task: &TaskArn,
    ) -> impl Future<Output = Result<Vec<AssignmentRow>, PortError>> + Send;

    /// Stores the dispatcher's part if the stored generation is `expected` (`None`: if there is no row). The
    /// heartbeat part stays when the generation does; a new generation keeps only `last_segment_at`.
    fn put_assignment(
        &self,
        assignment: &Assignment,
        expected: Option<Generation>,
    ) -> impl Future<Output = Result<Put, PortError>> + Send;

    /// Deletes the row if its generation is `expected`. A row that is gone already is `Written`.
    fn delete_assignment(
        &self,
        key: &ChannelKey,
        expected: Generation,
    ) -> impl Future<Output = Result<Put, PortError>> + Send;

    /// Stores the recorder's part if the channel is still assigned to `task` in `generation`; the fence.
    fn heartbeat(
        &self,
        key: &ChannelKey,
        task: &TaskArn,
        generation: Generation,
        heartbeat: &Heartbeat,
    ) -> impl Future<Output = Result<Put, PortError>> + Send;
}

/// The holes, one row each, keyed by (channel, start).
pub trait GapsTable: Send + Sync {
    /// Stores or replaces the row with this channel and start.
    fn put_gap(&self, gap: &Gap) -> impl Future<Output = Result<(), PortError>> + Send;

    /// The channel's gaps that overlap `[from, to)`, open ones included, by start.
    fn list_gaps(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Vec<Gap>, PortError>> + Send;
}

/// The intervals somebody wants kept, one row each, keyed by (channel, start).
pub trait EpisodesTable: Send + Sync {
    /// The channel's episodes that overlap `[from, to)`, those that go on included, by start. Expired ones are
    /// rows like any other.
    fn list_episodes(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Vec<Episode>, PortError>> + Send;

    /// Stores `episode` if the stored revision is `expected` (`None`: if there is no row). The caller sets
    /// `episode.revision`.
    fn put_episode(
        &self,
        episode: &Episode,
        expected: Option<Revision>,
    ) -> impl Future<Output = Result<Put, PortError>> + Send;

    /// Deletes the row if its revision is `expected`. A row that is gone already is `Written`.
    fn delete_episode(
        &self,
        key: &ChannelKey,
        start: Timestamp,
        expected: Revision,
    ) -> impl Future<Output = Result<Put, PortError>> + Send;
}

/// A loop's memory: one versioned item per loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlItem {
    /// Counts writes.
    pub version: u64,
    /// The loop's own JSON.
    pub value: serde_json::Value,
}

/// The memory of the loops that need one.
pub trait ControlTable: Send + Sync {
    /// The item, if it was ever written.
    fn get_control(&self, name: &str) -> impl Future<Output = Result<Option<ControlItem>, PortError>> + Send;

    /// Stores `value` as version `expected + 1` (or 1) if the stored version is `expected` (`None`: if there is none).
    fn put_control(
        &self,
        name: &str,
        value: &serde_json::Value,
        expected: Option<u64>,
    ) -> impl Future<Output = Result<Put, PortError>> + Send;
}
