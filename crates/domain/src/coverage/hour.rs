//! The last full hour of the fleet: how much of what was wanted is in the archive, and what took the rest.

use super::{Span, State, Totals, coverage, since_wanted};
use crate::alert::{Severity, Trouble};
use crate::channel::ChannelRow;
use crate::id::ChannelKey;
use crate::ports::{Alerts, Archive, ChannelsTable, ControlTable, GapsTable, PortError};
use crate::watch::tell;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// The name of the control item that remembers what people were told.
const ITEM: &str = "coverage";

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Channels below the objective that an alert names.
const NAMED_MAX: usize = 5;

/// How the hour is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct HourPolicy {
    /// How many percent of the wanted time are to be recorded.
    pub objective_percent: f64,
    /// How long after its end a segment may take to be in the archive.
    pub settle: SignedDuration,
    /// Channels that are looked at together.
    pub at_once: usize,
    /// A measurement that lasts longer leaves the channels it has not begun for the next hour's.
    pub run_max: SignedDuration,
}

impl Default for HourPolicy {
    fn default() -> Self {
        Self {
            objective_percent: 99.9,
            settle: SignedDuration::from_mins(10),
            at_once: 8,
            run_max: SignedDuration::from_mins(5),
        }
    }
}

/// What one measurement found: the wide event of its invocation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HourReport {
    /// The first instant of the hour.
    pub from: Timestamp,
    /// The instant after its last.
    pub to: Timestamp,
    /// How many percent of what was wanted is recorded, of all channels together; `None` when nothing was wanted.
    pub percent: Option<f64>,
    /// What the hour consists of, of all channels together.
    pub totals: Totals,
    /// The channels that were wanted within the hour, the least recorded first.
    pub channels: Vec<ChannelHour>,
    /// How many of them are below the objective.
    pub below: usize,
    /// Channels of which nothing is known, with the reason.
    pub failed: BTreeMap<String, String>,
    /// Why nothing is known of any.
    pub failure: Option<String>,
    /// Why people could not be told, or it could not be remembered.
    pub untold: Option<String>,
}

/// One channel's hour.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelHour {
    /// Which channel.
    pub channel: String,
    /// How many percent of what was wanted is recorded.
    pub percent: f64,
    /// What took the most of the rest.
    pub mostly: Option<String>,
}

/// The last hour of the clock that ended at least `settle` ago.
pub fn last_full_hour(now: Timestamp, settle: SignedDuration) -> Range<Timestamp> {
    let hour_seconds = HOUR.as_secs();
    let settled = now.saturating_sub(settle).unwrap_or(Timestamp::MIN).as_second();
    let end = settled - settled.rem_euclid(hour_seconds);
    let at = |second| Timestamp::from_second(second).unwrap_or(Timestamp::MIN);
    at(end - hour_seconds)..at(end)
}

/// Measures the last full hour of every wanted channel and tells people when the fleet is below the objective, or
/// when it cannot be known. It writes nothing but what people were told.
///
/// Segments are in the archive when they are over: the hour is the last one after which the longest segment of a
/// channel, up to an hour, had the time to get there.
pub async fn measure_hour<A, T, L>(
    policy: &HourPolicy,
    archive: &A,
    table: &T,
    alerts: &L,
    clock: impl Fn() -> Timestamp + Send + Sync,
) -> HourReport
where
    A: Archive,
    T: ChannelsTable + GapsTable + ControlTable,
    L: Alerts,
{
    let now = clock();
    let mut report = match table.list_channels().await {
        Ok(rows) => {
            let hour = last_full_hour(now, settle(policy, &rows));
            let late = || clock().duration_since(now) > policy.run_max;
            let spans = look(policy, archive, table, &rows, &hour, late).await;
            report(policy, &hour, spans)
        }
        Err(error) => HourReport {
            failure: Some(error.chain()),
            ..report(policy, &last_full_hour(now, policy.settle), Vec::new())
        },
    };
    let troubles: Vec<Trouble> = shortfall(policy, &report)
        .into_iter()
        .chain(unknown(&report))
        .collect();
    if let Err(error) = tell(table, alerts, ITEM, &troubles, now).await {
        report.untold = Some(error.chain());
    }
    report
}

/// A segment is in the archive when it is over. One longer than an hour is not waited for.
fn settle(policy: &HourPolicy, rows: &[ChannelRow]) -> SignedDuration {
    let lengths = rows.iter().map(|row| row.settings.segment_seconds.get());
    let longest = SignedDuration::from_secs(lengths.max().unwrap_or_default().into());
    policy.settle.saturating_add(longest.min(HOUR))
}

