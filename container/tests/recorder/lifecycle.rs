//! Assignments that come, change and go.

use crate::bed::{Bed, channel, eventually, target};
use domain::fakes::FakeTables;
use domain::ports::{Put, TasksTable};
use domain::settings::RecordingSettings;
use domain::{GapCause, Generation};
use jiff::{SignedDuration, Timestamp};
use simulator::rtsp::StreamSpec;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::{Instant, sleep};

async fn two_channels() -> Bed {
    let bed = Bed::with(&[StreamSpec::default(), StreamSpec::default()]).await;
    bed.assign(&bed.assignment(1, 1)).await;
    bed.assign(&bed.assignment(2, 1)).await;
    bed
}

async fn delete(tables: &FakeTables, n: u32, generation: u64) {
    let deleted = tables
        .delete_assignment(&channel(n), Generation(generation))
        .await
        .unwrap();
    assert_eq!(deleted, Put::Written);
}

#[tokio::test]
async fn a_changed_url_reconnects_that_channel_alone() {
    let bed = two_channels().await;
    let elsewhere = "/dac/realplay/ELSEWHERE1/MAIN/TCP?streamform=rtp";
    bed.catalog
        .publish(elsewhere, StreamSpec::default())
        .await
        .unwrap();
    let running = bed.run();
    bed.records(1).await;
    bed.records(2).await;
    sleep(Duration::from_secs(2)).await;
    let mut assignment = bed.assignment(1, 1);
    assignment.media_url = bed.url(elsewhere);
    bed.assign(&assignment).await;
    let sessions =
        || [target(1), elsewhere.to_owned(), target(2)].map(|target| bed.catalog.sessions(&target));
    eventually("the stream moves", async || sessions() == [0, 1, 1]).await;
    sleep(Duration::from_secs(3)).await;
    running.stops().await;

    bed.footage(2, &StreamSpec::default()).await.is_whole();
    let holes = bed.footage(1, &StreamSpec::default()).await.holes();
    assert!(
        holes.len() <= 1 && holes.iter().all(|hole| hole.frames <= 50),
        "{holes:?}"
    );
}

#[tokio::test]
async fn changed_settings_need_no_restart_and_lose_nothing() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    let mut assignment = bed.assignment(1, 1);
    assignment.settings = RecordingSettings::default();
    bed.assign(&assignment).await;
    let running = bed.run();
    bed.records(1).await;
    assignment.settings.segment_seconds = NonZeroU32::new(2).unwrap();
    bed.assign(&assignment).await;
    eventually("segments are short now", async || {
        bed.segments(1).await.len() >= 3
    })
    .await;
    running.stops().await;
    bed.footage(1, &StreamSpec::default()).await.is_whole();
    let holes: Vec<_> = bed
        .gaps(1)
        .await
        .into_iter()
        .filter(|gap| gap.cause == GapCause::Network)
        .collect();
    assert_eq!(holes, vec![]);
}

#[tokio::test]
async fn a_channel_that_is_no_longer_wanted_says_so_until_it_is_wanted_again() {
    let bed = two_channels().await;
    let running = bed.run();
    bed.records(1).await;
    bed.records(2).await;
    sleep(Duration::from_secs(1)).await;
    delete(&bed.tables, 1, 1).await;
    let open = async || {
        bed.gaps(1)
            .await
            .iter()
            .any(|gap| gap.cause == GapCause::NotWanted && gap.end.is_none())
    };
    eventually("the row is left open", open).await;
    assert_eq!(bed.catalog.sessions(&target(1)), 0);
    assert_eq!(bed.catalog.sessions(&target(2)), 1);

    sleep(Duration::from_secs(1)).await;
    let again = bed.assignment(1, 2);
    bed.assign(&again).await;
    let closed = async || {
        bed.gaps(1)
            .await
            .iter()
            .any(|gap| gap.cause == GapCause::NotWanted && gap.end == Some(again.started_at))
    };
    eventually("the row ends with the new assignment", closed).await;
    bed.records(1).await;
    running.stops().await;
    bed.footage(2, &StreamSpec::default()).await.is_whole();
    assert!(!bed.segments(1).await.is_empty());
}

