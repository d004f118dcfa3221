//! The ledger against a simulated truth: what was really on air, recorded by recorders that overlap, round and die.
#![allow(clippy::unwrap_used)]

use domain::coverage::{Span, State, Totals, coverage, with_wanted};
use domain::{ChannelKey, Gap, GapCause, Generation, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// Far from the epoch, so that nothing is right by being zero.
const ORIGIN_MS: i64 = 1_790_000_000_123;

/// What the ledger may be wrong by.
const TOLERANCE_MS: i64 = 1_000;

/// What really happened for so many milliseconds, and how it was recorded: the length of segments, and how much the
/// recorder that came next overlapped with this one.
#[derive(Debug, Clone)]
struct Stretch {
    length_ms: i64,
    state: State,
    segment_ms: i64,
    overlap_ms: i64,
}

fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    let state = prop_oneof![
        4 => Just(State::Recorded),
        1 => Just(State::Gap(GapCause::Network)),
        1 => Just(State::Gap(GapCause::RecorderMoved)),
        1 => Just(State::Gap(GapCause::NotWanted)),
        1 => Just(State::Unexplained),
    ];
    let stretch = (1_500_i64..400_000, state, 1_000_i64..60_000, 0_i64..900);
    let stretch = stretch.prop_map(|(length_ms, state, segment_ms, overlap_ms)| Stretch {
        length_ms,
        state,
        segment_ms,
        overlap_ms,
    });
    prop::collection::vec(stretch, 1..40)
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn key() -> ChannelKey {
    ChannelKey::new("A", "1")
}

#[derive(Default)]
struct World {
    /// Start, end and state, in milliseconds.
    truth: Vec<(i64, i64, State)>,
    segments: Vec<SegmentKey>,
    gaps: Vec<Gap>,
}

impl World {
    fn of(stretches: &[Stretch]) -> Self {
        let mut world = Self::default();
        let mut now = ORIGIN_MS;
        for (number, stretch) in stretches.iter().enumerate() {
            let end = now + stretch.length_ms;
            match stretch.state {
                State::Recorded => world.record(now, end, stretch, number),
                State::Gap(cause) => world.lose(now, end, cause, stretch),
                State::Unexplained => {}
            }
            world.truth.push((now, end, stretch.state));
            now = end;
        }
        world
    }

    /// Segments whose frames end a little before the next begin; a second recorder has the start of each too.
    fn record(&mut self, start: i64, end: i64, stretch: &Stretch, number: usize) {
        let mut from = start;
        while from < end {
            let until = (from + stretch.segment_ms).min(end);
            let generation = Generation(u64::try_from(number).unwrap());
            let length = |until: i64| SignedDuration::from_micros((until - from) * 1_000 - 700);
            self.segments
                .push(SegmentKey::new(key(), at(from), length(until), generation));
            let shorter = until.min(from + stretch.overlap_ms);
            self.segments.push(SegmentKey::new(
                key(),
                at(from),
                length(shorter),
                generation.next(),
            ));
            from = until;
        }
    }

    /// The row of the recorder that saw it, and one of another that only learned of it at its end.
    fn lose(&mut self, start: i64, end: i64, cause: GapCause, stretch: &Stretch) {
        let gap = |start, end, cause| Gap {
            key: key(),
            start: at(start),
            end: Some(at(end)),
            cause,
        };
        self.gaps.push(gap(start, end, cause));
        self.gaps
            .push(gap(end - stretch.overlap_ms.min(end - start), end, cause));
    }

    fn end(&self) -> i64 {
        self.truth.last().unwrap().1
    }

    /// Stretches of the truth that touch and are alike, as one.
    fn joined(&self) -> Vec<(i64, i64, State)> {
        let mut joined: Vec<(i64, i64, State)> = Vec::new();
        for (start, end, state) in &self.truth {
            match joined.last_mut() {
                Some(last) if last.2 == *state => last.1 = *end,
                _ => joined.push((*start, *end, *state)),
            }
        }
        joined
    }
}

fn in_ms(spans: &[Span]) -> Vec<(i64, i64, State)> {
    spans
        .iter()
        .map(|span| (span.start.as_millisecond(), span.end.as_millisecond(), span.state))
        .collect()
}

proptest! {
    #[test]
    fn the_ledger_equals_the_truth_to_a_second(stretches in stretches(), backwards: bool) {
        let mut world = World::of(&stretches);
        if backwards {
            world.segments.reverse();
            world.gaps.reverse();
        }
        let spans = coverage(&world.segments, &world.gaps, at(ORIGIN_MS), at(world.end()));
        let (told, truth) = (in_ms(&spans), world.joined());
        prop_assert_eq!(told.len(), truth.len(), "{:?} is not {:?}", told, truth);
        for (told, truth) in told.iter().zip(&truth) {
            prop_assert_eq!(told.2, truth.2);
            prop_assert!((told.0 - truth.0).abs() <= TOLERANCE_MS, "{:?} is not {:?}", told, truth);
            prop_assert!((told.1 - truth.1).abs() <= TOLERANCE_MS, "{:?} is not {:?}", told, truth);
        }
    }

    #[test]
    fn any_part_of_the_range_reads_as_the_same_part_of_the_whole(
        stretches in stretches(), from in 0_i64..2_000_000, length in 1_i64..2_000_000
    ) {
        let world = World::of(&stretches);
        let whole = coverage(&world.segments, &world.gaps, at(ORIGIN_MS), at(world.end()));
        let (from, to) = (at(ORIGIN_MS + from), at((ORIGIN_MS + from + length).min(world.end())));
        prop_assume!(from < to);
        let part = coverage(&world.segments, &world.gaps, from, to);
        let state = |spans: &[Span], ms| {
            let now = at(ms);
            spans.iter().find(|span| span.start <= now && now < span.end).map(|span| span.state)
        };
        // Within the length of a rounding error of its ends, a part cannot know what the whole does.
        for ms in (from.as_millisecond() + 100..to.as_millisecond() - 100).step_by(617) {
            prop_assert_eq!(state(&part, ms), state(&whole, ms), "at {}", ms);
        }
    }

    #[test]
    fn every_instant_is_counted_once(stretches in stretches(), wanted in 0_i64..2_000_000) {
        let world = World::of(&stretches);
        let (from, to) = (at(ORIGIN_MS), at(world.end()));
        let spans = coverage(&world.segments, &world.gaps, from, to);
        let wanted_from = at(ORIGIN_MS + wanted).min(to);
        let told = with_wanted(&spans, &[wanted_from..to]);
        for spans in [&spans, &told] {
            let totals = Totals::of(spans);
            let all = totals.wanted() + totals.not_wanted;
            prop_assert_eq!(all, to.duration_since(from));
        }
        prop_assert!(told.iter().all(|span| span.state != State::Unexplained || span.start >= wanted_from));
        prop_assert_eq!(Totals::of(&spans).recorded, Totals::of(&told).recorded);
    }
}
