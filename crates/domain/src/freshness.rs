//! The truth that counts: is every wanted channel's newest segment fresh?
//!
//! Heartbeats say that recorders live; only a segment says that video is kept. A channel is judged when the gateway
//! sees its device, from its newest segment on, or from when it became wanted.

use crate::alert::{Severity, Trouble};
use crate::channel::{ChannelRow, DeviceState};
use crate::id::ChannelKey;
use crate::ports::{Alerts, ChannelsTable, ControlTable, GapsTable, PortError, TasksTable};
use crate::task::AssignmentRow;
use crate::watch::tell;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// The name of the control item that remembers what people were told.
pub const ITEM: &str = "freshness";

/// What people are told of: a recorder's own `archive` is another trouble.
const SUBJECT: &str = "new segments";

/// What a new segment may take beyond two segment lengths: a recorder's start, a reconnect, an upload of the spool.
pub const SLACK_DEFAULT: SignedDuration = SignedDuration::from_mins(2);

/// Looks in a row before people are told of old segments.
const STALE_LOOKS: u32 = 2;

/// Looks in a row before people are told of a silent gateway; its own restart takes about a minute.
const SILENT_LOOKS: u32 = 3;

/// Stale channels whose cause is looked up and told.
const EXPLAINED_MAX: usize = 5;

/// What one look at the tables says of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Wanted channels whose device is there.
    pub present: usize,
    /// The age of the oldest newest segment among them.
    pub oldest: SignedDuration,
    /// Those whose newest segment is too old, with its age.
    pub stale: BTreeMap<ChannelKey, SignedDuration>,
}

/// Judges one look. Pure and total: clocks that disagree make an age zero, never negative.
pub fn judge(
    slack: SignedDuration,
    rows: &[ChannelRow],
    assignments: &[AssignmentRow],
    now: Timestamp,
) -> Freshness {
    let newest: BTreeMap<&ChannelKey, Timestamp> = assignments
        .iter()
        .filter_map(|row| Some((&row.assignment.key, row.heartbeat.last_segment_at?)))
        .collect();
    let mut freshness = Freshness::default();
    for row in rows {
        if row.state != DeviceState::Present {
            continue;
        }
        let since = newest
            .get(&row.key)
            .copied()
            .map_or(row.wanted_since, |at| at.max(row.wanted_since));
        let age = now.duration_since(since).max(SignedDuration::ZERO);
        let segments = SignedDuration::from_secs(2 * i64::from(row.settings.segment_seconds.get()));
        freshness.present += 1;
        freshness.oldest = freshness.oldest.max(age);
        if age > segments.saturating_add(slack) {
            freshness.stale.insert(row.key.clone(), age);
        }
    }
    freshness
}

/// What asking the gateway who it is came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "because")]
pub enum GatewayAnswer {
    /// It answered and knows us.
    Answered,
    /// It answered and said no; the poll tells people.
    Refused(String),
    /// It was not asked, because our password is known to be rejected, or is not to be had.
    NotAsked(String),
    /// No answer.
    Silent(String),
}

/// What one check saw: the wide event of its invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What the gateway said.
    pub gateway: GatewayAnswer,
    /// Wanted channels whose device is there.
    pub present: usize,
    /// The age of the oldest newest segment among them, in seconds.
    pub oldest_seconds: i64,
    /// Stale channels, with the age of their newest segment in seconds.
    pub stale: BTreeMap<String, i64>,
    /// Why the tables could not be read; nothing is known of the archive then.
    pub failure: Option<String>,
    /// Why people could not be told, or it could not be remembered.
    pub untold: Option<String>,
}

/// Checks once and tells people what is news. `gateway` is what asking it came to.
pub async fn check<T, L>(
    slack: SignedDuration,
    gateway: GatewayAnswer,
    table: &T,
    alerts: &L,
    now: Timestamp,
) -> Report
where
    T: ChannelsTable + TasksTable + GapsTable + ControlTable,
    L: Alerts,
{
    let mut troubles: Vec<Trouble> = silence(&gateway).into_iter().collect();
    let mut report = Report {
        gateway,
        present: 0,
        oldest_seconds: 0,
        stale: BTreeMap::new(),
        failure: None,
        untold: None,
    };
    match observe(slack, table, now).await {
        Ok(freshness) => {
            troubles.extend(staleness(table, &freshness, now).await);
            report.present = freshness.present;
            report.oldest_seconds = freshness.oldest.as_secs();
            let seconds = |(key, age): (&ChannelKey, &SignedDuration)| (key.to_string(), age.as_secs());
            report.stale = freshness.stale.iter().map(seconds).collect();
        }
        Err(error) => {
            report.failure = Some(error.chain());
            troubles.push(unreadable(&error));
        }
    }
    if let Err(error) = tell(table, alerts, ITEM, &troubles, now).await {
        report.untold = Some(error.chain());
    }
    report
}

async fn observe<T: ChannelsTable + TasksTable>(
    slack: SignedDuration,
    table: &T,
    now: Timestamp,
) -> Result<Freshness, PortError> {
    let rows = table.list_channels().await?;
    let assignments = table.list_assignments().await?;
    Ok(judge(slack, &rows, &assignments, now))
}

fn silence(gateway: &GatewayAnswer) -> Option<Trouble> {
    let because = match gateway {
        GatewayAnswer::Answered | GatewayAnswer::Refused(_) | GatewayAnswer::NotAsked(_) => return None,
        GatewayAnswer::Silent(because) => because,
    };
    Some(Trouble {
        subject: "gateway".into(),
        severity: Severity::Critical,
        text: format!("the gateway does not answer: {because}. Nothing new can be recorded until it does"),
        patience_looks: SILENT_LOOKS,
    })
}

fn unreadable(error: &PortError) -> Trouble {
    Trouble {
        subject: SUBJECT.into(),
        severity: Severity::Critical,
        text: format!(
            "nobody can tell whether video is being kept, the tables cannot be read: {}",
            error.chain()
        ),
        patience_looks: STALE_LOOKS,
    }
}

async fn staleness<T: GapsTable>(table: &T, freshness: &Freshness, now: Timestamp) -> Option<Trouble> {
    if freshness.stale.is_empty() {
        return None;
    }
    let mut oldest_first: Vec<_> = freshness.stale.iter().collect();
    oldest_first.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let mut examples = Vec::new();
    for (key, age) in oldest_first.into_iter().take(EXPLAINED_MAX) {
        let because = cause(table, key, *age, now).await;
        examples.push(format!("{key} for {} s ({because})", age.as_secs()));
    }
    Some(Trouble {
        subject: SUBJECT.into(),
        severity: Severity::Critical,
        text: format!(
            "{} of {} channels whose device is there have no new segment: {}{}. Look at their recorders' logs",
            freshness.stale.len(),
            freshness.present,
            examples.join(", "),
            if freshness.stale.len() > EXPLAINED_MAX {
                ", …"
            } else {
                ""
            },
        ),
        patience_looks: STALE_LOOKS,
    })
}

/// The cause of the channel's newest gap since its newest segment.
async fn cause<T: GapsTable>(table: &T, key: &ChannelKey, age: SignedDuration, now: Timestamp) -> String {
    let since = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
    match table.list_gaps(key, since, now).await {
        Ok(gaps) => gaps
            .last()
            .map_or_else(|| "no cause known".to_owned(), |gap| gap.cause.to_string()),
        Err(error) => error.chain(),
    }
}
