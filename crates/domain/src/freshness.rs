//! The truth that counts: is every wanted channel's newest segment fresh?
//!
//! Heartbeats say that recorders live; only a segment says that video is kept. A channel is judged when the gateway
//! sees its device, from its newest segment on, or from when it became wanted.

use crate::alert::{Severity, Trouble};
use crate::channel::{ChannelRow, DeviceState};
use crate::dispatch::HEARTBEAT_STALE;
use crate::gap::GapCause;
use crate::id::ChannelKey;
use crate::ladder::ArchiveLook;
use crate::ports::{Alerts, ChannelsTable, ControlTable, GapsTable, PortError, TasksTable};
use crate::task::{AssignmentRow, Heartbeat};
use crate::watch::tell;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The name of the control item that remembers what people were told.
pub const ITEM: &str = "freshness";

/// What people are told of: a recorder's own `archive` is another trouble.
const SUBJECT: &str = "new segments";

/// What a new segment may take beyond two segment lengths: a recorder's start, a reconnect, an upload of the spool.
pub const SLACK_DEFAULT: SignedDuration = SignedDuration::from_mins(2);

/// Looks in a row before people are told of old segments.
const STALE_LOOKS: u32 = 2;

/// Stale channels whose cause is looked up and told.
const EXPLAINED_MAX: usize = 5;

/// Channels whose cause is looked up before the gateway is blamed for all of them.
const BLAMED_MAX: usize = 20;

/// What one look at the tables says of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Wanted channels whose device is there.
    pub present: usize,
    /// The age of the oldest newest segment among them.
    pub oldest: SignedDuration,
    /// Those whose newest segment is too old, with its age.
    pub stale: BTreeMap<ChannelKey, SignedDuration>,
    /// Of these the ones whose recorder is alive and says that it records nothing.
    pub mute: BTreeSet<ChannelKey>,
}

/// Judges one look. Pure and total: clocks that disagree a little make an age zero, never negative. A newest segment that is
/// further ahead than `slack` was dated by a clock that was wrong: it says nothing, or a channel that has died since would look
/// fresh until then.
pub fn judge(
    slack: SignedDuration,
    rows: &[ChannelRow],
    assignments: &[AssignmentRow],
    now: Timestamp,
) -> Freshness {
    let heartbeats: BTreeMap<&ChannelKey, &Heartbeat> = assignments
        .iter()
        .map(|row| (&row.assignment.key, &row.heartbeat))
        .collect();
    let mut freshness = Freshness::default();
    for row in rows {
        if row.state != DeviceState::Present {
            continue;
        }
        let heartbeat = heartbeats.get(&row.key).copied();
        let since = heartbeat
            .and_then(|heartbeat| heartbeat.last_segment_at)
            .filter(|at| at.duration_since(now) <= slack)
            .map_or(row.wanted_since, |at| at.max(row.wanted_since));
        let age = now.duration_since(since).max(SignedDuration::ZERO);
        let segments = SignedDuration::from_secs(2 * i64::from(row.settings.segment_seconds.get()));
        freshness.present += 1;
        freshness.oldest = freshness.oldest.max(age);
        if age > segments.saturating_add(slack) {
            freshness.stale.insert(row.key.clone(), age);
            if heartbeat.is_some_and(|heartbeat| is_mute(heartbeat, now)) {
                freshness.mute.insert(row.key.clone());
            }
        }
    }
    freshness
}

fn is_mute(heartbeat: &Heartbeat, now: Timestamp) -> bool {
    let alive = heartbeat
        .heartbeat_at
        .is_some_and(|at| now.duration_since(at) < HEARTBEAT_STALE);
    alive && heartbeat.last_error.is_some()
}

/// What one check saw: the wide event of its invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Wanted channels whose device is there.
    pub present: usize,
    /// The age of the oldest newest segment among them, in seconds.
    pub oldest_seconds: i64,
    /// Stale channels, with the age of their newest segment in seconds.
    pub stale: BTreeMap<String, i64>,
    /// Whether the gateway is to blame.
    pub archive: ArchiveLook,
    /// Why the tables could not be read; nothing is known of the archive then.
    pub failure: Option<String>,
    /// Why people could not be told, or it could not be remembered.
    pub untold: Option<String>,
}

/// Checks once and tells people what is news.
pub async fn check<T, L>(slack: SignedDuration, table: &T, alerts: &L, now: Timestamp) -> Report
where
    T: ChannelsTable + TasksTable + GapsTable + ControlTable,
    L: Alerts,
{
    let mut report = Report::default();
    let trouble = match observe(slack, table, now).await {
        Ok(freshness) => {
            report.present = freshness.present;
            report.oldest_seconds = freshness.oldest.as_secs();
            let seconds = |(key, age): (&ChannelKey, &SignedDuration)| (key.to_string(), age.as_secs());
            report.stale = freshness.stale.iter().map(seconds).collect();
            report.archive = blame(table, &freshness, now).await;
            staleness(table, &freshness, now).await
        }
        Err(error) => {
            report.failure = Some(error.chain());
            Some(unreadable(&error))
        }
    };
    if let Err(error) = tell(table, alerts, ITEM, trouble.as_slice(), now).await {
        report.untold = Some(error.chain());
    }
    report
}

/// How many channels the gateway may be blamed for: their recorders live and get no video, for a cause that a healthy
/// gateway would not be. Causes are looked up only when every recorder complains, and only of some.
async fn blame<T: GapsTable>(table: &T, freshness: &Freshness, now: Timestamp) -> ArchiveLook {
    let mut look = ArchiveLook {
        wanted: freshness.present,
        no_video: freshness.mute.len(),
    };
    if look.no_video < look.wanted {
        return look;
    }
    for key in freshness.mute.iter().take(BLAMED_MAX) {
        let age = freshness.stale.get(key).copied().unwrap_or_default();
        let blamed = match newest_cause(table, key, age, now).await {
            Ok(cause) => cause.is_some_and(GapCause::may_be_the_gateways),
            Err(_) => false,
        };
        look.no_video -= usize::from(!blamed);
    }
    look
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

async fn cause<T: GapsTable>(table: &T, key: &ChannelKey, age: SignedDuration, now: Timestamp) -> String {
    match newest_cause(table, key, age, now).await {
        Ok(cause) => cause.map_or_else(|| "no cause known".to_owned(), |cause| cause.to_string()),
        Err(error) => error.chain(),
    }
}

/// The cause of the channel's newest gap since its newest segment.
async fn newest_cause<T: GapsTable>(
    table: &T,
    key: &ChannelKey,
    age: SignedDuration,
    now: Timestamp,
) -> Result<Option<GapCause>, PortError> {
    let since = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
    let gaps = table.list_gaps(key, since, now).await?;
    Ok(gaps.last().map(|gap| gap.cause))
}