async fn look<A: Archive, T: GapsTable>(
    policy: &HourPolicy,
    archive: &A,
    table: &T,
    rows: &[ChannelRow],
    hour: &Range<Timestamp>,
    late: impl Fn() -> bool,
) -> Vec<(ChannelKey, Result<Vec<Span>, PortError>)> {
    let wanted = rows.iter().filter(|row| row.wanted_since < hour.end);
    let late = &late;
    let looks = wanted.map(|row| async move {
        let looked = if late() {
            let why = "the measurement has lasted too long";
            Err(PortError::throttled("measuring the coverage", why))
        } else {
            look_at(archive, table, row, hour).await
        };
        (row.key.clone(), looked)
    });
    stream::iter(looks)
        .buffer_unordered(policy.at_once.max(1))
        .collect()
        .await
}

async fn look_at<A: Archive, T: GapsTable>(
    archive: &A,
    table: &T,
    row: &ChannelRow,
    hour: &Range<Timestamp>,
) -> Result<Vec<Span>, PortError> {
    let segments = archive.list_segments(&row.key, hour.start, hour.end).await?;
    let gaps = table.list_gaps(&row.key, hour.start, hour.end).await?;
    let spans = coverage(&segments, &gaps, hour.start, hour.end);
    Ok(since_wanted(&spans, &segments, row.wanted_since, hour.end))
}

fn report(
    policy: &HourPolicy,
    hour: &Range<Timestamp>,
    looked: Vec<(ChannelKey, Result<Vec<Span>, PortError>)>,
) -> HourReport {
    let mut totals = Totals::default();
    let mut channels = Vec::new();
    let mut failed = BTreeMap::new();
    for (key, spans) in looked {
        let of_channel = match spans {
            Ok(spans) => Totals::of(&spans),
            Err(error) => {
                failed.insert(key.to_string(), error.chain());
                continue;
            }
        };
        totals.add(&of_channel);
        channels.extend(of_channel.percent().map(|percent| ChannelHour {
            channel: key.to_string(),
            percent,
            mostly: mostly(&of_channel),
        }));
    }
    let by_percent =
        |a: &ChannelHour, b: &ChannelHour| a.percent.total_cmp(&b.percent).then(a.channel.cmp(&b.channel));
    channels.sort_by(by_percent);
    let below = channels.partition_point(|channel| channel.percent < policy.objective_percent);
    HourReport {
        from: hour.start,
        to: hour.end,
        percent: totals.percent(),
        totals,
        channels,
        below,
        failed,
        failure: None,
        untold: None,
    }
}

/// What took the most, and how long.
fn mostly(totals: &Totals) -> Option<String> {
    let (state, lost) = totals.worst()?;
    let what = match state {
        State::Gap(cause) => cause.to_string(),
        State::Unexplained | State::Recorded => "nobody knows why".to_owned(),
    };
    Some(format!("{what}, {:.0} s", lost.as_secs_f64()))
}

fn shortfall(policy: &HourPolicy, report: &HourReport) -> Option<Trouble> {
    let objective = policy.objective_percent;
    let percent = report.percent.filter(|percent| *percent < objective)?;
    let below = &report.channels[..report.below];
    let named: Vec<String> = below
        .iter()
        .take(NAMED_MAX)
        .map(|one| {
            let mostly = one.mostly.as_deref().unwrap_or_default();
            format!("{} {:.1} % ({mostly})", one.channel, one.percent)
        })
        .collect();
    let more = if below.len() > NAMED_MAX { ", …" } else { "" };
    Some(Trouble {
        subject: "coverage".to_owned(),
        severity: Severity::Warning,
        text: format!(
            "of what was wanted from {} to {} only {percent:.2} % was recorded, the objective is {objective} %. Most \
             was lost to: {}. {} of {} channels are below it: {}{more}",
            report.from,
            report.to,
            mostly(&report.totals).unwrap_or_default(),
            report.below,
            report.channels.len(),
            named.join(", "),
        ),
        patience_looks: 1,
    })
}

fn unknown(report: &HourReport) -> Option<Trouble> {
    let why = match (&report.failure, report.failed.iter().next()) {
        (Some(failure), _) => failure.clone(),
        (None, Some((channel, why))) => {
            format!("{} channels, the first {channel}: {why}", report.failed.len())
        }
        (None, None) => return None,
    };
    Some(Trouble {
        subject: "coverage unknown".to_owned(),
        severity: Severity::Warning,
        text: format!("nobody can tell how much of the last hours was recorded: {why}"),
        patience_looks: 2,
    })
}
