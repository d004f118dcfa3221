use super::memory::Settled;
use super::policy::BackfillPolicy;
use crate::coverage::{Span, State, coverage, with_wanted};
use crate::gap::{Gap, GapCause};
use crate::segment::SegmentKey;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// A stretch that is not recorded and may be on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its first instant.
    pub start: Timestamp,
    /// The instant after its last.
    pub end: Timestamp,
    /// More is missing after it.
    #[serde(skip)]
    pub goes_on: bool,
}

impl Missing {
    /// How long it lasts.
    pub fn duration(&self) -> SignedDuration {
        self.end.duration_since(self.start)
    }
}

/// Whether the device may have recorded what was lost by this cause: the trouble was on the way, or ours.
pub fn is_fillable(cause: GapCause) -> bool {
    match cause {
        GapCause::Starting
        | GapCause::GatewayDown
        | GapCause::Network
        | GapCause::StreamStalled
        | GapCause::StreamRefused
        | GapCause::CredentialsRejected
        | GapCause::TransformFailed
        | GapCause::RecorderRestarted
        | GapCause::RecorderMoved
        | GapCause::SpoolOverflow
        | GapCause::ArchiveRefused
        | GapCause::SpoolDamaged => true,
        // Away from the gateway it may have recorded all the same; one that is not even listed was taken away.
        GapCause::DeviceOffline(hint) => hint.is_some(),
        // The same stream would come, and nobody asked for what was not wanted.
        GapCause::UnsupportedStream | GapCause::NotWanted => false,
    }
}

/// What is known of a channel in a range: all segments and gaps that touch it.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The range.
    pub from: Timestamp,
    /// Its end, at most now.
    pub to: Timestamp,
    /// Since when the channel is wanted.
    pub wanted_since: Timestamp,
    /// What is archived, in any order.
    pub segments: &'a [SegmentKey],
    /// The gap rows, in any order.
    pub gaps: &'a [Gap],
    /// What is not asked for again, in order and without overlaps.
    pub settled: &'a [Settled],
}

/// What is missing of a channel and ripe to be asked for, oldest first, in pieces.
///
/// A hole is ripe when a segment of the archive follows it, it ended long enough ago, and nothing beside it is
/// unexplained: that may be on its way from a spool. One with something unexplained, or that goes on beyond the range,
/// is ripe so long after its end, or that of the range, that no spool has it any more. What was settled is not missing.
pub fn missing(policy: &BackfillPolicy, known: &Known<'_>, now: Timestamp) -> Vec<Missing> {
    let Known {
        from, to, settled, ..
    } = *known;
    let spans = with_wanted(
        &coverage(known.segments, known.gaps, from, to),
        &[known.wanted_since..Timestamp::MAX],
    );
    let mut found = Vec::new();
    for hole in spans.split(|span| span.state == State::Recorded) {
        let Some(last) = hole.last() else {
            continue;
        };
        let age = now.duration_since(last.end);
        let is_explained = hole.iter().all(|span| span.state != State::Unexplained);
        let ripe_after = if is_explained && last.end < to {
            policy.ripe_after
        } else {
            policy.unexplained_after
        };
        if age >= ripe_after {
            hole.iter()
                .filter(|span| is_wanted(span.state))
                .for_each(|span| push(&mut found, span));
        }
    }
    let open = found.into_iter().flat_map(|hole| without(hole, settled));
    open.filter(|hole| hole.duration() >= policy.shortest)
        .flat_map(|hole| pieces(hole, policy.piece_max))
        .collect()
}

fn is_wanted(state: State) -> bool {
    match state {
        State::Recorded => false,
        State::Gap(cause) => is_fillable(cause),
        State::Unexplained => true,
    }
}

/// Causes that follow each other are one hole.
fn push(found: &mut Vec<Missing>, span: &Span) {
    match found.last_mut() {
        Some(last) if last.end == span.start => last.end = span.end,
        _ => found.push(Missing {
            start: span.start,
            end: span.end,
            goes_on: false,
        }),
    }
}

/// What is left of a hole when the settled stretches are taken out; these are in order and do not overlap.
fn without(hole: Missing, settled: &[Settled]) -> Vec<Missing> {
    let mut left = Vec::new();
    let mut start = hole.start;
    for done in settled
        .iter()
        .filter(|done| done.end > hole.start && done.start < hole.end)
    {
        if done.start > start {
            left.push(Missing {
                start,
                end: done.start,
                goes_on: false,
            });
        }
        start = start.max(done.end);
    }
    if start < hole.end {
        left.push(Missing { start, ..hole });
    }
    left
}

fn pieces(hole: Missing, longest: SignedDuration) -> Vec<Missing> {
    let mut pieces = Vec::new();
    let mut start = hole.start;
    while hole.end.duration_since(start) > longest {
        let end = start.saturating_add(longest).unwrap_or(hole.end);
        pieces.push(Missing {
            start,
            end,
            goes_on: true,
        });
        start = end;
    }
    pieces.push(Missing { start, ..hole });
    pieces
}
