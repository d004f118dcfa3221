//! The API on the wire: bodies read with a bound, deliveries made as late and as broken as the world says.

use crate::api::{self, Answer, Delivery, Parcel, REQUEST_BYTES_MAX, Request};
use crate::hub::{BOUNDARY, Subscriber};
use crate::shared::Shared;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use axum::response::Response;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The length of one chunk of padding.
const PADDING_CHUNK_BYTES: u64 = 64 * 1024;

/// The whole API; the calls are told apart by [`api::receive`].
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(serve).with_state(shared)
}

async fn serve(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await;
    let (delivery, subscriber) = receive(&shared, &head, body.ok().as_ref());
    if delivery.names_stream {
        shared.settle().await;
    }
    tokio::time::sleep(delivery.delay).await;
    match delivery.parcel {
        Parcel::Answer(mut answer) => {
            let body = Body::from(std::mem::take(&mut answer.body));
            response(&answer, body)
        }
        Parcel::Padded(mut answer, bytes) => {
            let body = padded(std::mem::take(&mut answer.body), bytes);
            response(&answer, Body::from_stream(body))
        }
        Parcel::Events(_id) => event_stream(subscriber),
        Parcel::Hang => std::future::pending().await,
        Parcel::Reset => Response::new(broken_body()),
    }
}

/// Lets the world answer, and opens the queue of a new subscription before the next event can happen.
fn receive(shared: &Arc<Shared>, head: &Parts, body: Option<&Bytes>) -> (Delivery, Option<Subscriber>) {
    let uri = head
        .uri
        .path_and_query()
        .map_or_else(|| head.uri.path(), |uri| uri.as_str());
    let authorization = head.headers.get(header::AUTHORIZATION);
    let request = Request {
        method: head.method.as_str(),
        uri,
        authorization: authorization.map(|value| value.to_str().unwrap_or("not text")),
        body: body.map_or(&[][..], |body| body),
    };
    shared.with(|world| {
        if body.is_none() {
            return (api::refuse_large(world, &request), None);
        }
        let delivery = api::receive(world, &request, Timestamp::now());
        let Parcel::Events(id) = delivery.parcel else {
            return (delivery, None);
        };
        let heartbeat = Duration::from_secs_f64(world.gateway.heartbeat_seconds);
        let lengths = world.gateway.event_part_lengths;
        (delivery, Some(Subscriber::new(shared, id, lengths, heartbeat)))
    })
}

/// Status and headers of an answer around a body.
fn response(answer: &Answer, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(answer.content_type),
    );
    for challenge in &answer.challenges {
        let value = HeaderValue::from_str(challenge).expect("a challenge is made of printable ASCII");
        headers.append(header::WWW_AUTHENTICATE, value);
    }
    response
}

fn event_stream(subscriber: Option<Subscriber>) -> Response {
    let Some(subscriber) = subscriber else {
        return Response::new(broken_body());
    };
    let mut response = Response::new(Body::from_stream(subscriber.into_body()));
    let kind = HeaderValue::from_str(&format!("multipart/mixed; boundary={BOUNDARY}"))
        .expect("the boundary is printable ASCII");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A body that fails before its first byte, upon which the server closes the connection.
fn broken_body() -> Body {
    Body::from_stream(stream::once(async {
        Err::<Bytes, _>(io::Error::other("the connection is cut"))
    }))
}

/// The body and then spaces, which JSON allows, until `bytes` are reached.
fn padded(body: Vec<u8>, bytes: u64) -> impl futures::Stream<Item = io::Result<Bytes>> {
    let missing = bytes.saturating_sub(body.len() as u64);
    let chunk = Bytes::from(vec![
        b' ';
        usize::try_from(PADDING_CHUNK_BYTES).unwrap_or_default()
    ]);
    let padding = stream::unfold(missing, move |missing| {
        let length = missing.min(PADDING_CHUNK_BYTES);
        let piece = chunk.slice(..usize::try_from(length).unwrap_or_default());
        async move { (length > 0).then_some((Ok(piece), missing - length)) }
    });
    stream::once(async { Ok(Bytes::from(body)) }).chain(padding)
}
