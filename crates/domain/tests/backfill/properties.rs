//! What is missing, and what may be stored: promises of the pure functions.

use super::{at, channel, gap, live};
use domain::backfill::{BackfillPolicy, Fate, Known, Memory, admits, is_fillable, missing};
use domain::{GapCause, Generation, OfflineHint, SegmentKey};
use jiff::SignedDuration;
use proptest::prelude::*;

#[test]
fn only_what_was_lost_on_the_way_or_by_us_is_asked_for() {
    assert!(is_fillable(GapCause::Network) && is_fillable(GapCause::RecorderMoved));
    assert!(is_fillable(GapCause::DeviceOffline(Some(OfflineHint::Network))));
    assert!(!is_fillable(GapCause::DeviceOffline(None)) && !is_fillable(GapCause::NotWanted));
}

fn spans() -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((0_i64..5_000, 1_i64..400), 0..12)
}

proptest! {
    #[test]
    fn what_is_asked_for_is_missing_explained_ripe_and_not_settled(
        recorded in spans(), lost in spans(), settled in spans(), now in 5_000_i64..8_000
    ) {
        let key = channel(1, 1);
        let segments: Vec<_> = recorded.iter().map(|(start, length)| live(&key, *start, start + length)).collect();
        let gaps: Vec<_> =
            lost.iter().map(|(start, length)| gap(&key, *start, start + length, GapCause::Network)).collect();
        let mut memory = Memory::default();
        for (start, length) in &settled {
            memory.settle(&key, at(*start), at(start + length), Fate::Fetched);
        }
        let settled = memory.settled(&key);
        let policy = BackfillPolicy::default();
        let known = Known {
            from: at(0), to: at(now), wanted_since: at(0), segments: &segments, gaps: &gaps, settled,
        };
        let found = missing(&policy, &known, at(now));
        for pair in settled.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start, "{settled:?}");
        }
        for pair in found.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start);
        }
        for piece in &found {
            prop_assert!(piece.duration() >= policy.shortest && piece.duration() <= policy.piece_max);
            prop_assert!(at(now).duration_since(piece.end) >= policy.ripe_after);
            for second in piece.start.as_second()..piece.end.as_second() {
                let moment = at(second);
                prop_assert!(!segments.iter().any(|s| s.start <= moment && moment < s.end()));
                prop_assert!(!settled.iter().any(|s| s.start <= moment && moment < s.end));
                prop_assert!(gaps.iter().any(|g| g.start <= moment && g.end.unwrap() > moment));
            }
        }
    }

    #[test]
    fn a_segment_is_admitted_only_where_nothing_is(there in spans(), start in 0_i64..5_000, length in 1_i64..400) {
        let key = channel(1, 1);
        let archive: Vec<_> = there.iter().map(|(start, length)| live(&key, *start, start + length)).collect();
        let fetched = SegmentKey::new(key, at(start), SignedDuration::from_secs(length), Generation::BACKFILL);
        let free = archive.iter().all(|s| s.end() <= fetched.start || fetched.end() <= s.start);
        prop_assert_eq!(admits(&archive, &fetched), free);
        let mut with_itself: Vec<_> = archive.into_iter().filter(|s| s.end() <= fetched.start).collect();
        with_itself.push(fetched.clone());
        prop_assert!(admits(&with_itself, &fetched), "storing again is storing once");
    }
}
