//! One client's TCP connection: requests in, answers and media out.

use super::catalog::Catalog;
use super::exchange::{Exchange, SESSION_TIMEOUT};
use super::player::{LATE_MAX, Next};
use anyhow::{Context, ensure};
use bytes::{Buf, BytesMut};
use jiff::Timestamp;
use rtsp_types::{Message, ParseError};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// A message longer than this is not for us: requests have a few hundred bytes, receiver reports a hundred.
const MESSAGE_MAX: usize = 64 << 10;
/// Bytes read at once.
const READ_AT_ONCE: usize = 4 << 10;

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Onward {
    Continue,
    Close,
}

/// Serves a client until it leaves, misbehaves, or is cut.
///
/// # Errors
/// Why the connection was ended, unless the client or the catalog ended it.
pub(super) async fn serve(mut stream: TcpStream, catalog: Arc<Catalog>) -> anyhow::Result<()> {
    let mut open = catalog.open();
    let mut exchange = Exchange::new(catalog.clone());
    let (mut inbox, mut outbox) = (BytesMut::new(), BytesMut::new());
    let mut heard = Instant::now();
    loop {
        inbox.reserve(READ_AT_ONCE);
        let wake = wake(&exchange, &catalog, heard);
        tokio::select! {
            read = stream.read_buf(&mut inbox) => {
                if read.context("reading from the client")? == 0 {
                    return Ok(());
                }
            }
            () = changed(&mut exchange) => {}
            () = sleep_until(wake) => {}
            _ = open.wait_for(|open| !open) => return Ok(()),
        }
        // Whatever woke us: look at everything, each look is harmless when there is nothing to see.
        if take_messages(&mut inbox, &mut exchange, &mut outbox)? {
            heard = Instant::now();
        }
        ensure!(
            heard.elapsed() < SESSION_TIMEOUT,
            "the client has been silent for too long"
        );
        let onward = fill(&mut exchange, catalog.now(), &mut outbox)?;
        send(&mut stream, &mut outbox).await?;
        if onward == Onward::Close {
            stream.shutdown().await.context("closing the connection")?;
            return Ok(());
        }
    }
}

fn wake(exchange: &Exchange, catalog: &Catalog, heard: Instant) -> Instant {
    let silent = heard + SESSION_TIMEOUT;
    let due = exchange.session.as_ref().and_then(super::session::Session::wake);
    due.map_or(silent, |at| catalog.instant_at(at).min(silent))
}

async fn changed(exchange: &mut Exchange) {
    match &mut exchange.session {
        Some(session) => session.changed().await,
        None => std::future::pending().await,
    }
}

/// Answers all complete requests; whatever else a client sends (receiver reports, answers) only shows that it
/// lives. Returns whether there was anything.
fn take_messages(
    inbox: &mut BytesMut,
    exchange: &mut Exchange,
    outbox: &mut BytesMut,
) -> anyhow::Result<bool> {
    let mut any = false;
    while !inbox.is_empty() {
        let (message, length) = match Message::<Vec<u8>>::parse(&inbox[..]) {
            Ok(parsed) => parsed,
            Err(ParseError::Incomplete(_)) => break,
            Err(ParseError::Error) => anyhow::bail!("the client sent what is not RTSP"),
        };
        inbox.advance(length);
        any = true;
        match message {
            Message::Request(request) => exchange.answer(&request, outbox),
            Message::Response(_) | Message::Data(_) => {}
        }
    }
    ensure!(
        inbox.len() <= MESSAGE_MAX,
        "the client sent a message of more than {MESSAGE_MAX} bytes"
    );
    Ok(any)
}

fn fill(exchange: &mut Exchange, now: Timestamp, outbox: &mut BytesMut) -> anyhow::Result<Onward> {
    let Some(session) = &mut exchange.session else {
        return Ok(Onward::Continue);
    };
    Ok(match session.fill(now, outbox) {
        Some(Next::At(_)) => Onward::Continue,
        Some(Next::Finished) | None => Onward::Close,
        Some(Next::TooLate) => anyhow::bail!("the client does not read fast enough"),
    })
}

/// Sends all of it. A client that does not take it within [`LATE_MAX`] is given up.
async fn send(stream: &mut TcpStream, outbox: &mut BytesMut) -> anyhow::Result<()> {
    let all = stream.write_all_buf(outbox);
    timeout(LATE_MAX.unsigned_abs(), all)
        .await
        .context("the client does not read")?
        .context("writing to the client")
}
