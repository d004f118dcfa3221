//! The wire between the deployment and the emulator, with a counter on it.
//!
//! ```text
//!   functions, containers ──▶ proxy, bridge address:P ──▶ emulator, 127.0.0.1:P
//! ```
//!
//! The port is the same on both sides: MiniStack tells containers to call its own port on the host's bridge address,
//! where the proxy listens.

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use jiff::Timestamp;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The largest request or answer, a segment; longer ones fail.
const BODY_MAX: usize = 256 * 1024 * 1024;

/// Of a request that is kept to be searched for secrets; longer ones are segments.
const KEPT_MAX: usize = 256 * 1024;

/// One request the deployment made of AWS.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) at: Timestamp,
    /// The access key it is signed with.
    pub(crate) key: String,
    /// Service and operation, such as `dynamodb Query`.
    pub(crate) name: String,
    pub(crate) status: u16,
    /// Line, headers and body as sent; a long body is left out.
    pub(crate) request: String,
}

impl Call {
    /// Whether it changes something, apart from logs and metrics.
    pub(crate) fn writes(&self) -> bool {
        let reads = [
            "Get",
            "List",
            "Describe",
            "Query",
            "Scan",
            "Batch Get",
            "BatchGet",
            "Head",
        ];
        let operation = self.name.split(' ').nth(1).unwrap_or_default();
        !reads.iter().any(|verb| operation.starts_with(verb))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {}",
            self.at, self.key, self.name, self.status, self.request
        )
    }
}

/// A running proxy; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    calls: Arc<Mutex<Vec<Call>>>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Wire {
    http: reqwest::Client,
    emulator: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Proxy {
    /// Listens on `address` and hands everything to `emulator`, a base URL.
    pub(crate) async fn start(address: SocketAddr, emulator: &str) -> anyhow::Result<Self> {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let wire = Wire {
            http: reqwest::Client::builder()
                .build()
                .context("making an HTTP client")?,
            emulator: emulator.to_owned(),
            calls: Arc::clone(&calls),
        };
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("listening on {address}"))?;
        let app = Router::new().fallback(forward).with_state(Arc::new(wire));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { calls, serving })
    }

    /// All calls since a moment, in their order.
    pub(crate) fn since(&self, moment: Timestamp) -> Vec<Call> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().filter(|call| call.at >= moment).cloned().collect()
    }
}

async fn forward(State(wire): State<Arc<Wire>>, request: Request) -> Response {
    match pass(&wire, request).await {
        Ok(answer) => answer,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

async fn pass(wire: &Wire, request: Request) -> anyhow::Result<Response> {
    let at = Timestamp::now();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX).await.context("reading a request")?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let forwarded = wire
        .http
        .request(parts.method.clone(), format!("{}{path}", wire.emulator))
        .headers(end_to_end(&parts.headers))
        .body(body.clone());
    let answer = forwarded.send().await.context("reaching the emulator")?;
    let status = answer.status();
    if let Some(name) = name(parts.method.as_str(), path, &parts.headers, &body) {
        let kept = if body.len() > KEPT_MAX { &[][..] } else { &body };
        let request = format!(
            "{} {path}\n{:?}\n{}",
            parts.method,
            parts.headers,
            String::from_utf8_lossy(kept)
        );
        let call = Call {
            at,
            key: key(&parts.headers).unwrap_or_default().to_owned(),
            name,
            status: status.as_u16(),
            request,
        };
        wire.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
    }
    let headers = end_to_end(answer.headers());
    let mut response = Response::new(Body::from(answer.bytes().await.context("reading an answer")?));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Without the headers that belong to one connection only, or that the next hop writes itself.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
    ] {
        kept.remove(name);
    }
    kept
}

fn key(headers: &HeaderMap) -> Option<&str> {
    credential(headers)?.split('/').next()
}

/// `KEY/DATE/REGION/SERVICE/aws4_request` of a signature.
fn credential(headers: &HeaderMap) -> Option<&str> {
    let signature = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    signature.split("Credential=").nth(1)?.split(',').next()
}

/// Service and operation; none for what is not signed: metadata, credentials.
fn name(method: &str, path: &str, headers: &HeaderMap, body: &Bytes) -> Option<String> {
    let service = credential(headers)?.split('/').nth(3)?;
    if let Some(target) = headers.get("x-amz-target") {
        let operation = target.to_str().ok()?.rsplit('.').next()?;
        return Some(format!("{service} {operation}"));
    }
    if service == "s3" {
        return Some(format!("s3 {}", s3_operation(method, path)));
    }
    let form = url::form_urlencoded::parse(body);
    let action = form.into_iter().find(|(field, _)| field == "Action");
    action.map(|(_, operation)| format!("{service} {operation}"))
}

fn s3_operation(method: &str, path: &str) -> &'static str {
    match method {
        "GET" if path.contains("list-type=") => "ListObjectsV2",
        "GET" => "GetObject",
        "HEAD" => "HeadObject",
        "PUT" => "PutObject",
        "DELETE" => "DeleteObject",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(service: &str, target: Option<&str>) -> HeaderMap {
        let scope =
            format!("AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/{service}/aws4_request, Signature=0");
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, scope.parse().unwrap());
        if let Some(target) = target {
            headers.insert("x-amz-target", target.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_call_is_named_by_service_and_operation_whatever_its_protocol() {
        let json = signed("dynamodb", Some("DynamoDB_20120810.Query"));
        assert_eq!(name("POST", "/", &json, &Bytes::new()).unwrap(), "dynamodb Query");
        let query = Bytes::from_static(b"Version=2010-03-31&Action=Publish&Message=x");
        assert_eq!(
            name("POST", "/", &signed("sns", None), &query).unwrap(),
            "sns Publish"
        );
        let list = "/bucket?list-type=2&prefix=a";
        assert_eq!(
            name("GET", list, &signed("s3", None), &Bytes::new()).unwrap(),
            "s3 ListObjectsV2"
        );
    }

    #[test]
    fn what_is_not_signed_is_no_call() {
        assert_eq!(
            name("GET", "/v4/token/task", &HeaderMap::new(), &Bytes::new()),
            None
        );
    }

    #[test]
    fn only_calls_that_change_something_are_writes() {
        let call = |name: &str| Call {
            at: Timestamp::UNIX_EPOCH,
            key: String::new(),
            name: name.to_owned(),
            status: 200,
            request: String::new(),
        };
        for read in [
            "dynamodb Scan",
            "ecs DescribeTasks",
            "ssm GetParameter",
            "s3 ListObjectsV2",
        ] {
            assert!(!call(read).writes(), "{read}");
        }
        for write in [
            "dynamodb UpdateItem",
            "ecs RunTask",
            "sns Publish",
            "s3 PutObject",
            "s3 Other",
        ] {
            assert!(call(write).writes(), "{write}");
        }
    }
}
