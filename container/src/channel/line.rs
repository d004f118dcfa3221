//! The line to one camera: none, being connected, or playing.

use super::machine::Failure;
use crate::context::Context;
use crate::source::{Item, Source, gateway_of};
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::future::pending;
use std::sync::Arc;
use url::Url;

/// A channel's connection. There is never more than one.
pub(super) enum Line {
    Down,
    Connecting(BoxFuture<'static, Result<Source, Failure>>),
    Playing(Box<Source>),
}

/// What comes over the line.
pub(super) enum LineEvent {
    Connected,
    Item(Item),
    /// The attempt or the connection is over; the line is down.
    Failed(Failure),
}

impl Line {
    /// Begins an attempt at `url`.
    pub(super) fn connect(context: &Arc<Context>, url: String) -> Self {
        let context = Arc::clone(context);
        Self::Connecting(Box::pin(async move {
            let (url, gateway) = gateway_of(&url)?;
            context
                .gate
                .attempt(&gateway, attempt(&context, url, &gateway))
                .await
        }))
    }

    /// The next event; for ever pending while the line is down. Cancel-safe.
    pub(super) async fn next(&mut self) -> LineEvent {
        let result = match self {
            Self::Down => pending().await,
            Self::Connecting(attempt) => match attempt.await {
                Ok(source) => {
                    *self = Self::Playing(Box::new(source));
                    return LineEvent::Connected;
                }
                Err(failure) => Err(failure),
            },
            Self::Playing(source) => source.next().await,
        };
        match result {
            Ok(item) => LineEvent::Item(item),
            Err(failure) => {
                *self = Self::Down;
                LineEvent::Failed(failure)
            }
        }
    }

    /// RTP packets lost on this connection since the last time of asking.
    pub(super) fn take_lost_packets(&mut self) -> u64 {
        match self {
            Self::Down | Self::Connecting(_) => 0,
            Self::Playing(source) => source.take_lost_packets(),
        }
    }
}

/// Connects, unless another recorder has learned already that it is of no use, and says what it learned itself.
async fn attempt(context: &Context, url: Url, gateway: &str) -> Result<Source, Failure> {
    context.word.permits().await?;
    let connected = Source::connect(url, gateway, &context.credentials).await;
    let failure = connected.as_ref().err().map(|failure| failure.cause);
    context.word.tried(failure, Timestamp::now());
    connected
}
