use super::*;
use domain::fakes::rows;
use domain::{Generation, Predecessor, TaskArn};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn assignment(started_at: i64) -> Assignment {
    Assignment {
        generation: Generation(2),
        ..rows::assignment(ChannelKey::new("A", "1"), "task", at(started_at))
    }
}

fn gap(start: i64, end: Option<i64>, cause: GapCause) -> Gap {
    Gap {
        key: ChannelKey::new("A", "1"),
        start: at(start),
        end: end.map(at),
        cause,
    }
}

fn reported(last_segment_at: i64, by_this_generation: bool) -> Heartbeat {
    Heartbeat {
        heartbeat_at: by_this_generation.then(|| at(last_segment_at)),
        last_segment_at: Some(at(last_segment_at)),
        ..Heartbeat::default()
    }
}

#[test]
fn a_successor_writes_no_row_about_what_its_predecessor_records() {
    let moves = Assignment {
        predecessor: Some(Predecessor {
            task: TaskArn::new("old"),
            generation: Generation(1),
            until: at(115),
        }),
        ..assignment(100)
    };
    let mut coverage = Coverage::new(&moves, &reported(90, false), None);
    assert_eq!(coverage.known(Vec::new()), []);
    assert_eq!(coverage.due(at(200)), None);
    assert_eq!(coverage.ends(GapCause::RecorderRestarted), None);
    assert_eq!(coverage.started(at(120)), None);
    coverage.stopped(at(130), GapCause::Network);
    let row = gap(130, None, GapCause::Network);
    assert_eq!(
        coverage.due(at(140)),
        Some(row),
        "what is missing from then on is its own"
    );
}

#[test]
fn a_successor_ends_the_row_that_its_predecessor_left_open() {
    let mut moves = assignment(100);
    moves.predecessor = Some(Predecessor {
        task: TaskArn::new("old"),
        generation: Generation(1),
        until: at(115),
    });
    let mut coverage = Coverage::new(&moves, &reported(90, false), None);
    assert_eq!(coverage.known(vec![gap(95, None, GapCause::StreamStalled)]), []);
    let row = gap(95, Some(120), GapCause::StreamStalled);
    assert_eq!(coverage.started(at(120)), Some(row));
}

fn first_row(heartbeat: &Heartbeat, on_disk: Option<Timestamp>) -> Option<Gap> {
    let mut coverage = Coverage::new(&assignment(100), heartbeat, on_disk);
    coverage.known(Vec::new());
    coverage.due(at(200))
}

#[test]
fn the_first_hole_begins_where_the_last_recorder_ended() {
    let rows = [
        first_row(&Heartbeat::default(), None),
        first_row(&reported(90, true), None),
        first_row(&reported(90, false), None),
        first_row(&reported(90, false), Some(at(95))),
    ];
    let expected = [
        gap(100, None, GapCause::Starting),
        gap(90, None, GapCause::RecorderRestarted),
        gap(90, None, GapCause::RecorderMoved),
        gap(95, None, GapCause::RecorderRestarted),
    ];
    assert_eq!(rows.map(Option::unwrap), expected);
}

#[test]
fn nothing_is_written_before_open_rows_were_looked_for() {
    let mut coverage = Coverage::new(&assignment(100), &Heartbeat::default(), None);
    assert_eq!(coverage.due(at(200)), None);
    coverage.known(Vec::new());
    assert!(coverage.due(at(200)).is_some());
}

#[test]
fn a_first_frame_that_comes_before_the_look_waits_for_it() {
    let mut coverage = Coverage::new(&assignment(100), &reported(80, true), None);
    assert_eq!(coverage.started(at(103)), None);
    let stalled = gap(80, Some(90), GapCause::StreamStalled);
    let restarted = gap(90, Some(103), GapCause::RecorderRestarted);
    assert_eq!(coverage.known(vec![stalled]), vec![restarted]);
    assert_eq!(coverage.known(Vec::new()), vec![]);
}

