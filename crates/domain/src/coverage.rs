//! Coverage: for any range, every instant is recorded, or a gap with a cause, or not wanted, or unexplained.
//!
//! Segments are the truth and win over gap rows (a gap row is a recorder's belief; two recorders of one channel
//! may disagree). What neither explains is [`State::Unexplained`]: it should not exist, so it is shown.

use crate::gap::{Gap, GapCause};
use crate::segment::SegmentKey;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BinaryHeap;
use std::ops::Range;

mod hour;
mod totals;

pub use hour::{ChannelHour, HourPolicy, HourReport, last_full_hour, measure_hour};
pub use totals::Totals;
pub(crate) use totals::seconds;

/// A stretch of one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Its first instant.
    pub start: Timestamp,
    /// The instant after its last.
    pub end: Timestamp,
    /// What is known of it.
    pub state: State,
}

/// What is known of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There is video.
    Recorded,
    /// There is none, and this is why.
    Gap(GapCause),
    /// There is none, and nothing says why.
    Unexplained,
}

impl Span {
    /// How long it lasts.
    pub fn duration(&self) -> SignedDuration {
        self.end.duration_since(self.start)
    }
}

/// Holes no longer than this beside a segment are the rounding of their names to milliseconds and the
/// camera's jitter, not losses.
pub const JOIN: SignedDuration = SignedDuration::from_millis(100);

/// Divides `[from, to)` into spans, in order and without holes. Segments and gaps may come in any order and
/// overlap. An open gap lasts until `to`; where two gaps overlap, the one that starts later explains more.
/// Takes time in proportion to n log n.
pub fn coverage(segments: &[SegmentKey], gaps: &[Gap], from: Timestamp, to: Timestamp) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut reasons = Reasons::new(gaps, to);
    let mut at = from;
    for (start, end) in recorded(segments, from, to) {
        reasons.explain(at, start, &mut spans);
        push(&mut spans, start, end, State::Recorded);
        at = end;
    }
    reasons.explain(at, to, &mut spans);
    without_slivers(&spans)
}

/// What is unexplained outside all of `wanted` was not wanted: nobody had asked for it yet, or nobody did any more.
/// The intervals may come in any order and overlap.
pub fn with_wanted(spans: &[Span], wanted: &[Range<Timestamp>]) -> Vec<Span> {
    let mut wanted = wanted.to_vec();
    wanted.sort_by_key(|interval| interval.start);
    let mut told = Vec::new();
    let mut next = wanted.iter().peekable();
    for span in spans {
        if span.state != State::Unexplained {
            push(&mut told, span.start, span.end, span.state);
            continue;
        }
        let mut at = span.start;
        while at < span.end {
            while next.next_if(|interval| interval.end <= at).is_some() {}
            let Some(interval) = next.peek().filter(|interval| interval.start < span.end) else {
                push(&mut told, at, span.end, State::Gap(GapCause::NotWanted));
                break;
            };
            let (start, end) = (interval.start.max(at), interval.end.min(span.end).max(at));
            push(&mut told, at, start, State::Gap(GapCause::NotWanted));
            push(&mut told, start, end, State::Unexplained);
            at = end;
        }
    }
    told
}

/// The same for a channel that is wanted since then. What was recorded before shows that it was wanted before, too.
pub fn since_wanted(
    spans: &[Span],
    segments: &[SegmentKey],
    since: Timestamp,
    until: Timestamp,
) -> Vec<Span> {
    let recorded = segments.iter().map(|segment| segment.start);
    let first = recorded.min().map_or(since, |start| start.min(since));
    with_wanted(spans, &[first..until])
}

/// How much of `spans` is recorded.
pub fn recorded_time(spans: &[Span]) -> SignedDuration {
    Totals::of(spans).recorded
}

