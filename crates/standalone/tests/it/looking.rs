//! What commands say of tables and an archive that they find, and of names that they do not.

use crate::support::rig::Rig;
use crate::support::shelf::Shelf;
use domain::fakes::rows;
use domain::ports::{ChannelsTable, ControlTable, EpisodesTable, GapsTable, Put, TasksTable};
use domain::task::Heartbeat;
use domain::{ChannelKey, Gap, GapCause, Generation, SegmentKey, TaskArn};
use jiff::{SignedDuration, Timestamp, Unit};
use local::Sqlite;
use serde_json::Value;
use simulator::scenario::{ChannelSpec, DeviceSpec};
use simulator::{ApiFault, Operation, Scenario, Simulator};
use std::process::Stdio;
use std::time::Duration;

fn key() -> ChannelKey {
    ChannelKey::new("A", "1")
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_secs(seconds)
}

/// A known channel whose recorder reported so long ago.
async fn record(tables: &Sqlite, reported_at: Timestamp) {
    let (task, started_at) = (TaskArn::new("local-1"), ago(3600));
    let put = tables.put_channel(&rows::channel(key(), started_at), None).await;
    assert_eq!(put.unwrap(), Put::Written);
    let assignment = rows::assignment(key(), task.clone(), started_at);
    assert_eq!(
        tables.put_assignment(&assignment, None).await.unwrap(),
        Put::Written
    );
    let heartbeat = Heartbeat {
        heartbeat_at: Some(reported_at),
        ..Heartbeat::default()
    };
    let put = tables.heartbeat(&key(), &task, Generation(1), &heartbeat).await;
    assert_eq!(put.unwrap(), Put::Written);
}

#[tokio::test]
async fn no_known_channel_is_no_good_news() {
    let shelf = Shelf::new().await;
    let status = shelf.run(&["status"]).await;
    assert!(
        !status.well && status.err.contains("has a poll succeeded?"),
        "{status:?}"
    );
    record(&shelf.tables, ago(1)).await;
    assert!(shelf.run(&["status"]).await.well);
}

#[tokio::test]
async fn a_hole_that_was_filled_was_not_lost() {
    let shelf = Shelf::new().await;
    record(&shelf.tables, ago(1)).await;
    // Names of segments have milliseconds, gaps are to the nanosecond.
    let start = ago(600).round(Unit::Second).unwrap();
    let end = start + SignedDuration::new(60, 999_999);
    let gap = Gap {
        key: key(),
        start,
        end: Some(end),
        cause: GapCause::Network,
    };
    shelf.tables.put_gap(&gap).await.unwrap();
    let lost = async || -> Value {
        let status: Value = serde_json::from_str(&shelf.say(&["status", "--json"]).await).unwrap();
        status["lostTodaySeconds"].clone()
    };
    let all = lost().await["A/1"].as_f64().unwrap();
    assert!((all - 60.0).abs() < 0.2, "{all}");
    let half = SignedDuration::from_secs(30);
    shelf.place(&SegmentKey::new(key(), start, half, Generation::BACKFILL));
    let left = lost().await["A/1"].as_f64().unwrap();
    assert!((left - 30.0).abs() < 0.2, "{left}");
    shelf.place(&SegmentKey::new(key(), start + half, half, Generation::BACKFILL));
    assert_eq!(lost().await.as_object().map(serde_json::Map::len), Some(0));
}

