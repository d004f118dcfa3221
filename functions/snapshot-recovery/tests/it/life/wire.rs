//! The wire between the function and AWS, which can be cut at the very moment something was changed: the function
//! never hears that it was.

use crate::stack::SETUP;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Counts changes on the way to all emulators it leads to. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Changes until it is cut; 0 = it is not going to be.
    left: AtomicU32,
    /// What setup remembers does not count.
    sparing_setup: AtomicBool,
    cut: Notify,
}

/// One emulator behind the wire.
#[derive(Clone)]
struct Line {
    wire: Wire,
    emulator: String,
    client: reqwest::Client,
}

impl Wire {
    /// An address that leads to the emulator at `endpoint`.
    pub(crate) async fn lead_to(&self, endpoint: &str) -> String {
        // The client asks for one, though nothing here is encrypted; whoever was faster installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let line = Line {
            wire: self.clone(),
            emulator: endpoint.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let routes = Router::new().fallback(pass).with_state(line);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}")
    }

    /// It will be cut at the change of this number from now; 0: never. When it spares setup, what that remembers is no
    /// change.
    pub(crate) fn cut_after(&self, changes: u32, sparing_setup: bool) {
        self.0.sparing_setup.store(sparing_setup, Ordering::SeqCst);
        self.0.left.store(changes, Ordering::SeqCst);
    }

    /// Waits until it is cut.
    pub(crate) async fn is_cut(&self) {
        self.0.cut.notified().await;
    }

    /// Whether this change is the last to pass.
    fn counts_down(&self) -> bool {
        let left = self
            .0
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left == Ok(1)
    }
}

async fn pass(
    State(line): State<Line>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let url = format!("{}{uri}", line.emulator);
    let is_spared = line.wire.0.sparing_setup.load(Ordering::SeqCst) && is_about_setup(&body);
    let is_change = is_change(&headers, &body) && !is_spared;
    let mut request = line.client.request(method, url).body(body);
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
        request = request.header(name, value);
    }
    let answer = request.send().await.expect("the emulator answers");
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.expect("the emulator answers whole");
    if is_change && line.wire.counts_down() {
        line.wire.0.cut.notify_one();
        return std::future::pending().await;
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status.as_u16()).expect("it is a status");
    for (name, value) in headers.iter().filter(|(name, _)| *name != "transfer-encoding") {
        response.headers_mut().append(name, value.clone());
    }
    response
}

/// DynamoDB names its operation in a header, EC2 in a form.
fn is_change(headers: &HeaderMap, body: &[u8]) -> bool {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    if let Some(target) = target {
        return ["PutItem", "UpdateItem", "DeleteItem"]
            .iter()
            .any(|change| target.ends_with(change));
    }
    let form = String::from_utf8_lossy(body);
    form.split('&').any(|field| {
        field
            .strip_prefix("Action=")
            .is_some_and(|action| !action.starts_with("Describe"))
    })
}

/// Whether a request to DynamoDB is about the control item of that name.
fn is_about_setup(body: &[u8]) -> bool {
    let request = serde_json::from_slice::<Value>(body).unwrap_or_default();
    request["Key"]["name"]["S"] == SETUP || request["Item"]["name"]["S"] == SETUP
}
