//! What a caller is told when DynamoDB, or what stands in its place, does not do its part.

use crate::scripted::{Scripted, error, json};
use crate::tables::config;
use aws::dynamodb::Tables;
use aws::harness::tables_of;
use domain::ports::{ChannelsTable, ControlTable, EpisodesTable, GapsTable, PortError, Put, TasksTable};
use domain::{ChannelKey, Gap, GapCause, Generation, Heartbeat, Revision, TaskArn};
use jiff::Timestamp;
use serde_json::{Value, json as value};

/// As the programs have it.
const TRIES: u32 = 2;

fn tables(server: &Scripted) -> Tables {
    Tables::new(&config(&server.endpoint, TRIES), tables_of("scripted"))
}

fn key() -> ChannelKey {
    ChannelKey::new("CAM", "1")
}

/// What each kind of call says of itself, as one list: reads first, then writes.
async fn all_outcomes(tables: &Tables) -> Vec<(&'static str, Result<(), PortError>)> {
    let task = TaskArn::new("task-a");
    let generation = Generation(1);
    let beat = Heartbeat::default();
    let gap = Gap {
        key: key(),
        start: Timestamp::UNIX_EPOCH,
        end: None,
        cause: GapCause::Network,
    };
    vec![
        ("list channels", tables.list_channels().await.map(drop)),
        ("list assignments", tables.list_assignments().await.map(drop)),
        ("assignment", tables.assignment(&key()).await.map(drop)),
        ("pull", tables.assignments_of(&task).await.map(drop)),
        (
            "list gaps",
            tables
                .list_gaps(&key(), Timestamp::UNIX_EPOCH, Timestamp::MAX)
                .await
                .map(drop),
        ),
        (
            "list episodes",
            tables
                .list_episodes(&key(), Timestamp::UNIX_EPOCH, Timestamp::MAX)
                .await
                .map(drop),
        ),
        ("get control", tables.get_control("poll").await.map(drop)),
        ("put gap", tables.put_gap(&gap).await),
        (
            "put control",
            tables.put_control("poll", &Value::Null, None).await.map(drop),
        ),
        (
            "heartbeat",
            tables.heartbeat(&key(), &task, generation, &beat).await.map(drop),
        ),
        (
            "delete channel",
            tables.delete_channel(&key(), Revision(1)).await.map(drop),
        ),
        (
            "delete assignment",
            tables.delete_assignment(&key(), generation).await.map(drop),
        ),
    ]
}