#[tokio::test]
async fn an_archive_that_cannot_be_read_hides_what_was_lost_and_nothing_else() {
    let shelf = Shelf::new().await;
    record(&shelf.tables, ago(1)).await;
    let gap = Gap {
        key: key(),
        start: ago(600),
        end: Some(ago(540)),
        cause: GapCause::Network,
    };
    shelf.tables.put_gap(&gap).await.unwrap();
    std::fs::rename(shelf.file("archive"), shelf.file("elsewhere")).unwrap();
    let status = shelf.run(&["status"]).await;
    assert!(status.well && status.err.contains("not known"), "{status:?}");
    assert!(
        status.out.contains("recording") && status.out.contains("nobody knows what was lost"),
        "{status:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_is_silent_when_the_dispatcher_calls_it_so_whatever_the_viewer_is_told() {
    let mut rig = Rig::start(
        Scenario::with_devices([]).api_only(),
        &["--pull-interval", "60s"],
        "",
    )
    .await;
    let state = rig.data().join("state.sqlite");
    rig.wait_until(
        "millrace run has said how often recorders report",
        Duration::from_secs(20),
        async || match Sqlite::open(&state).await {
            Ok(tables) => tables.get_control("silence").await.unwrap().is_some(),
            Err(_) => false,
        },
    )
    .await;
    rig.stop().await;
    record(&Sqlite::open(&state).await.unwrap(), ago(100)).await;
    let channel = rig.channel("A").await.unwrap();
    assert_eq!(channel["standing"]["is"], "recording", "{channel}");
    let status = rig.command("status").output().await.unwrap();
    assert!(status.status.success(), "{status:?}");
}

#[tokio::test]
async fn a_mistyped_channel_is_refused_and_leaves_nothing_behind() {
    let shelf = Shelf::new().await;
    record(&shelf.tables, ago(1)).await;
    let commands: [&[&str]; 5] = [
        &["segments", "A", "2"],
        &["timeline", "B", "1"],
        &["playlist", "B", "1", "--from", "1h"],
        &["export", "B", "1", "--from", "1h", "--to", "0s", "-o", "clip.mp4"],
        &[
            "episodes", "create", "B", "1", "--from", "1h", "--reason", "break-in",
        ],
    ];
    for command in commands {
        let said = shelf.run(command).await;
        assert!(
            !said.well && said.err.contains("there is no channel"),
            "{command:?}: {said:?}"
        );
    }
    let stranger = ChannelKey::new("B", "1");
    let episodes = shelf
        .tables
        .list_episodes(&stranger, Timestamp::MIN, Timestamp::MAX)
        .await;
    assert_eq!(episodes.unwrap(), []);

    shelf.say(&["segments", "A", "1"]).await;
    // A device that is gone for good still has its recordings.
    let segment = SegmentKey::new(
        stranger,
        ago(86400 * 9),
        SignedDuration::from_secs(30),
        Generation(1),
    );
    shelf.place(&segment);
    shelf.say(&["segments", "B", "1"]).await;
    shelf.say(&["timeline", "B", "1"]).await;
    shelf
        .say(&[
            "episodes", "create", "B", "1", "--from", "1h", "--reason", "break-in",
        ])
        .await;
}

#[tokio::test]
async fn files_that_are_there_are_refused_before_anything_is_looked_for() {
    let shelf = Shelf::new().await;
    for name in ["a.mp4.json", "a.m3u8", "a.jpg"] {
        std::fs::write(shelf.file(name), b"mine").unwrap();
    }
    let range = ["--from", "2h", "--to", "1h"];
    let commands: [&[&str]; 4] = [
        &["export", "A", "1", "-o", "a.mp4"],
        &["playlist", "A", "1", "-o", "a.m3u8"],
        &["playlist", "A", "1", "-o", "b.m3u8", "--master", "./a.m3u8"],
        &["playlist", "A", "1", "-o", "b.m3u8", "--master", "archive/m.m3u8"],
    ];
    for command in commands {
        let said = shelf.run(&[command, &range].concat()).await;
        let right = ["is there already", "in the same folder"];
        assert!(
            !said.well && right.iter().any(|why| said.err.contains(why)),
            "{command:?}: {said:?}"
        );
    }
    let one_folder = ["playlist", "A", "1", "-o", "b.m3u8", "--master", "./m.m3u8"];
    let said = shelf.run(&[&one_folder, &range[..]].concat()).await;
    assert!(said.err.contains("there is no channel"), "{said:?}");
    let preview = shelf
        .run(&[
            "episodes",
            "preview",
            "A",
            "1",
            "2026-11-21T08:00:00Z",
            "-o",
            "a.jpg",
        ])
        .await;
    assert!(preview.err.contains("is there already"), "{preview:?}");
}

#[tokio::test]
async fn a_reader_who_has_had_enough_of_json_is_no_failure() {
    let shelf = Shelf::new().await;
    record(&shelf.tables, ago(1)).await;
    for arguments in [
        &["status", "--json"][..],
        &["channels", "--json"],
        &["timeline", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = shelf.command(arguments[0]);
        let command = command.args(&arguments[1..]).stdout(Stdio::from(writer));
        let output = command.output().await.unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && err.is_empty(), "{arguments:?}: {err}");
    }
}

#[tokio::test]
async fn a_log_filter_that_no_recorder_would_start_with_is_refused() {
    let shelf = Shelf::new().await;
    let mut command = shelf.command("run");
    let command = command.env("MILLRACE_LOG", "info,retina=nonsense");
    let command = command
        .args(["--gateway-url", "http://127.0.0.1:9"])
        .env("MILLRACE_GATEWAY_PASSWORD", "x");
    let output = tokio::time::timeout(Duration::from_secs(20), command.kill_on_drop(true).output()).await;
    let output = output.expect("it does not run").unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && err.contains("MILLRACE_LOG"), "{err}");
}

#[tokio::test]
async fn a_poll_that_could_not_look_into_a_device_says_so_and_fails() {
    let devices = ["A", "B"].map(|name| DeviceSpec::camera(name, name).with_channels([ChannelSpec::new(1)]));
    let gateway = Simulator::start(Scenario::with_devices(devices).api_only())
        .await
        .unwrap();
    let fault = Operation::ApiFault {
        fault: ApiFault::Status { code: 500 },
        path: Some("streamMedia".to_owned()),
        calls: None,
    };
    gateway.control().apply(fault).unwrap();
    let shelf = Shelf::new().await;
    for arguments in [&["--dry-run"][..], &[]] {
        let mut command = shelf.command("poll");
        let command = command
            .args([
                "--gateway-url",
                &gateway.api_url(),
                "--gateway-username",
                gateway.username(),
            ])
            .env("MILLRACE_GATEWAY_PASSWORD", gateway.password())
            .args(arguments);
        let output = command.output().await.unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(
            !output.status.success() && out.contains("2 devices"),
            "{out}{err}"
        );
        assert!(
            err.contains("looking into A/1") && err.contains("looking into B/1"),
            "{out}{err}"
        );
    }
}
