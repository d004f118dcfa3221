//! Alarms become episodes: few rows, however many alarms.

use super::{Burst, Bursts, Episode, EpisodeOrigin};
use crate::channel::Revision;
use crate::id::ChannelKey;
use crate::ports::{EpisodesTable, PortError, Put};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// How alarms become episodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmPolicy {
    /// How much before an alarm is kept.
    pub pre: SignedDuration,
    /// How much after an alarm is kept.
    pub post: SignedDuration,
    /// Alarms no further apart than this are one episode.
    pub merge: SignedDuration,
    /// An episode that alarms made this long ends, and the next alarm begins another: so that expiry frees a
    /// camera's endless alarm bit by bit.
    pub length_max: SignedDuration,
    /// So many alarm episodes of one channel may begin within a day; what is more is dropped and reported.
    pub per_day_max: usize,
    /// How long after its start an alarm episode protects video.
    pub keep: SignedDuration,
}

impl Default for AlarmPolicy {
    fn default() -> Self {
        Self {
            pre: SignedDuration::from_secs(10),
            post: SignedDuration::from_secs(30),
            merge: SignedDuration::from_mins(1),
            length_max: SignedDuration::from_hours(1),
            per_day_max: 200,
            keep: SignedDuration::from_hours(30 * 24),
        }
    }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What the alarms of one channel want written, and what was too much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The rows to write, each with the revision it replaces.
    pub writes: Vec<(Episode, Option<Revision>)>,
    /// Bursts that would have made more rows a day than allowed.
    pub dropped: usize,
}

/// Plans the episodes of one channel's bursts. `rows` are its episodes of the day before the first burst and later, by start;
/// those of people are left alone.
pub fn from_alarms(policy: &AlarmPolicy, key: &ChannelKey, bursts: &[Burst], rows: &[Episode]) -> Plan {
    let mut plan = Plan::default();
    let mut ours: BTreeMap<Timestamp, Episode> = rows
        .iter()
        .filter(|row| row.origin == EpisodeOrigin::Alarm)
        .map(|row| (row.start, row.clone()))
        .collect();
    let mut touched = BTreeSet::new();
    for burst in bursts {
        let mut from = burst.first.saturating_sub(policy.pre).unwrap_or(Timestamp::MIN);
        let until = burst.last.saturating_add(policy.post).unwrap_or(Timestamp::MAX);
        // Each turn covers up to `length_max` of the burst, or finds it covered.
        while from < until {
            let (start, covered) = match reached(policy, &ours, from) {
                Some(start) => (start, extend(policy, &mut ours, start, until, burst)),
                None if day_is_full(policy, &ours, from) => {
                    plan.dropped += 1;
                    break;
                }
                None => (from, begin(policy, &mut ours, key, from, until, burst)),
            };
            touched.insert(start);
            from = covered.max(from);
        }
    }
    for start in touched {
        let Some(row) = ours.remove(&start) else { continue };
        let stored = rows.iter().find(|stored| stored.start == start);
        if stored != Some(&row) {
            let expected = stored.map(|stored| stored.revision);
            let revision = expected.unwrap_or_default().next();
            plan.writes.push((Episode { revision, ..row }, expected));
        }
    }
    plan
}

/// The alarm episode that `from` lies in or follows closely, if it may still grow or covers more.
fn reached(policy: &AlarmPolicy, ours: &BTreeMap<Timestamp, Episode>, from: Timestamp) -> Option<Timestamp> {
    let (start, row) = ours.range(..=from).next_back()?;
    let end = row.end.unwrap_or(Timestamp::MAX);
    let near = from.duration_since(end) <= policy.merge;
    let grows = end.duration_since(*start) < policy.length_max;
    (from < end || (near && grows)).then_some(*start)
}

/// Makes a row longer, to `until` or as long as it may be; how far the burst is covered then.
fn extend(
    policy: &AlarmPolicy,
    ours: &mut BTreeMap<Timestamp, Episode>,
    start: Timestamp,
    until: Timestamp,
    burst: &Burst,
) -> Timestamp {
    let longest = longest(policy, ours, start);
    let row = ours.get_mut(&start).expect("it was just found");
    let Some(end) = row.end else {
        return Timestamp::MAX;
    };
    let new_end = end.max(until.min(longest));
    if new_end > end {
        row.end = Some(new_end);
        row.reason = reason(
            &kinds_of(&row.reason)
                .chain(burst.kinds.iter().map(String::as_str))
                .collect(),
        );
    }
    new_end
}