#[test]
fn a_row_left_open_goes_on_and_is_closed_by_the_first_frame() {
    let mut coverage = Coverage::new(&assignment(100), &reported(80, true), None);
    let found = gap(90, None, GapCause::StreamRefused);
    assert_eq!(coverage.known(vec![found]), vec![]);
    assert_eq!(coverage.due(at(200)), None, "the row is there");
    let closed = gap(90, Some(203), GapCause::StreamRefused);
    assert_eq!(coverage.started(at(203)), Some(closed));
}

#[test]
fn a_row_of_an_earlier_recorder_is_never_written_over() {
    let mut coverage = Coverage::new(&assignment(100), &reported(80, false), None);
    let stalled = gap(80, Some(90), GapCause::StreamStalled);
    assert_eq!(coverage.known(vec![stalled]), vec![]);
    assert_eq!(
        coverage.due(at(200)),
        Some(gap(90, None, GapCause::RecorderMoved))
    );
}

#[test]
fn what_was_lost_between_two_known_holes_is_explained_too() {
    let mut coverage = Coverage::new(&assignment(100), &reported(80, false), None);
    let known = [(85, 87, GapCause::Network), (92, 95, GapCause::StreamStalled)];
    let known = known.map(|(start, end, cause)| gap(start, Some(end), cause));
    let between = [(80, 85), (87, 92)].map(|(start, end)| gap(start, Some(end), GapCause::RecorderMoved));
    assert_eq!(coverage.known(known.to_vec()), between);
    assert_eq!(
        coverage.started(at(103)),
        Some(gap(95, Some(103), GapCause::RecorderMoved))
    );
}

#[test]
fn a_channel_nobody_wanted_is_wanted_again_from_its_assignment_on() {
    let mut coverage = Coverage::new(&assignment(100), &Heartbeat::default(), Some(at(40)));
    let found = gap(40, None, GapCause::NotWanted);
    let closed = gap(40, Some(100), GapCause::NotWanted);
    assert_eq!(coverage.known(vec![found]), vec![closed]);
    let starting = gap(100, Some(101), GapCause::Starting);
    assert_eq!(coverage.started(at(101)), Some(starting));
}

#[test]
fn a_row_found_late_ends_where_the_recording_began() {
    let mut coverage = Coverage::new(&assignment(100), &Heartbeat::default(), None);
    coverage.known(Vec::new());
    coverage.started(at(101));
    let late = gap(60, None, GapCause::RecorderRestarted);
    let closed = gap(60, Some(101), GapCause::RecorderRestarted);
    assert_eq!(coverage.known(vec![late]), vec![closed]);
    coverage.stopped(at(150), GapCause::Network);
    let own = coverage.due(at(160)).unwrap();
    assert_eq!(
        coverage.known(vec![own]),
        vec![],
        "the row of the hole that is open now stays"
    );
}

#[test]
fn a_hiccup_shorter_than_a_frame_or_two_has_no_row() {
    let mut coverage = Coverage::new(&assignment(100), &Heartbeat::default(), None);
    coverage.known(Vec::new());
    coverage.started(at(100));
    coverage.stopped(at(110), GapCause::Network);
    assert_eq!(coverage.started(at(110) + JOIN), None);
    coverage.stopped(at(120), GapCause::StreamStalled);
    let jump = gap(120, Some(123), GapCause::StreamStalled);
    assert_eq!(coverage.started(at(123)), Some(jump));
}

#[test]
fn a_recording_that_ends_leaves_its_row_open_and_a_hole_keeps_its_own() {
    let mut whole = Coverage::new(&assignment(100), &Heartbeat::default(), None);
    whole.started(at(100));
    whole.stopped(at(110), GapCause::Starting);
    let open = gap(110, None, GapCause::NotWanted);
    assert_eq!(whole.ends(GapCause::NotWanted), Some(open));

    let mut holed = Coverage::new(&assignment(100), &Heartbeat::default(), None);
    holed.known(Vec::new());
    holed.failed(GapCause::StreamRefused);
    assert_eq!(holed.due(at(105)), Some(gap(100, None, GapCause::StreamRefused)));
    assert_eq!(holed.ends(GapCause::NotWanted), None);
}
