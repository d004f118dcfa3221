//! The event stream: events at once, silence and nonsense as errors, and no second chance after one.

use crate::support::{Scripted, Step, ok, reply};
use futures::StreamExt;
use isapi::IsapiError;
use isapi::events::{EventError, EventKind};
use std::time::Duration;
use tokio::time::timeout;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=MIME_boundary\r\n\r\n";
const CONFIRMATION: &str = r#"{"SubscribeDeviceMgmtRsp":{"id":"7"}}"#;
const HEARTBEAT: &str = r#"{"EventNotificationAlert":{"eventType":"heartBeat","eventState":"active"}}"#;
const ONLINE: &str = r#"{"EventNotificationAlert":{"eventType":"devStatusChanged","devIndex":"A"}}"#;

/// Longest wait for what should come at once; generous, for a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn part(json: &str) -> Step {
    let length = json.len();
    let text = format!(
        "--MIME_boundary\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
    );
    Step::Send(text.into_bytes())
}

/// How a stream goes on after its parts.
type Last = fn() -> Option<Step>;

/// A gateway that accepts a subscription, sends these parts, and then does this.
async fn gateway(parts: &'static [&str], last: Last) -> Scripted {
    Scripted::start(move |request| {
        assert_eq!(
            request.target,
            "/ISAPI/Event/notification/subscribeDeviceMgmt?format=json"
        );
        let head = Step::Send(HEAD.as_bytes().to_vec());
        let parts = parts
            .iter()
            .flat_map(|json| [part(json), Step::Send(b"\r\n".to_vec())]);
        std::iter::once(head).chain(parts).chain(last()).collect()
    })
    .await
}

#[tokio::test]
async fn an_event_arrives_when_it_is_complete_not_when_the_next_one_begins() {
    let gateway = gateway(&[CONFIRMATION, HEARTBEAT, ONLINE], || Some(Step::Hang)).await;
    let mut subscription = gateway.client(|_| {}).subscribe().await.unwrap();
    assert_eq!(subscription.id().unwrap().to_string(), "7");
    let mut next = async || {
        timeout(SOON, subscription.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    };
    assert_eq!(next().await.kind, EventKind::HeartBeat);
    let event = next().await;
    assert_eq!(
        (event.kind, event.device),
        (EventKind::DeviceStatusChanged, Some("A".into()))
    );
}

#[tokio::test]
async fn an_event_before_any_confirmation_is_not_lost() {
    let gateway = gateway(&[ONLINE], || Some(Step::Hang)).await;
    let mut subscription = gateway.client(|_| {}).subscribe().await.unwrap();
    assert_eq!(subscription.id(), None);
    let event = timeout(SOON, subscription.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(event.kind, EventKind::DeviceStatusChanged);
}

#[tokio::test]
async fn silence_is_an_error_even_when_bytes_trickle_and_it_ends_the_stream() {
    let gateway = Scripted::start(|_| {
        let trickle = (0..400).flat_map(|_| {
            [
                Step::Wait(Duration::from_millis(50)),
                Step::Send(b"\r\n".to_vec()),
            ]
        });
        let beginning = [Step::Send(HEAD.as_bytes().to_vec()), part(CONFIRMATION)];
        beginning.into_iter().chain(trickle).collect()
    })
    .await;
    let client = gateway.client(|config| config.event_silence_max = Duration::from_millis(300));
    let mut subscription = client.subscribe().await.unwrap();
    let error = timeout(SOON, subscription.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, EventError::Silent { .. }), "{error:?}");
    assert!(subscription.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_ends_breaks_or_talks_nonsense_says_so_once() {
    let closing = || Some(Step::Send(b"--MIME_boundary--\r\n".to_vec()));
    let nonsense = || Some(Step::Send(b"--MIME_boundary\r\n\r\n{not json}".to_vec()));
    let endless = || {
        Some(Step::Send(
            format!("--MIME_boundary\r\n\r\n{{\"a\":\"{}", "x".repeat(9000)).into_bytes(),
        ))
    };
    let lasts: [(Last, bool); 4] = [
        (|| None, false),
        (closing, false),
        (nonsense, true),
        (endless, true),
    ];
    for (last, malformed) in lasts {
        let gateway = gateway(&[CONFIRMATION, HEARTBEAT], last).await;
        let client = gateway.client(|config| config.body_max_bytes = 8000);
        let mut subscription = client.subscribe().await.unwrap();
        timeout(SOON, subscription.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let error = timeout(SOON, subscription.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap_err();
        assert_eq!(matches!(error, EventError::Malformed(_)), malformed, "{error:?}");
        assert_eq!(matches!(error, EventError::Ended), !malformed, "{error:?}");
        assert!(subscription.next().await.is_none());
    }
}

#[tokio::test]
async fn a_refused_subscription_says_what_to_change() {
    let forbidden = r#"{"ResponseStatus":{"statusCode":4,"subStatusCode":"notSupport"}}"#;
    let gateway = Scripted::start(|_| reply("403 Forbidden", &[], forbidden)).await;
    let error = gateway.client(|_| {}).subscribe().await.unwrap_err();
    assert!(matches!(error, EventError::ForwardingOff(_)), "{error:?}");

    let gateway = Scripted::start(|_| ok(r#"{"statusCode":2,"subStatusCode":"noMemory"}"#)).await;
    let error = gateway.client(|_| {}).subscribe().await.unwrap_err();
    assert!(
        matches!(error, EventError::Call(IsapiError::Busy { .. })),
        "{error:?}"
    );

    let gateway = Scripted::start(|_| ok("{}")).await;
    let error = gateway.client(|_| {}).subscribe().await.unwrap_err();
    assert!(matches!(error, EventError::NotMultipart { .. }), "{error:?}");
}

#[tokio::test]
async fn a_subscription_that_is_never_confirmed_is_a_time_out() {
    let gateway = gateway(&[], || Some(Step::Hang)).await;
    let client = gateway.client(|config| config.request_timeout = Duration::from_millis(300));
    let error = client.subscribe().await.unwrap_err();
    assert!(
        matches!(error, EventError::Call(IsapiError::TimedOut { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_live_subscription_takes_no_place_of_a_call() {
    let gateway = Scripted::start(|request| match request.method.as_str() {
        "POST" => vec![
            Step::Send(HEAD.as_bytes().to_vec()),
            part(CONFIRMATION),
            Step::Hang,
        ],
        _ => ok("{}"),
    })
    .await;
    let client = gateway.client(|config| config.concurrency_max = 1);
    let subscription = client.subscribe().await.unwrap();
    client.check_login().await.unwrap();
    client.unsubscribe(subscription.id().unwrap()).await.unwrap();
    let last = gateway.seen().pop().unwrap();
    assert_eq!(
        (last.method.as_str(), last.target.as_str()),
        (
            "DELETE",
            "/ISAPI/Event/notification/unSubscribeDeviceMgmt/7?format=json"
        )
    );
}
