//! The plan of named scenarios.

use super::{assigned, at, channel, leaves, live, packed, planned};
use domain::channel::ChannelRow;
use domain::dispatch::{Action, DispatchPolicy, Left, Plan};
use domain::settings::{Audio, RecordingSettings};
use domain::task::AssignmentRow;
use std::collections::BTreeSet;

#[test]
fn channels_are_packed_into_as_few_tasks_as_allowed() {
    let rows = ["A", "B", "C"].map(channel);
    insta::assert_snapshot!(planned(&packed(2), &rows, &[], &[]), @"
    start Copy for A/1 generation 1 (First), B/1 generation 1 (First)
    start Copy for C/1 generation 1 (First)
    ");
}

#[test]
fn channels_that_need_an_ffmpeg_each_are_packed_by_a_number_of_their_own() {
    let rows = ["A", "B", "C", "D"].map(|device| match device {
        "A" | "B" => transformed(device),
        _ => channel(device),
    });
    let policy = DispatchPolicy {
        transforms_per_task: 1,
        ..packed(4)
    };
    insta::assert_snapshot!(planned(&policy, &rows, &[], &[]), @"
    start Copy for C/1 generation 1 (First), D/1 generation 1 (First)
    start Transform for A/1 generation 1 (First)
    start Transform for B/1 generation 1 (First)
    ");
}

fn transformed(device: &str) -> ChannelRow {
    let settings = RecordingSettings {
        audio: Audio::Aac,
        ..RecordingSettings::default()
    };
    ChannelRow {
        settings,
        ..channel(device)
    }
}

#[test]
fn a_dead_tasks_channels_go_to_a_task_with_room_first() {
    let rows = ["A", "B", "C"].map(channel);
    let assignments = [
        assigned("A", "t1", -600, Some(-5)),
        assigned("B", "t2", -600, Some(-60)),
        assigned("C", "t2", -600, Some(-60)),
    ];
    insta::assert_snapshot!(planned(&packed(2), &rows, &assignments, &[live("t1", -600)]), @"
    give t1 B/1 generation 4 (TaskGone)
    start Copy for C/1 generation 4 (TaskGone)
    ");
}

#[test]
fn an_orphan_is_adopted_before_anything_is_started() {
    let plan = planned(&packed(1), &[channel("A")], &[], &[live("orphan", -600)]);
    insta::assert_snapshot!(plan, @"give orphan A/1 generation 1 (First)");
}

#[test]
fn an_unwanted_channel_is_forgotten_and_its_task_stopped() {
    let plan = planned(
        &packed(1),
        &[],
        &[assigned("A", "t1", -600, Some(-5))],
        &[live("t1", -600)],
    );
    insta::assert_snapshot!(plan, @"
    forget A/1 generation 3
    stop t1: it has no channel
    ");
}

#[test]
fn a_task_that_just_started_is_neither_missed_nor_stopped() {
    let rows = [channel("A")];
    let assignments = [assigned("A", "t1", -10, None)];
    assert_eq!(
        planned(&packed(1), &rows, &assignments, &[]),
        leaves(Left::Launching, 1)
    );
    assert_eq!(
        planned(&packed(1), &[], &[], &[live("new", -10)]),
        Plan::default()
    );
}

#[test]
fn a_changed_url_updates_the_assignment_and_keeps_the_task() {
    let rows = [ChannelRow {
        media_url: "rtsp://gateway/new".into(),
        ..channel("A")
    }];
    let plan = planned(
        &packed(1),
        &rows,
        &[assigned("A", "t1", -600, Some(-5))],
        &[live("t1", -600)],
    );
    insta::assert_snapshot!(plan, @"update A/1 from rtsp://gateway/new");
}

#[test]
fn a_channel_that_now_needs_ffmpeg_moves_to_a_task_that_has_it() {
    let rows = [transformed("A")];
    let plan = planned(
        &packed(1),
        &rows,
        &[assigned("A", "t1", -600, Some(-5))],
        &[live("t1", -600)],
    );
    insta::assert_snapshot!(plan, @"start Transform for A/1 generation 4 (OtherKind)");
}

#[test]
fn a_hung_task_is_replaced_but_a_silent_fleet_gets_more_time() {
    let rows = ["A", "B", "C"].map(channel);
    let tasks = ["t1", "t2", "t3"].map(|arn| live(arn, -600));
    let one = [
        assigned("A", "t1", -600, Some(-5)),
        assigned("B", "t2", -600, Some(-5)),
        assigned("C", "t3", -600, Some(-200)),
    ];
    insta::assert_snapshot!(planned(&packed(1), &rows, &one, &tasks), @"
    start Copy for C/1 generation 4 (TaskHung)
    stop t3: it reports nothing
    ");
    let all = ["A", "B", "C"].map(|device| assigned(device, &format!("t{device}"), -600, Some(-200)));
    let tasks = ["tA", "tB", "tC"].map(|arn| live(arn, -600));
    assert_eq!(
        planned(&packed(1), &rows, &all, &tasks),
        leaves(Left::SilentTogether, 3)
    );
}

#[test]
fn a_recorder_that_dies_at_once_is_retried_with_growing_waits() {
    let policy = packed(1);
    let waits: Vec<_> = (0..8)
        .map(|attempts| policy.backoff(attempts).as_secs())
        .collect();
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    let mut row = assigned("A", "t1", -61, None);
    row.assignment.attempts = 3;
    insta::assert_snapshot!(planned(&policy, &[channel("A")], &[row], &[]), @"wait with A/1 until 2027-01-15T08:00:19Z");
}

#[test]
fn a_healthy_recorder_that_dies_is_replaced_at_once() {
    let mut row = assigned("A", "t1", -61, Some(-1));
    row.assignment.attempts = 5;
    row.heartbeat.last_segment_at = Some(at(-2));
    insta::assert_snapshot!(planned(&packed(1), &[channel("A")], &[row], &[]), @"start Copy for A/1 generation 4 (TaskGone)");
}

#[test]
fn the_same_decision_names_the_same_launch_and_another_one_another() {
    let token = |rows: &[ChannelRow], assignments: &[AssignmentRow]| match planned(
        &packed(2),
        rows,
        assignments,
        &[],
    )
    .actions
    .as_slice()
    {
        [Action::Start { launch, .. }] => launch.token.clone(),
        other => panic!("expected one start, got {other:?}"),
    };
    let first = token(&[channel("A")], &[]);
    assert_eq!(first, token(&[channel("A")], &[]));
    let came_back = ChannelRow {
        wanted_since: at(-1),
        ..channel("A")
    };
    let others = [
        token(&[channel("B")], &[]),
        token(&[channel("A"), channel("B")], &[]),
        token(&[channel("A")], &[assigned("A", "gone", -600, Some(-60))]),
        token(&[came_back], &[]),
    ];
    let distinct: BTreeSet<_> = others.iter().chain([&first]).collect();
    assert_eq!(distinct.len(), 5);
    assert!(distinct.iter().all(|token| token.len() <= 64 && token.is_ascii()));
}