fn begin(
    policy: &AlarmPolicy,
    ours: &mut BTreeMap<Timestamp, Episode>,
    key: &ChannelKey,
    from: Timestamp,
    until: Timestamp,
    burst: &Burst,
) -> Timestamp {
    let longest = from.saturating_add(policy.length_max).unwrap_or(Timestamp::MAX);
    // A late alarm before a row that exists reaches up to it.
    let next = ours
        .range(from..)
        .next()
        .map_or(Timestamp::MAX, |(start, _)| *start);
    let end = until.min(longest).min(next);
    let row = Episode {
        key: key.clone(),
        start: from,
        end: Some(end),
        reason: reason(&burst.kinds.iter().map(String::as_str).collect()),
        labels: BTreeMap::new(),
        expires_at: from.checked_add(policy.keep).ok(),
        preview: None,
        origin: EpisodeOrigin::Alarm,
        revision: Revision::default(),
    };
    ours.insert(from, row);
    end
}

/// How far a row that starts at `start` may reach: not into the next, which a late alarm may come before.
fn longest(policy: &AlarmPolicy, ours: &BTreeMap<Timestamp, Episode>, start: Timestamp) -> Timestamp {
    let after = (Bound::Excluded(start), Bound::Unbounded);
    let next = ours
        .range(after)
        .next()
        .map_or(Timestamp::MAX, |(start, _)| *start);
    let longest = start.saturating_add(policy.length_max);
    longest.unwrap_or(Timestamp::MAX).min(next)
}

fn day_is_full(policy: &AlarmPolicy, ours: &BTreeMap<Timestamp, Episode>, at: Timestamp) -> bool {
    let day_before = at.saturating_sub(DAY).unwrap_or(Timestamp::MIN);
    ours.range(day_before..).count() >= policy.per_day_max
}

const REASON: &str = "alarm: ";

fn reason(kinds: &BTreeSet<&str>) -> String {
    let kinds: Vec<&str> = kinds.iter().copied().take(super::KINDS_MAX).collect();
    format!("{REASON}{}", kinds.join(", "))
}

fn kinds_of(reason: &str) -> impl Iterator<Item = &str> {
    let kinds = reason.strip_prefix(REASON).unwrap_or_default();
    kinds.split(", ").filter(|kind| !kind.is_empty())
}

/// What storing waiting alarms came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmReport {
    /// Episodes begun.
    pub begun: usize,
    /// Episodes made longer.
    pub extended: usize,
    /// Bursts dropped because their channel had enough episodes that day.
    pub dropped: usize,
    /// Channels whose alarms wait for the next try, with the reason.
    pub failed: BTreeMap<String, String>,
}

/// Stores what waits in `bursts`; what could not be stored waits on.
pub async fn keep_alarms<T: EpisodesTable>(
    policy: &AlarmPolicy,
    table: &T,
    bursts: &mut Bursts,
) -> AlarmReport {
    let mut report = AlarmReport::default();
    for (key, waiting) in bursts.take() {
        if let Err(error) = store(policy, table, &key, &waiting, &mut report).await {
            report.failed.insert(key.to_string(), error.chain());
            bursts.put_back(key, waiting, policy.merge);
        }
    }
    report
}

async fn store<T: EpisodesTable>(
    policy: &AlarmPolicy,
    table: &T,
    key: &ChannelKey,
    bursts: &[Burst],
    report: &mut AlarmReport,
) -> Result<(), PortError> {
    let Some(first) = bursts.first() else {
        return Ok(());
    };
    let reach = policy.pre.saturating_add(policy.length_max).max(DAY);
    let from = first.first.saturating_sub(reach).unwrap_or(Timestamp::MIN);
    let rows = table.list_episodes(key, from, Timestamp::MAX).await?;
    let plan = from_alarms(policy, key, bursts, &rows);
    report.dropped += plan.dropped;
    for (row, expected) in &plan.writes {
        match (table.put_episode(row, *expected).await?, expected) {
            (Put::Written, None) => report.begun += 1,
            (Put::Written, Some(_)) => report.extended += 1,
            (Put::Stale, _) => {
                let doing = format!("storing an alarm episode of {key}");
                return Err(PortError::throttled(
                    doing,
                    "somebody else wrote it at the same time",
                ));
            }
        }
    }
    Ok(())
}
