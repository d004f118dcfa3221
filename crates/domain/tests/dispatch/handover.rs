//! The old recorder's part of a move, second by second.

use super::{assigned, at};
use domain::succession::{FoundBy, Handover, Settled, Succession, keeps_from};
use domain::{FirstPicture, Generation, PictureMark, Predecessor, TaskArn};
use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

fn picture(second: i64) -> FirstPicture {
    FirstPicture {
        at: at(second),
        mark: PictureMark(u64::try_from(second).unwrap()),
    }
}

fn succession(first_picture: Option<FirstPicture>) -> Succession {
    Succession {
        until: at(0),
        alive: true,
        first_picture,
    }
}

/// Parts that begin at these seconds, and are called by them.
fn holding(succession: Succession, seconds: &[i64]) -> Handover<i64> {
    let mut handover = Handover::new(succession, NOW);
    assert!(handover.begins_parts(at(-1)));
    for second in seconds {
        assert_eq!(handover.hold(picture(*second), *second), None);
    }
    handover
}

#[test]
fn parts_begin_shortly_before_the_successor_may() {
    let mut handover = Handover::new(succession(None), NOW);
    assert!(!handover.begins_parts(at(-10)));
    assert_eq!(handover.hold(picture(0), 7), Some(7), "it is the archive's");
    assert!(handover.begins_parts(at(-2)));
    assert!(!handover.begins_parts(at(-1)), "once");
    assert_eq!(handover.hold(picture(0), 8), None);
}

#[test]
fn it_is_over_when_the_successors_first_picture_is_among_the_parts() {
    let mut handover = holding(succession(None), &[0, 2]);
    assert!(!handover.is_over(true, Some(at(4)), NOW), "nothing is known yet");
    assert!(handover.is_over(false, Some(at(4)), NOW), "nothing to lose");
    handover.learn(succession(Some(picture(4))), NOW);
    assert!(!handover.is_over(true, Some(at(4)), NOW), "this line may lag");
    assert_eq!(handover.hold(picture(4), 4), None);
    assert!(handover.is_over(true, Some(at(4)), NOW));
    let (ours, theirs) = (vec![0, 2], vec![4]);
    let found = Some(FoundBy::Looks);
    assert_eq!(handover.settle(), Settled { ours, theirs, found });
}

#[test]
fn a_line_that_lags_is_waited_for_and_not_for_ever() {
    let handover = holding(succession(Some(picture(4))), &[0]);
    let (soon, late) = (Duration::from_secs(10), Duration::from_secs(40));
    assert!(!handover.is_over(true, Some(at(3)), soon));
    assert!(handover.is_over(true, Some(at(5)), soon));
    assert!(handover.is_over(true, Some(at(3)), late));
    assert_eq!(handover.settle().ours, [0], "what nobody else has is kept");
}

#[test]
fn without_a_successors_picture_everything_is_kept() {
    assert_eq!(holding(succession(None), &[0, 2, 4]).settle().ours, [0, 2, 4]);
}

#[test]
fn what_is_recorded_before_a_late_word_of_the_successor_is_rather_kept_twice() {
    let mut handover = holding(succession(None), &[0, 30, 60, 90, 120]);
    handover.learn(succession(Some(picture(30))), NOW);
    let (ours, theirs) = (vec![0, 120], vec![30, 60, 90]);
    let found = Some(FoundBy::Looks);
    assert_eq!(handover.settle(), Settled { ours, theirs, found });
}

#[test]
fn a_successor_that_never_has_a_picture_keeps_nothing_from_the_archive() {
    let mut handover = holding(succession(None), &[]);
    let mut archived = Vec::new();
    for second in 0..600 {
        assert_eq!(handover.hold(picture(second), second), None);
        archived.extend(handover.overdue(at(second + 1)));
        let first_held = second.saturating_sub(59).max(0);
        assert_eq!(archived, (0..first_held).collect::<Vec<_>>(), "at {second}");
    }
    // Nor does a line that is down: no part follows the last one.
    archived.extend(handover.overdue(at(700)));
    assert_eq!(archived, (0..600).collect::<Vec<_>>());
}

#[test]
fn a_successor_that_begins_makes_its_parts_wait_for_the_end() {
    let mut handover = holding(succession(None), &[0, 30, 60, 90]);
    assert_eq!(handover.overdue(at(61)), [0]);
    handover.learn(succession(Some(picture(60))), NOW);
    assert!(
        handover.overdue(at(300)).is_empty(),
        "what is whose is known soon"
    );
    let (ours, theirs) = (vec![30], vec![60, 90]);
    let found = Some(FoundBy::Looks);
    assert_eq!(handover.settle(), Settled { ours, theirs, found });
}

#[test]
fn a_successor_whose_word_is_late_has_some_parts_twice_and_the_rest_alone() {
    let mut handover = holding(succession(None), &[0, 30, 60, 90]);
    assert_eq!(handover.overdue(at(100)), [0, 30]);
    handover.learn(succession(Some(picture(30))), NOW);
    assert!(handover.is_over(true, Some(at(100)), NOW + Duration::from_secs(2)));
    let (ours, theirs) = (vec![], vec![60, 90]);
    let found = None;
    assert_eq!(handover.settle(), Settled { ours, theirs, found });
}

proptest! {
    /// Whatever is given back early, every part is somebody's in the end, and only what follows the successor's first picture
    /// is its.
    #[test]
    fn every_part_is_given_back_or_the_successors(
        steps in vec(1_i64..40, 1..40),
        looks in vec(any::<bool>(), 40),
        began in 0_i64..600,
        known_at in 0_usize..50,
    ) {
        let mut handover = holding(succession(None), &[]);
        let (mut second, mut held, mut ours) = (0, Vec::new(), Vec::new());
        for (index, (step, looks)) in steps.iter().zip(looks).enumerate() {
            if index == known_at {
                handover.learn(succession(Some(picture(began))), NOW);
            }
            ours.extend(handover.hold(picture(second), second));
            held.push(second);
            second += step;
            if looks {
                ours.extend(handover.overdue(at(second)));
            }
        }
        let settled = handover.settle();
        prop_assert!(settled.theirs.iter().all(|part| *part >= began && known_at < steps.len()));
        ours.extend(settled.ours);
        ours.extend(settled.theirs);
        ours.sort_unstable();
        prop_assert_eq!(ours, held);
    }
}

#[test]
fn a_new_recorder_waits_for_its_time_and_never_long() {
    let mut row = assigned("A", "new", -20, None);
    assert_eq!(
        keeps_from(&row.assignment, at(0)),
        None,
        "it has nobody to wait for"
    );
    for (until, from) in [(9, 9), (-9, -9), (600, 60)] {
        row.assignment.predecessor = Some(Predecessor {
            task: TaskArn::new("old"),
            generation: Generation(2),
            until: at(until),
        });
        let from = at(0) + SignedDuration::from_secs(from);
        assert_eq!(keeps_from(&row.assignment, at(0)), Some(from));
    }
}
