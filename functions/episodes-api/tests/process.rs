//! The API as Lambda runs it: its own process, emulated tables, events as API Gateway sends them.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use lambda::harness::{Cloud, Function};
use serde_json::{Value, json};

const CALLER: &str = "arn:aws:iam::111122223333:user/guard";

struct Api(Function);

impl Api {
    async fn start(cloud: &Cloud) -> Self {
        Self(Function::start(env!("CARGO_BIN_EXE_episodes-api"), &cloud.environment()).await)
    }

    /// The status and the body's JSON.
    async fn call(&self, method: &str, query: &str, body: &Value) -> (u64, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self
            .0
            .invoke(event(method, query, &body))
            .await
            .expect("an answer");
        let told = answer["body"].as_str().unwrap();
        let status = answer["statusCode"].as_u64().unwrap();
        let kind = if status < 400 {
            "application/json"
        } else {
            "application/problem+json"
        };
        assert_eq!(answer["headers"]["content-type"], kind);
        (status, serde_json::from_str(told).unwrap_or(Value::Null))
    }
}

/// As in "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway" (API Gateway Developer Guide), with IAM.
fn event(method: &str, query: &str, body: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/episodes", "rawQueryString": query,
        "headers": {"content-type": "application/json", "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "111122223333", "apiId": "api-id", "stage": "$default", "routeKey": "$default",
            "authorizer": {"iam": {"accessKey": "AKIA", "accountId": "111122223333", "userArn": CALLER}},
            "http": {"method": method, "path": "/episodes", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"},
            "requestId": "id", "time": "21/Nov/2026:08:00:00 +0000", "timeEpoch": 1_795_248_000_000_i64,
        },
        "body": body, "isBase64Encoded": false,
    })
}

fn wish(start: &str, client: &str) -> Value {
    json!({"device": "A", "channel": "1", "start": start, "end": "2026-11-21T09:00:00Z", "reason": "break-in",
        "labels": {"case": "4711"}, "clientId": client})
}

#[tokio::test]
async fn an_episode_is_made_once_changed_listed_and_deleted() {
    let cloud = Cloud::start().await;
    let api = Api::start(&cloud).await;
    let (status, made) = api.call("POST", "", &wish("2026-11-21T08:00:00Z", "t-1")).await;
    assert_eq!(
        (status, &made["clientId"], &made["labels"]),
        (201, &json!("t-1"), &json!({"case": "4711"}))
    );

    let place = "device=A&channel=1&start=2026-11-21T08:00:00Z";
    let longer = json!({"extendTo": "2026-11-21T10:00:00Z"});
    assert_eq!(api.call("PATCH", place, &longer).await.0, 200);
    let (status, again) = api.call("POST", "", &wish("2026-11-21T08:00:00Z", "t-1")).await;
    assert_eq!((status, &again["end"]), (200, &json!("2026-11-21T10:00:00Z")));
    let (status, other) = api.call("POST", "", &wish("2026-11-21T08:00:00Z", "t-2")).await;
    assert_eq!((status, &other["title"]), (409, &json!("Conflict")));

    let (status, problem) = api.call("PATCH", place, &longer).await;
    assert_eq!(
        (status, &problem["detail"]),
        (409, &json!("it reaches until 2026-11-21T10:00:00Z already"))
    );
    let (status, problem) = api
        .call("PATCH", place, &json!({"endAt": "2026-11-21T07:00:00Z"}))
        .await;
    assert_eq!((status, &problem["status"]), (422, &json!(422)));
    let expired = json!({"device": "A", "channel": "1", "start": "2020-01-01T00:00:00Z", "reason": "x", "expiresAt": "2020-02-01T00:00:00Z"});
    assert_eq!(api.call("POST", "", &expired).await.0, 422);

    let (status, listed) = api.call("GET", "device=A&channel=1", &Value::Null).await;
    assert_eq!(
        (status, &listed["episodes"][0]["revision"], &listed["next"]),
        (200, &json!(2), &Value::Null)
    );
    assert_eq!(api.call("DELETE", place, &Value::Null).await.0, 204);
    assert_eq!(api.call("DELETE", place, &Value::Null).await.0, 404);

    let events = api.0.events("episodes");
    assert!(
        events.iter().all(|event| event["report"]["caller"] == CALLER),
        "{events:?}"
    );
}

#[tokio::test]
async fn the_list_of_all_channels_comes_in_pages() {
    let cloud = Cloud::start().await;
    let api = Api::start(&cloud).await;
    for device in ["A", "B"] {
        cloud.want(device, Timestamp::UNIX_EPOCH).await;
        for hour in ["06", "07", "08"] {
            let mut body = wish(&format!("2026-11-21T{hour}:00:00Z"), "t");
            body["device"] = device.into();
            assert_eq!(api.call("POST", "", &body).await.0, 201);
        }
    }
    let mut starts = Vec::new();
    let mut query = "limit=2&from=2026-11-21T00:00:00Z".to_owned();
    for _ in 0..10 {
        let (status, page) = api.call("GET", &query, &Value::Null).await;
        assert_eq!(status, 200, "{page}");
        let rows = page["episodes"].as_array().unwrap();
        assert!(rows.len() <= 2);
        starts.extend(
            rows.iter()
                .map(|row| format!("{} {}", row["device"], row["start"])),
        );
        let Some(next) = page["next"].as_str() else { break };
        query = format!(
            "limit=2&from=2026-11-21T00:00:00Z&next={}",
            next.replace('/', "%2F")
        );
    }
    assert_eq!(starts.len(), 6, "{starts:?}");
    assert!(starts.is_sorted());
}

#[tokio::test]
async fn garbage_is_answered_and_a_table_that_is_away_asks_to_come_back() {
    let cloud = Cloud::start().await;
    let api = Api::start(&cloud).await;
    for garbage in [json!(null), json!([1]), json!({"rawPath": 5})] {
        let answer = api.0.invoke(garbage).await.expect("an answer");
        assert_eq!(answer["statusCode"], 404);
    }
    let answer = api.0.invoke(event("PUT", "", "")).await.unwrap();
    assert_eq!(
        (&answer["statusCode"], &answer["headers"]["allow"]),
        (&json!(405), &json!("POST, GET, PATCH, DELETE"))
    );
    assert_eq!(api.call("POST", "", &json!("x".repeat(70_000))).await.0, 413);

    let mut away = cloud.environment();
    away.push(("AWS_ENDPOINT_URL", "http://127.0.0.1:9".to_owned()));
    let api = Api(Function::start(env!("CARGO_BIN_EXE_episodes-api"), &away).await);
    let (status, problem) = api.call("POST", "", &wish("2026-11-21T08:00:00Z", "t")).await;
    assert_eq!(
        (status, &problem["detail"]),
        (503, &json!("the episodes are out of reach"))
    );
    assert!(
        api.0.log().contains("throttled while storing the episode"),
        "{}",
        api.0.log()
    );
}
