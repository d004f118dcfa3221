//! The tables that a command reads: those of this machine, or of a stack on AWS.

use crate::config::Config;
use anyhow::{Context, bail};
use domain::channel::ChannelRow;
use domain::ports::{
    ChannelsTable, ControlItem, ControlTable, EpisodesTable, GapsTable, PortError, Put, TasksTable,
};
use domain::task::{Assignment, AssignmentRow, Heartbeat};
use domain::{ChannelKey, Episode, Gap, Generation, Revision, TaskArn};
use jiff::Timestamp;
use local::Sqlite;
use serde_json::Value;

/// The tables of a data folder that exists; looking does not make one.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Sqlite> {
    let state = config.state_file();
    if !state.exists() {
        bail!(
            "there is no {}; is --data right, and has `millrace run` run?",
            state.display()
        );
    }
    Sqlite::open(&state).await.context("opening the tables")
}

/// The tables of a data folder, which is made if there is none.
pub(crate) async fn open_or_make(config: &Config) -> anyhow::Result<Sqlite> {
    std::fs::create_dir_all(&config.data).with_context(|| format!("making {}", config.data.display()))?;
    Sqlite::open(&config.state_file())
        .await
        .context("opening the tables")
}

/// Tables of one shape, wherever they are.
#[derive(Debug, Clone)]
pub(crate) enum AnyTables {
    Sqlite(Sqlite),
    #[cfg(feature = "aws")]
    Stack(aws::dynamodb::Tables),
}

/// Hands a call to whichever tables they are.
macro_rules! either {
    ($self:ident, $tables:ident => $call:expr) => {
        match $self {
            Self::Sqlite($tables) => $call,
            #[cfg(feature = "aws")]
            Self::Stack($tables) => $call,
        }
    };
}

impl ChannelsTable for AnyTables {
    async fn list_channels(&self) -> Result<Vec<ChannelRow>, PortError> {
        either!(self, tables => tables.list_channels().await)
    }

    async fn put_channel(&self, row: &ChannelRow, expected: Option<Revision>) -> Result<Put, PortError> {
        either!(self, tables => tables.put_channel(row, expected).await)
    }

    async fn delete_channel(&self, key: &ChannelKey, expected: Revision) -> Result<Put, PortError> {
        either!(self, tables => tables.delete_channel(key, expected).await)
    }
}

impl TasksTable for AnyTables {
    async fn list_assignments(&self) -> Result<Vec<AssignmentRow>, PortError> {
        either!(self, tables => tables.list_assignments().await)
    }

    async fn assignment(&self, key: &ChannelKey) -> Result<Option<AssignmentRow>, PortError> {
        either!(self, tables => tables.assignment(key).await)
    }

    async fn assignments_of(&self, task: &TaskArn) -> Result<Vec<AssignmentRow>, PortError> {
        either!(self, tables => tables.assignments_of(task).await)
    }

    async fn put_assignment(
        &self,
        assignment: &Assignment,
        expected: Option<Generation>,
    ) -> Result<Put, PortError> {
        either!(self, tables => tables.put_assignment(assignment, expected).await)
    }

    async fn delete_assignment(&self, key: &ChannelKey, expected: Generation) -> Result<Put, PortError> {
        either!(self, tables => tables.delete_assignment(key, expected).await)
    }

    async fn heartbeat(
        &self,
        key: &ChannelKey,
        task: &TaskArn,
        generation: Generation,
        heartbeat: &Heartbeat,
    ) -> Result<Put, PortError> {
        either!(self, tables => tables.heartbeat(key, task, generation, heartbeat).await)
    }
}

impl GapsTable for AnyTables {
    async fn put_gap(&self, gap: &Gap) -> Result<(), PortError> {
        either!(self, tables => tables.put_gap(gap).await)
    }

    async fn list_gaps(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Gap>, PortError> {
        either!(self, tables => tables.list_gaps(key, from, to).await)
    }
}

impl EpisodesTable for AnyTables {
    async fn list_episodes(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Episode>, PortError> {
        either!(self, tables => tables.list_episodes(key, from, to).await)
    }

    async fn put_episode(&self, episode: &Episode, expected: Option<Revision>) -> Result<Put, PortError> {
        either!(self, tables => tables.put_episode(episode, expected).await)
    }

    async fn delete_episode(
        &self,
        key: &ChannelKey,
        start: Timestamp,
        expected: Revision,
    ) -> Result<Put, PortError> {
        either!(self, tables => tables.delete_episode(key, start, expected).await)
    }
}

impl ControlTable for AnyTables {
    async fn get_control(&self, name: &str) -> Result<Option<ControlItem>, PortError> {
        either!(self, tables => tables.get_control(name).await)
    }

    async fn put_control(&self, name: &str, value: &Value, expected: Option<u64>) -> Result<Put, PortError> {
        either!(self, tables => tables.put_control(name, value, expected).await)
    }
}