#[tokio::test]
async fn a_channel_that_moved_to_another_recorder_is_let_go_without_a_word() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    bed.assign(&bed.assignment(1, 1)).await;
    let running = bed.run();
    bed.records(1).await;
    let rows = bed.gaps(1).await;
    let theirs = bed.succeed(1, 2).await;
    eventually("the stream is let go", async || {
        bed.catalog.sessions(&target(1)) == 0
    })
    .await;
    let summary = running.stops().await;
    assert_eq!(bed.gaps(1).await, rows, "the successor writes its own rows");
    assert_eq!(
        summary.archived, summary.segments,
        "what was recorded is archived all the same"
    );
    let row = bed.tables.assignment(&channel(1)).await.unwrap().unwrap();
    assert_eq!(row.heartbeat, theirs, "the fence holds");
}

#[tokio::test]
async fn a_new_generation_of_the_same_task_starts_the_channel_anew() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    bed.assign(&bed.assignment(1, 1)).await;
    let running = bed.run();
    bed.records(1).await;
    sleep(Duration::from_secs(2)).await;
    bed.assign(&bed.assignment(1, 2)).await;
    bed.records(1).await;
    sleep(Duration::from_secs(2)).await;
    running.stops().await;
    let mut generations: Vec<u64> = bed
        .segments(1)
        .await
        .iter()
        .map(|segment| segment.generation.0)
        .collect();
    generations.dedup();
    assert_eq!(generations, [1, 2]);
    let holes = bed.footage(1, &StreamSpec::default()).await.holes();
    assert!(holes.iter().all(|hole| hole.frames <= 50), "{holes:?}");
}

#[tokio::test]
async fn a_recorder_that_nobody_wants_ends_itself() {
    let bed = Bed::with(&[]).await;
    let mut config = bed.config();
    config.orphan_grace = Duration::from_secs(1);
    let began = Instant::now();
    let summary = bed.run_with(config, bed.archive()).ends().await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(summary.segments, 0);
}

#[tokio::test]
async fn tables_that_do_not_answer_stop_nothing() {
    let bed = Bed::with(&[StreamSpec::default()]).await;
    bed.assign(&bed.assignment(1, 1)).await;
    let mut config = bed.config();
    config.orphan_grace = Duration::from_secs(1);
    let running = bed.run_with(config, bed.archive());
    bed.records(1).await;
    bed.tables_weather.set_trouble(100);
    let before = bed.segments(1).await.len();
    eventually("recording goes on", async || {
        bed.segments(1).await.len() >= before + 2
    })
    .await;
    bed.tables_weather.set_trouble(0);
    running.stops().await;
    bed.footage(1, &StreamSpec::default()).await.is_whole();
}

/// ECS kills a recorder 120 s after it told it to end, whether the table answers or not.
#[tokio::test]
async fn a_table_that_never_answers_holds_up_no_end() {
    const CHANNELS: u32 = 4;
    let bed = Bed::with(&vec![StreamSpec::default(); CHANNELS as usize]).await;
    for n in 1..=CHANNELS {
        bed.assign(&bed.assignment(n, 1)).await;
    }
    let mut config = bed.config();
    config.hand_over_within = Duration::from_secs(1);
    config.stop_deadline = Duration::from_secs(15);
    let (notice, within) = (config.notice.clone(), config.hand_over_within);
    let running = bed.run_with(config, bed.archive());
    for n in 1..=CHANNELS {
        bed.records(n).await;
    }
    bed.tables_weather.hold(true);
    sleep(Duration::from_secs(1)).await;
    let told_at = Timestamp::now();
    notice.cancel();
    let summary = running.ends().await;
    assert_eq!(summary.left, 0, "{summary:?}");
    // One answer that never came is waited for, perhaps; not one after the other.
    let ends_by = told_at + within + SignedDuration::from_secs(10);
    for n in 1..=CHANNELS {
        let recorded_to = bed.segments(n).await.last().unwrap().end();
        assert!(
            (told_at..ends_by).contains(&recorded_to),
            "told at {told_at}, recorded until {recorded_to}"
        );
    }
}
