//! Coverage: for any range, every instant is recorded, or a gap with a cause, or unexplained.
//!
//! Segments are the truth and win over gap rows (a gap row is a recorder's belief; two recorders of one channel
//! may disagree). What neither explains is [`State::Unexplained`]: it should not exist, so it is shown.

use crate::gap::{Gap, GapCause};
use crate::segment::SegmentKey;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

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

/// Holes shorter than this between two segments are the rounding of their names to milliseconds and the
/// camera's jitter, not losses.
pub const JOIN: SignedDuration = SignedDuration::from_millis(100);

/// Divides `[from, to)` into spans, in order and without holes. Segments and gaps may come in any order and
/// overlap. An open gap lasts until `to`; where two gaps overlap, the one that starts later explains more.
pub fn coverage(segments: &[SegmentKey], gaps: &[Gap], from: Timestamp, to: Timestamp) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = from;
    for (start, end) in recorded(segments, from, to) {
        explain(gaps, at, start, to, &mut spans);
        push(&mut spans, start, end, State::Recorded);
        at = end;
    }
    explain(gaps, at, to, to, &mut spans);
    spans
}

/// How much of `spans` is recorded.
pub fn recorded_time(spans: &[Span]) -> SignedDuration {
    spans
        .iter()
        .filter(|span| span.state == State::Recorded)
        .fold(SignedDuration::ZERO, |sum, span| {
            sum.saturating_add(span.duration())
        })
}

/// The recorded stretches within `[from, to)`, joined where they touch.
fn recorded(segments: &[SegmentKey], from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let mut stretches: Vec<(Timestamp, Timestamp)> = segments
        .iter()
        .map(|segment| (segment.start.max(from), segment.end().min(to)))
        .filter(|(start, end)| start < end)
        .collect();
    stretches.sort();
    let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (start, end) in stretches {
        match joined.last_mut() {
            Some(last) if start.duration_since(last.1) <= JOIN => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// Fills the unrecorded `[from, to)` with the gaps that explain it.
fn explain(gaps: &[Gap], from: Timestamp, to: Timestamp, open_end: Timestamp, spans: &mut Vec<Span>) {
    let mut at = from;
    while at < to {
        let covering = gaps
            .iter()
            .filter(|gap| gap.start <= at && at < gap.end.unwrap_or(open_end))
            .max_by_key(|gap| gap.start);
        let next_start = gaps
            .iter()
            .map(|gap| gap.start)
            .filter(|start| *start > at)
            .min()
            .unwrap_or(to);
        let (end, state) = match covering {
            Some(gap) => (gap.end.unwrap_or(open_end).min(next_start), State::Gap(gap.cause)),
            None => (next_start, State::Unexplained),
        };
        let end = end.min(to);
        push(spans, at, end, state);
        at = end;
    }
}

fn push(spans: &mut Vec<Span>, start: Timestamp, end: Timestamp, state: State) {
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