#[tokio::test]
async fn a_busy_table_is_throttled_because_nothing_happened() {
    for code in [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
    ] {
        let server = Scripted::serve(move |_| error("400 Bad Request", code)).await;
        for (call, outcome) in all_outcomes(&tables(&server)).await {
            assert!(
                matches!(outcome, Err(PortError::Throttled { .. })),
                "{call}, {code}: {outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_did_nothing() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let tables = Tables::new(&config(&endpoint, TRIES), tables_of("refusing"));
    for (call, outcome) in all_outcomes(&tables).await {
        assert!(
            matches!(outcome, Err(PortError::Throttled { .. })),
            "{call}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_believed_is_never_taken_for_success() {
    for answer in [
        error("500 Internal Server Error", "InternalServerError"),
        error("503 Service Unavailable", "ServiceUnavailable"),
        json("200 OK", "<html>"),
        "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"Items\":[".to_owned(),
        "RTSP/1.0 200 OK\r\n\r\n".to_owned(),
        String::new(),
    ] {
        let told = answer.clone();
        let server = Scripted::serve(move |_| answer.clone()).await;
        for (call, outcome) in all_outcomes(&tables(&server)).await {
            assert!(
                matches!(outcome, Err(PortError::Unknown { .. })),
                "{call}, {told}: {outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_person_must_change_is_refused_and_never_taken_for_an_empty_table() {
    for code in [
        "AccessDeniedException",
        "ResourceNotFoundException",
        "ValidationException",
        "UnrecognizedClientException",
    ] {
        let server = Scripted::serve(move |_| error("400 Bad Request", code)).await;
        for (call, outcome) in all_outcomes(&tables(&server)).await {
            assert!(
                matches!(outcome, Err(PortError::Refused { .. })),
                "{call}, {code}: {outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_never_called_stale() {
    // As it really goes: the first try is applied and its answer lost, the second would find its own work.
    let script = |number| match number {
        0 => String::new(),
        _ => error("400 Bad Request", "ConditionalCheckFailedException"),
    };
    let server = Scripted::serve(script).await;
    let put = tables(&server).put_control("poll", &value!(1), None).await;
    assert!(matches!(put, Err(PortError::Unknown { .. })), "{put:?}");
    assert_eq!(server.operations(), ["UpdateItem"]);
}

#[tokio::test]
async fn a_read_or_a_delete_whose_answer_was_lost_is_tried_again() {
    let script = |number| match number {
        0 | 2 => String::new(),
        _ => json("200 OK", "{}"),
    };
    let server = Scripted::serve(script).await;
    let tables = tables(&server);
    assert_eq!(tables.get_control("poll").await.unwrap(), None);
    let deleted = tables.delete_channel(&key(), Revision(1)).await.unwrap();
    assert_eq!(deleted, Put::Written);
    assert_eq!(
        server.operations(),
        ["GetItem", "GetItem", "DeleteItem", "DeleteItem"]
    );
}

#[tokio::test]
async fn a_pull_is_one_query_and_a_heartbeat_one_write() {
    let server = Scripted::serve(|_| json("200 OK", r#"{"Items":[],"Count":0}"#)).await;
    let tables = tables(&server);
    let task = TaskArn::new("task-a");
    assert_eq!(tables.assignments_of(&task).await.unwrap(), []);
    let beat = Heartbeat {
        heartbeat_at: Some(Timestamp::UNIX_EPOCH),
        ..Heartbeat::default()
    };
    let put = tables.heartbeat(&key(), &task, Generation(1), &beat).await;
    assert_eq!(put.unwrap(), Put::Written);
    assert_eq!(server.operations(), ["Query", "UpdateItem"]);
}

/// A page without rows that says there is more after `channel`.
fn endless(channel: usize) -> String {
    json(
        "200 OK",
        &format!(
            r#"{{"Items":[],"Count":0,"LastEvaluatedKey":{{"deviceIndex":{{"S":"CAM"}},"channel":{{"S":"{channel}"}}}}}}"#
        ),
    )
}

#[tokio::test]
async fn a_page_that_leads_to_itself_is_never_a_short_list() {
    let server = Scripted::serve(|_| endless(1)).await;
    let tables = tables(&server);
    let scanned = tables.list_channels().await;
    assert!(matches!(scanned, Err(PortError::Unknown { .. })), "{scanned:?}");
    let pulled = tables.assignments_of(&TaskArn::new("task-a")).await;
    assert!(matches!(pulled, Err(PortError::Unknown { .. })), "{pulled:?}");
    assert_eq!(server.operations(), ["Scan", "Scan", "Query", "Query"]);
}

#[tokio::test]
async fn pages_without_end_are_given_up() {
    let server = Scripted::serve(endless).await;
    let listed = tables(&server).list_assignments().await;
    assert!(matches!(listed, Err(PortError::Refused { .. })), "{listed:?}");
    assert_eq!(server.operations().len(), 200);
}

#[tokio::test]
async fn a_table_that_is_not_of_channels_is_refused_by_its_name() {
    let page = r#"{"Items":[{"name":{"S":"poll"},"version":{"N":"1"}}],"Count":1}"#;
    let server = Scripted::serve(|_| json("200 OK", page)).await;
    let listed = tables(&server).list_channels().await.unwrap_err();
    assert!(matches!(listed, PortError::Refused { .. }), "{listed:?}");
    assert!(listed.chain().contains("`channels`"), "{}", listed.chain());
}
