//! Lambda's Runtime API, as far as a function uses it ("Using the Lambda runtime API for custom runtimes", AWS Lambda
//! Developer Guide).

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

/// What a function answered: its response, or its error.
pub type Answer = Result<Value, Value>;

/// One function's Runtime API on a port of its own.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    events: mpsc::UnboundedSender<Pending>,
}

#[derive(Debug)]
struct Pending {
    event: Value,
    limit: Duration,
    answer: oneshot::Sender<Answer>,
}

#[derive(Clone)]
struct Desk(Arc<Inner>);

struct Inner {
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Pending>>,
    under_way: Mutex<BTreeMap<String, oneshot::Sender<Answer>>>,
}

impl RuntimeApi {
    /// Serves on 127.0.0.1.
    pub async fn start() -> Self {
        let (events, queue) = mpsc::unbounded_channel();
        let desk = Desk(Arc::new(Inner {
            events: tokio::sync::Mutex::new(queue),
            under_way: Mutex::default(),
        }));
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(desk);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, events }
    }

    /// What `AWS_LAMBDA_RUNTIME_API` is to be.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Hands the function an event, to be handled within `limit`, and waits for its answer.
    ///
    /// # Panics
    /// The function gave none: it ended, or took far longer than it may.
    pub async fn invoke(&self, event: Value, limit: Duration) -> Answer {
        let (answer, answered) = oneshot::channel();
        let pending = Pending { event, limit, answer };
        self.events
            .send(pending)
            .expect("the server lives as long as this");
        let patience = limit + Duration::from_secs(30);
        let answer = tokio::time::timeout(patience, answered).await;
        answer.expect("the function answers").expect("an answer is kept")
    }
}

impl Desk {
    fn under_way(&self) -> MutexGuard<'_, BTreeMap<String, oneshot::Sender<Answer>>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, id: &str, answer: Answer) -> StatusCode {
        match self.under_way().remove(id) {
            Some(waiting) => {
                // A test that gave up waiting has failed already.
                let _ = waiting.send(answer);
                StatusCode::ACCEPTED
            }
            None => StatusCode::BAD_REQUEST,
        }
    }
}

async fn next(State(desk): State<Desk>) -> (HeaderMap, String) {
    let pending = desk.0.events.lock().await.recv().await;
    let Some(Pending { event, limit, answer }) = pending else {
        // The test is over; the function is ended with it.
        return std::future::pending().await;
    };
    let now = Timestamp::now();
    let deadline = now.as_millisecond() + i64::try_from(limit.as_millis()).unwrap_or(i64::MAX / 2);
    let id = format!("request-{}", now.as_nanosecond());
    desk.under_way().insert(id.clone(), answer);
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:test".to_owned(),
        ),
    ];
    let headers = headers.into_iter().map(|(name, value)| {
        let value = HeaderValue::try_from(value).expect("it is ASCII");
        (HeaderName::from_static(name), value)
    });
    (headers.collect(), event.to_string())
}

async fn response(State(desk): State<Desk>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    desk.answer(&id, Ok(json(&body)))
}

async fn error(State(desk): State<Desk>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    desk.answer(&id, Err(json(&body)))
}

fn json(body: &Bytes) -> Value {
    serde_json::from_slice(body).expect("a function answers in JSON")
}
