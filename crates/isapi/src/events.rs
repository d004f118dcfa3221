//! The gateway's event stream: a `multipart/mixed` answer that never ends.
//!
//! An event only says "look now" and where; a stream that ends, goes silent or talks nonsense is an error and
//! its subscription is to be made anew, at the caller's pace. What was missed meanwhile, the next poll sees.

mod event;
mod listen;
mod split;

pub use event::{Event, EventKind};
pub use listen::{Listener, NoStream, RETRY_MAX};
pub use split::{Part, SplitError, Splitter};

use crate::call::Call;
use crate::client::Client;
use crate::error::IsapiError;
use crate::parse;
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt};
use jiff::SignedDuration;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Why there are no (more) events. Whatever it is, the subscription is over.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The subscription could not be asked for.
    #[error("cannot subscribe to events")]
    Call(#[from] IsapiError),
    /// The gateway refuses subscriptions (HTTP 403) until alarm forwarding is switched on.
    #[error("the gateway refuses subscriptions: alarm forwarding is off")]
    ForwardingOff(#[source] IsapiError),
    /// The answer is no event stream.
    #[error("the answer to the subscription is `{content_type}`, not multipart with a boundary")]
    NotMultipart {
        /// The answer's content type.
        content_type: String,
    },
    /// No whole event for too long, not even a heartbeat.
    #[error("the event stream was silent for {after:#}")]
    Silent {
        /// The longest silence borne.
        after: SignedDuration,
    },
    /// The gateway ended the stream.
    #[error("the event stream ended")]
    Ended,
    /// The connection broke.
    #[error("the event stream broke")]
    Broken(#[source] reqwest::Error),
    /// The stream is not what a multipart stream of JSON looks like.
    #[error("the event stream is malformed")]
    Malformed(#[from] SplitError),
}

/// The gateway's name of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionId(String);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A live subscription: a stream of events that ends after its first error. Dropping it closes the connection.
pub struct Subscription {
    id: Option<SubscriptionId>,
    events: BoxStream<'static, Result<Event, EventError>>,
}

impl Subscription {
    /// What to [unsubscribe](Client::unsubscribe); `None` when the gateway did not say.
    pub fn id(&self) -> Option<&SubscriptionId> {
        self.id.as_ref()
    }
}

impl Stream for Subscription {
    type Item = Result<Event, EventError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(context)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Subscribes to all events of all devices. Returns when the gateway has confirmed it.
    ///
    /// # Errors
    /// [`EventError`]; [`EventError::ForwardingOff`] needs a change on the gateway.
    pub async fn subscribe(&self) -> Result<Subscription, EventError> {
        let call = Call::post("/ISAPI/Event/notification/subscribeDeviceMgmt")
            .json(&json!({"SubscribeDeviceMgmt": {"eventMode": "all", "defenceMode": "all"}}));
        let opened = self.inner.open_endless(&call).await?;
        if !opened.response.status().is_success() {
            return Err(refusal(self.inner.close_in_time(&call, opened).await.err()));
        }
        let Some(boundary) = boundary(&opened.response) else {
            let content_type = content_type(&opened.response);
            // A refusal can come as an ordinary answer with HTTP 200.
            self.inner.close_in_time(&call, opened).await?;
            return Err(EventError::NotMultipart { content_type });
        };
        let splitter = Splitter::new(&boundary, self.inner.body_max_bytes);
        let mut parts = Parts {
            response: opened.response,
            splitter,
        };
        let first = timeout(self.inner.request_timeout, parts.next()).await;
        let first = first.map_err(|_| self.inner.timed_out(&call))??;
        let id = subscription_id(&first);
        // Without a confirmation the first part may be an event already, which must not be lost.
        let early = if id.is_none() { event::event(&first) } else { None };
        let events = events(parts, self.inner.event_silence_max);
        Ok(Subscription {
            id,
            events: stream::iter(early.map(Ok)).chain(events).boxed(),
        })
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// What any call may fail with.
    pub async fn unsubscribe(&self, id: &SubscriptionId) -> Result<(), IsapiError> {
        let call = Call::delete("/ISAPI/Event/notification/unSubscribeDeviceMgmt", id.to_string());
        self.inner.call(&call).await.map(drop)
    }
}

/// The answer's parts as their bytes arrive.
struct Parts {
    response: Response,
    splitter: Splitter,
}

impl Parts {
    /// The next JSON part. Safe to drop half-way.
    async fn next(&mut self) -> Result<Value, EventError> {
        loop {
            match self.splitter.next_part()? {
                Some(Part::Json(value)) => return Ok(value),
                Some(Part::End) => return Err(EventError::Ended),
                None => {}
            }
            match self
                .response
                .chunk()
                .await
                .map_err(|error| EventError::Broken(error.without_url()))?
            {
                Some(chunk) => self.splitter.push(&chunk),
                None => return Err(EventError::Ended),
            }
        }
    }
}

fn events(parts: Parts, silence_max: Duration) -> impl Stream<Item = Result<Event, EventError>> + Send {
    stream::unfold(Some(parts), move |parts| async move {
        let mut parts = parts?;
        match next_event(&mut parts, silence_max).await {
            Ok(event) => Some((Ok(event), Some(parts))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

async fn next_event(parts: &mut Parts, silence_max: Duration) -> Result<Event, EventError> {
    // Only whole events count as signs of life: a peer that drips bytes is as dead as a silent one.
    let deadline = Instant::now() + silence_max;
    loop {
        let part = timeout_at(deadline, parts.next()).await;
        let part = part.map_err(|_| EventError::Silent {
            after: SignedDuration::try_from(silence_max).unwrap_or(SignedDuration::MAX),
        })??;
        match event::event(&part) {
            Some(event) => return Ok(event),
            None => tracing::debug!("a part of the event stream is no event"),
        }
    }
}

fn refusal(error: Option<IsapiError>) -> EventError {
    match error {
        Some(error @ IsapiError::Refused { http_status: 403, .. }) => EventError::ForwardingOff(error),
        Some(error) => EventError::Call(error),
        None => EventError::Ended,
    }
}

/// The id in `SubscribeDeviceMgmtRsp`. Sources differ in the field's name, all of which end in `id`.
fn subscription_id(part: &Value) -> Option<SubscriptionId> {
    let fields = parse::object(part, "SubscribeDeviceMgmtRsp").ok()?;
    let named_id = fields
        .iter()
        .find(|(name, _)| name.to_ascii_lowercase().ends_with("id"));
    named_id
        .and_then(|(_, value)| parse::text(value))
        .map(SubscriptionId)
}

fn content_type(response: &Response) -> String {
    let value = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// The boundary of a multipart answer (RFC 2046 §5.1.1), which is at most 70 characters long.
fn boundary(response: &Response) -> Option<String> {
    let content_type = content_type(response);
    let mut fields = content_type.split(';').map(str::trim);
    let kind = fields.next()?.to_ascii_lowercase();
    let boundary = fields.find_map(|field| {
        let (name, value) = field.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches('"').to_owned())
    })?;
    (kind.starts_with("multipart/") && (1..=70).contains(&boundary.trim_start_matches('-').len()))
        .then_some(boundary)
}
