//! Rows that are many, contended, or not what this program wrote: on Amazon's emulator.

use crate::tables::fresh;
use aws::dynamodb::{TableNames, Tables};
use aws::harness::Emulator;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::fakes::rows;
use domain::ports::{ChannelsTable, ControlTable, EpisodesTable, GapsTable, PortError, Put, TasksTable};
use domain::{Assignment, ChannelKey, ChannelRow, Gap, GapCause, Generation, Heartbeat, Revision, TaskArn};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

fn run(test: impl AsyncFnOnce(Tables, Client, TableNames)) {
    let emulator = Emulator::dynamodb_local();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let (tables, client, names) = fresh(emulator).await;
        test(tables, client, names).await;
    });
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}Z").parse().expect("a time")
}

fn key() -> ChannelKey {
    ChannelKey::new("CAM", "1")
}

fn channel(key: ChannelKey) -> ChannelRow {
    ChannelRow {
        device_name: "yard".into(),
        channel_name: "1".into(),
        ..rows::channel(key, at("09:00:00"))
    }
}

fn assignment(key: ChannelKey) -> Assignment {
    rows::assignment(key, "task-a", at("09:00:00"))
}

fn gap(start: Timestamp) -> Gap {
    Gap {
        key: key(),
        start,
        end: Some(start + SignedDuration::from_secs(5)),
        cause: GapCause::Network,
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// Sets one attribute of the row of [`key`], as a person or a newer program would.
async fn tamper(client: &Client, table: Option<&str>, attribute: &str, value: AttributeValue) {
    let call = client
        .update_item()
        .table_name(table.expect("it has a name"))
        .key("deviceIndex", text("CAM"))
        .key("channel", text("1"))
        .update_expression("SET #attribute = :value")
        .expression_attribute_names("#attribute", attribute)
        .expression_attribute_values(":value", value);
    call.send().await.expect("the emulator writes");
}

#[test]
fn lists_of_several_pages_are_whole_and_in_order() {
    const ROWS: usize = 300;
    run(async |tables, _, _| {
        // 9 KB a row: three pages of 1 MB, and then some.
        let long = "x".repeat(9_000);
        let keys: Vec<_> = (0..ROWS)
            .map(|row| ChannelKey::new(format!("{:03}", row / 3).as_str(), (row % 3).to_string().as_str()))
            .collect();
        let put = async |key: &ChannelKey| {
            let channel = ChannelRow {
                device_name: long.clone(),
                ..channel(key.clone())
            };
            let assignment = Assignment {
                media_url: long.clone(),
                ..assignment(key.clone())
            };
            assert_eq!(tables.put_channel(&channel, None).await.unwrap(), Put::Written);
            assert_eq!(
                tables.put_assignment(&assignment, None).await.unwrap(),
                Put::Written
            );
        };
        stream::iter(keys.iter().rev().map(put))
            .buffer_unordered(8)
            .collect::<Vec<()>>()
            .await;

        let channels = tables.list_channels().await.unwrap();
        assert!(channels.iter().map(|row| &row.key).eq(&keys));
        let assignments = tables.list_assignments().await.unwrap();
        assert!(assignments.iter().map(|row| &row.assignment.key).eq(&keys));
        let pulled = tables.assignments_of(&TaskArn::new("task-a")).await.unwrap();
        assert_eq!(pulled, assignments);
    });
}

#[test]
fn of_many_writers_none_loses_a_write() {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 10;
    run(async |tables, _, _| {
        let write = async |_| {
            let mut written = 0;
            while written < WRITES {
                let version = tables
                    .get_control("count")
                    .await
                    .unwrap()
                    .map(|item| item.version);
                let put = tables
                    .put_control("count", &json!(version), version)
                    .await
                    .unwrap();
                written += u64::from(put == Put::Written);
            }
        };
        stream::iter((0..WRITERS).map(write))
            .buffer_unordered(8)
            .collect::<Vec<()>>()
            .await;
        let item = tables.get_control("count").await.unwrap().unwrap();
        assert_eq!(item.version, WRITERS * WRITES);
    });
}

#[test]
fn attributes_of_others_survive_a_write() {
    run(async |tables, client, names| {
        let row = channel(key());
        assert_eq!(tables.put_channel(&row, None).await.unwrap(), Put::Written);
        tamper(&client, names.channels.as_deref(), "building", text("B")).await;
        assert_eq!(tables.list_channels().await.unwrap(), std::slice::from_ref(&row));

        let renamed = ChannelRow {
            device_name: "gate".into(),
            revision: Revision(2),
            ..row
        };
        let put = tables.put_channel(&renamed, Some(Revision(1))).await.unwrap();
        assert_eq!(put, Put::Written);
        let stored = client
            .get_item()
            .table_name(names.channels.unwrap())
            .key("deviceIndex", text("CAM"))
            .key("channel", text("1"))
            .send()
            .await
            .unwrap();
        assert_eq!(stored.item.unwrap()["building"], text("B"));
        assert_eq!(tables.list_channels().await.unwrap(), [renamed]);
    });
}

#[test]
fn a_channel_whose_row_does_not_read_stays_wanted_and_can_be_written_anew() {
    run(async |tables, client, names| {
        let row = channel(key());
        let other = channel(ChannelKey::new("CAM", "2"));
        for row in [&row, &other] {
            assert_eq!(tables.put_channel(row, None).await.unwrap(), Put::Written);
        }
        let newer = AttributeValue::M([("codec-of-2031".to_owned(), text("h268"))].into());
        for (attribute, value) in [
            ("settings", newer),
            ("state", text("asleep")),
            ("deviceName", AttributeValue::N("5".into())),
            ("listedChannels", AttributeValue::N("-1".into())),
        ] {
            tamper(&client, names.channels.as_deref(), attribute, value).await;
        }
        let read = ChannelRow {
            device_name: String::new(),
            listed_channels: 0,
            ..row.clone()
        };
        assert_eq!(tables.list_channels().await.unwrap(), [read, other.clone()]);

        let mended = ChannelRow {
            revision: Revision(2),
            ..row
        };
        let put = tables.put_channel(&mended, Some(Revision(1))).await.unwrap();
        assert_eq!(put, Put::Written);
        assert_eq!(tables.list_channels().await.unwrap(), [mended, other]);
    });
}

#[test]
fn an_assignment_that_does_not_read_stays_its_recorders() {
    run(async |tables, client, names| {
        let stored = assignment(key());
        assert_eq!(tables.put_assignment(&stored, None).await.unwrap(), Put::Written);
        let beat = Heartbeat {
            heartbeat_at: Some(at("10:00:00")),
            ..Heartbeat::default()
        };
        let task = TaskArn::new("task-a");
        for (attribute, value) in [
            ("settings", text("as usual")),
            ("deviceState", AttributeValue::Null(true)),
            ("lastSegmentAt", text("yesterday")),
        ] {
            tamper(&client, names.tasks.as_deref(), attribute, value).await;
        }
        let pulled = tables.assignments_of(&task).await.unwrap();
        assert_eq!(pulled.len(), 1);
        assert_eq!(pulled[0].assignment, stored);
        assert_eq!(pulled[0].heartbeat.last_segment_at, None);
        assert_eq!(tables.list_assignments().await.unwrap(), pulled);

        let put = tables
            .heartbeat(&key(), &task, Generation(1), &beat)
            .await
            .unwrap();
        assert_eq!(put, Put::Written);
        let row = tables.assignment(&key()).await.unwrap().unwrap();
        assert_eq!(row.heartbeat, beat);
    });
}

#[test]
fn a_gap_that_does_not_read_is_left_out_and_hides_no_other() {
    run(async |tables, client, names| {
        let stored = [gap(at("10:00:00")), gap(at("11:00:00"))];
        for gap in &stored {
            tables.put_gap(gap).await.unwrap();
        }
        for (start, end, cause) in [
            ("2026-11-21T10:30:00.000000000Z", "sometime", "network"),
            ("2026-11-21T10:31:00.000000000Z", "open", "cause-of-2031"),
            ("at noon", "open", "network"),
        ] {
            client
                .put_item()
                .table_name(names.gaps.as_deref().unwrap())
                .item("channelKey", text(&key().prefix()))
                .item("start", text(start))
                .item("end", text(end))
                .item("cause", text(cause))
                .send()
                .await
                .unwrap();
        }
        let listed = tables
            .list_gaps(&key(), Timestamp::MIN, Timestamp::MAX)
            .await
            .unwrap();
        assert_eq!(listed, stored);
    });
}

#[test]
fn a_memory_that_does_not_read_is_refused_and_never_an_absent_one() {
    run(async |tables, client, names| {
        for (version, value) in [
            (AttributeValue::N("1".into()), text("{")),
            (text("first"), text("{}")),
            (AttributeValue::N("1".into()), AttributeValue::Bool(true)),
        ] {
            client
                .put_item()
                .table_name(names.control.as_deref().unwrap())
                .item("name", text("poll"))
                .item("version", version)
                .item("value", value)
                .send()
                .await
                .unwrap();
            let read = tables.get_control("poll").await;
            assert!(matches!(read, Err(PortError::Refused { .. })), "{read:?}");
            let put = tables.put_control("poll", &json!({}), None).await.unwrap();
            assert_eq!(put, Put::Stale);
        }
    });
}

#[test]
fn an_episode_that_does_not_read_is_refused_and_never_left_unprotected() {
    run(async |tables, client, names| {
        let whole = rows::episode(key(), at("10:00:00"), Some(at("10:01:00")));
        assert_eq!(tables.put_episode(&whole, None).await.unwrap(), Put::Written);
        client
            .update_item()
            .table_name(names.episodes.unwrap())
            .key("channelKey", text(&key().prefix()))
            .key("start", text("2026-11-21T10:00:00.000000000Z"))
            .update_expression("SET expiresAt = :never")
            .expression_attribute_values(":never", text("never"))
            .send()
            .await
            .unwrap();
        let listed = tables.list_episodes(&key(), at("10:00:00"), at("11:00:00")).await;
        assert!(matches!(listed, Err(PortError::Refused { .. })), "{listed:?}");
    });
}
