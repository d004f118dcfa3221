//! What one round sees: the gaps of the channels that are to be filled, and the archive around them.

use super::memory::{Memory, Settled};
use super::missing::{Known, is_fillable, missing};
use super::plan::Look;
use super::policy::BackfillPolicy;
use crate::channel::ChannelRow;
use crate::gap::Gap;
use crate::ports::{Archive, GapsTable, PortError};
use crate::segment::SegmentKey;
use jiff::{SignedDuration, Timestamp};
use std::ops::Range;

/// The archive is listed so far around a gap: rows are exact to seconds, and what is unexplained beside one is seen.
const AROUND: SignedDuration = SignedDuration::from_mins(10);

/// Looks at one channel. A channel whose gaps are all settled costs one query and no listing.
pub(super) async fn look<A: Archive, T: GapsTable>(
    policy: &BackfillPolicy,
    archive: &A,
    table: &T,
    memory: &Memory,
    row: &ChannelRow,
    now: Timestamp,
) -> Result<Look, PortError> {
    let horizon = now.saturating_sub(policy.horizon).unwrap_or(Timestamp::MIN);
    let gaps = table.list_gaps(&row.key, horizon, now).await?;
    let settled = memory.settled(&row.key);
    let mut look = Look {
        key: row.key.clone(),
        settings: row.settings.clone(),
        missing: Vec::new(),
        segments: Vec::new(),
    };
    for window in windows(&gaps, settled, horizon, now) {
        let segments: Vec<SegmentKey> = archive.list_segments(&row.key, window.start, window.end).await?;
        let known = Known {
            from: window.start,
            to: window.end,
            wanted_since: row.wanted_since,
            segments: &segments,
            gaps: &gaps,
            settled,
        };
        look.missing.extend(missing(policy, &known, now));
        look.segments.extend(segments);
    }
    Ok(look)
}

/// The ranges to list, in order and without overlaps.
fn windows(gaps: &[Gap], settled: &[Settled], horizon: Timestamp, now: Timestamp) -> Vec<Range<Timestamp>> {
    let mut open: Vec<(Timestamp, Timestamp)> = gaps
        .iter()
        .filter(|gap| is_fillable(gap.cause))
        .filter_map(|gap| Some((gap.start, gap.end?)))
        .filter(|(start, end)| !is_settled(settled, (*start).max(horizon), *end))
        .collect();
    open.sort_unstable();
    let mut windows: Vec<Range<Timestamp>> = Vec::new();
    for (start, end) in open {
        let from = start
            .saturating_sub(AROUND)
            .unwrap_or(Timestamp::MIN)
            .max(horizon);
        let to = end.saturating_add(AROUND).unwrap_or(Timestamp::MAX).min(now);
        match windows.last_mut() {
            Some(last) if from <= last.end => last.end = last.end.max(to),
            _ => windows.push(from..to),
        }
    }
    windows
}

fn is_settled(settled: &[Settled], start: Timestamp, end: Timestamp) -> bool {
    let mut at = start;
    for known in settled.iter().filter(|known| known.end > start) {
        if known.start > at {
            break;
        }
        at = at.max(known.end);
    }
    at >= end
}