/// The recorded stretches within `[from, to)`, joined where they touch.
fn recorded(segments: &[SegmentKey], from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let mut stretches: Vec<(Timestamp, Timestamp)> = segments
        .iter()
        .map(|segment| (segment.start.max(from), segment.end().min(to)))
        .filter(|(start, end)| start < end)
        .collect();
    stretches.sort_unstable();
    let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (start, end) in stretches {
        match joined.last_mut() {
            Some(last) if start.duration_since(last.1) <= JOIN => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// Segment names are cut to milliseconds and gap rows are not, so an unexplained sliver can come between them: it
/// goes to what precedes it.
fn without_slivers(spans: &[Span]) -> Vec<Span> {
    let mut whole = Vec::with_capacity(spans.len());
    for span in spans {
        let is_sliver = span.state == State::Unexplained && span.duration() <= JOIN;
        let before = whole.last().filter(|_| is_sliver);
        let state = before.map_or(span.state, |before: &Span| before.state);
        push(&mut whole, span.start, span.end, state);
    }
    whole
}

/// The gaps, swept once from early to late: those under way are on a heap, the one that began last on top.
struct Reasons {
    /// By start, the latest first, so that the next is popped.
    to_come: Vec<(Timestamp, Timestamp, GapCause)>,
    under_way: BinaryHeap<(Timestamp, Timestamp, GapCause)>,
}

impl Reasons {
    fn new(gaps: &[Gap], open_end: Timestamp) -> Self {
        let mut to_come: Vec<_> = gaps
            .iter()
            .map(|gap| (gap.start, gap.end.unwrap_or(open_end), gap.cause))
            .collect();
        to_come.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            to_come,
            under_way: BinaryHeap::new(),
        }
    }

    /// Fills the unrecorded `[from, to)`, which must not begin before an earlier call's end.
    fn explain(&mut self, from: Timestamp, to: Timestamp, spans: &mut Vec<Span>) {
        let mut at = from;
        while at < to {
            while let Some(gap) = self.to_come.pop_if(|(start, ..)| *start <= at) {
                self.under_way.push(gap);
            }
            while self.under_way.peek().is_some_and(|(_, end, _)| *end <= at) {
                self.under_way.pop();
            }
            let next = self.to_come.last().map_or(to, |(start, ..)| (*start).min(to));
            let (end, state) = match self.under_way.peek() {
                Some((_, end, cause)) => ((*end).min(next), State::Gap(*cause)),
                None => (next, State::Unexplained),
            };
            push(spans, at, end, state);
            at = end;
        }
    }
}

/// Adds a stretch; one of the same state as the last only makes it longer, and an empty one changes nothing.
fn push(spans: &mut Vec<Span>, start: Timestamp, end: Timestamp, state: State) {
    if start >= end {
        return;
    }
    match spans.last_mut() {
        Some(last) if last.state == state && last.end == start => last.end = end,
        _ => spans.push(Span { start, end, state }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ChannelKey, Generation};
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn segment(start: i64, end: i64) -> SegmentKey {
        let duration = SignedDuration::from_secs(end - start);
        SegmentKey::new(ChannelKey::new("A", "1"), at(start), duration, Generation(1))
    }

    fn gap(start: i64, end: Option<i64>, cause: GapCause) -> Gap {
        Gap {
            key: ChannelKey::new("A", "1"),
            start: at(start),
            end: end.map(at),
            cause,
        }
    }

    fn causes() -> impl Strategy<Value = GapCause> {
        prop_oneof![
            Just(GapCause::Network),
            Just(GapCause::StreamStalled),
            Just(GapCause::Starting)
        ]
    }

    #[test]
    fn a_day_reads_as_recorded_gap_recorded_open_gap() {
        let segments = [segment(0, 30), segment(30, 60), segment(70, 100)];
        let gaps = [
            gap(60, Some(70), GapCause::Network),
            gap(100, None, GapCause::StreamStalled),
        ];
        let spans: Vec<_> = coverage(&segments, &gaps, at(0), at(120))
            .into_iter()
            .map(|span| (span.start.as_second(), span.end.as_second(), span.state))
            .collect();
        assert_eq!(
            spans,
            [
                (0, 60, State::Recorded),
                (60, 70, State::Gap(GapCause::Network)),
                (70, 100, State::Recorded),
                (100, 120, State::Gap(GapCause::StreamStalled)),
            ]
        );
    }

    #[test]
    fn what_nothing_explains_is_shown_as_such() {
        let spans = coverage(&[segment(0, 10), segment(20, 30)], &[], at(0), at(30));
        assert_eq!(spans[1].state, State::Unexplained);
    }

    #[test]
    fn before_anybody_wanted_it_nothing_is_missing() {
        let spans = coverage(&[segment(40, 50)], &[], at(0), at(90));
        let told: Vec<_> = with_wanted(&spans, &[at(60)..at(70), at(30)..at(60)])
            .into_iter()
            .map(|span| (span.start.as_second(), span.end.as_second(), span.state))
            .collect();
        let not_wanted = State::Gap(GapCause::NotWanted);
        assert_eq!(
            told,
            [
                (0, 30, not_wanted),
                (30, 40, State::Unexplained),
                (40, 50, State::Recorded),
                (50, 70, State::Unexplained),
                (70, 90, not_wanted),
            ]
        );
    }

    proptest! {
        #[test]
        fn spans_tile_the_range_and_video_always_counts_as_recorded(
            segments in prop::collection::vec((0_i64..100, 1_i64..30), 0..8),
            gaps in prop::collection::vec((0_i64..100, prop::option::of(1_i64..30), causes()), 0..8),
        ) {
            let segments: Vec<_> = segments.into_iter().map(|(start, length)| segment(start, start + length)).collect();
            let gaps: Vec<_> =
                gaps.into_iter().map(|(start, length, cause)| gap(start, length.map(|l| start + l), cause)).collect();
            let (from, to) = (at(10), at(110));
            let spans = coverage(&segments, &gaps, from, to);
            prop_assert_eq!(spans.first().map(|span| span.start), Some(from));
            prop_assert_eq!(spans.last().map(|span| span.end), Some(to));
            for pair in spans.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
                prop_assert_ne!(pair[0].state, pair[1].state);
            }
            for second in 10..110 {
                let state = spans.iter().find(|span| span.start <= at(second) && at(second) < span.end).unwrap().state;
                let video = segments.iter().any(|s| s.start <= at(second) && at(second) < s.end());
                prop_assert_eq!(video, state == State::Recorded);
                let explained = gaps.iter().any(|g| g.start <= at(second) && g.end.is_none_or(|end| at(second) < end));
                prop_assert_eq!(state == State::Unexplained, !video && !explained);
            }
        }
    }
}
