//! The fleet as one look at the tables shows it.

use anyhow::Context;
use domain::channel::{ChannelRow, DeviceState};
use domain::ports::{ChannelsTable, TasksTable};
use domain::task::AssignmentRow;
use domain::{ChannelKey, Generation, RecordingSettings, TaskArn};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// One wanted channel and what becomes of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Channel {
    pub(crate) key: ChannelKey,
    pub(crate) device_name: String,
    pub(crate) channel_name: String,
    pub(crate) standing: Standing,
    pub(crate) task: Option<TaskArn>,
    pub(crate) generation: Option<Generation>,
    pub(crate) heartbeat_at: Option<Timestamp>,
    pub(crate) last_segment_at: Option<Timestamp>,
    pub(crate) wanted_since: Timestamp,
    pub(crate) settings: RecordingSettings,
    pub(crate) media_url: String,
}

/// How a wanted channel stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "because")]
pub(crate) enum Standing {
    /// Frames arrive.
    Recording,
    /// A recorder has it and has not reported yet.
    Starting,
    /// The recorder says why not.
    Trouble(String),
    /// The gateway says the device is away.
    Missing(String),
    /// No recorder has it.
    Unassigned,
    /// Its recorder has not reported for long.
    Silent,
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Recording => f.write_str("recording"),
            Self::Starting => f.write_str("starting"),
            Self::Trouble(why) => write!(f, "trouble: {why}"),
            Self::Missing(why) => write!(f, "device away: {why}"),
            Self::Unassigned => f.write_str("no recorder yet"),
            Self::Silent => f.write_str("recorder silent"),
        }
    }
}

/// Reads the tables.
pub(crate) async fn observe<T: ChannelsTable + TasksTable>(
    table: &T,
    now: Timestamp,
    silent_after: SignedDuration,
) -> anyhow::Result<Vec<Channel>> {
    let rows = table.list_channels().await.context("reading the channels")?;
    let assignments = table
        .list_assignments()
        .await
        .context("reading the assignments")?;
    let mut assigned: BTreeMap<ChannelKey, AssignmentRow> = assignments
        .into_iter()
        .map(|row| (row.assignment.key.clone(), row))
        .collect();
    Ok(rows
        .into_iter()
        .map(|row| {
            let assignment = assigned.remove(&row.key);
            channel(row, assignment.as_ref(), now, silent_after)
        })
        .collect())
}

fn channel(
    row: ChannelRow,
    assigned: Option<&AssignmentRow>,
    now: Timestamp,
    silent_after: SignedDuration,
) -> Channel {
    Channel {
        standing: standing(&row, assigned, now, silent_after),
        task: assigned.and_then(|row| row.assignment.task.clone()),
        generation: assigned.map(|row| row.assignment.generation),
        heartbeat_at: assigned.and_then(|row| row.heartbeat.heartbeat_at),
        last_segment_at: assigned.and_then(|row| row.heartbeat.last_segment_at),
        key: row.key,
        device_name: row.device_name,
        channel_name: row.channel_name,
        wanted_since: row.wanted_since,
        settings: row.settings,
        media_url: row.media_url,
    }
}

fn standing(
    row: &ChannelRow,
    assigned: Option<&AssignmentRow>,
    now: Timestamp,
    silent_after: SignedDuration,
) -> Standing {
    let Some(assigned) = assigned.filter(|row| row.assignment.task.is_some()) else {
        return Standing::Unassigned;
    };
    let heard_at = assigned
        .heartbeat
        .heartbeat_at
        .unwrap_or(assigned.assignment.started_at);
    if now.duration_since(heard_at) > silent_after {
        return Standing::Silent;
    }
    match (
        &assigned.heartbeat.last_error,
        row.state,
        assigned.heartbeat.heartbeat_at,
    ) {
        (Some(_), DeviceState::Missing { hint: Some(hint), .. }, _) => Standing::Missing(hint.to_string()),
        (Some(_), DeviceState::Missing { hint: None, .. }, _) => Standing::Missing("not listed".to_owned()),
        (Some(why), DeviceState::Present, _) => Standing::Trouble(why.clone()),
        (None, _, Some(_)) => Standing::Recording,
        (None, _, None) => Standing::Starting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::OfflineHint;
    use domain::fakes::{FakeTables, Weather, rows};
    use domain::ports::Put;
    use domain::task::{Assignment, Heartbeat};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    async fn standing_with(state: DeviceState, heartbeat: Option<Heartbeat>, now: i64) -> Standing {
        let tables = FakeTables::new(Weather::calm());
        let row = ChannelRow {
            state,
            ..rows::channel(ChannelKey::new("A", "1"), at(0))
        };
        let task = TaskArn::new("t");
        let assignment = Assignment {
            device_state: state,
            ..rows::assignment(row.key.clone(), task.clone(), at(0))
        };
        assert_eq!(tables.put_channel(&row, None).await.unwrap(), Put::Written);
        assert_eq!(
            tables.put_assignment(&assignment, None).await.unwrap(),
            Put::Written
        );
        if let Some(heartbeat) = heartbeat {
            let put = tables
                .heartbeat(&row.key, &task, Generation(1), &heartbeat)
                .await
                .unwrap();
            assert_eq!(put, Put::Written);
        }
        let seen = observe(&tables, at(now), SignedDuration::from_secs(30))
            .await
            .unwrap();
        seen[0].standing.clone()
    }

    fn heard(error: Option<&str>) -> Option<Heartbeat> {
        let last_error = error.map(str::to_owned);
        Some(Heartbeat {
            heartbeat_at: Some(at(10)),
            last_segment_at: None,
            last_error,
            ..Heartbeat::default()
        })
    }

    #[tokio::test]
    async fn a_channel_stands_as_its_recorder_and_its_device_say() {
        let away = DeviceState::Missing {
            since: at(5),
            missed_polls: 1,
            hint: Some(OfflineHint::Network),
        };
        assert_eq!(
            standing_with(DeviceState::Present, None, 12).await,
            Standing::Starting
        );
        assert_eq!(
            standing_with(DeviceState::Present, heard(None), 12).await,
            Standing::Recording
        );
        assert_eq!(
            standing_with(DeviceState::Present, heard(Some("404")), 12).await,
            Standing::Trouble("404".into())
        );
        assert_eq!(
            standing_with(away, heard(Some("404")), 12).await,
            Standing::Missing("network".into())
        );
        assert_eq!(standing_with(away, heard(None), 12).await, Standing::Recording);
        assert_eq!(
            standing_with(DeviceState::Present, heard(None), 41).await,
            Standing::Silent
        );
    }
}
