//! Alarms that a device sends to a host by itself: the `httpHosts` way, which excludes subscriptions.

use anyhow::{Context, bail};
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

/// Alarms that may wait for their hosts; what is more is lost, as on a camera.
pub(crate) const QUEUE_MAX: usize = 256;
/// How long a host may take for one alarm.
const PATIENCE: Duration = Duration::from_secs(5);
/// As much of an answer as is read: its status line.
const ANSWER_BYTES_MAX: u64 = 1024;

/// An alarm on its way.
#[derive(Debug, PartialEq)]
pub(crate) struct Alarm {
    /// Where it goes; `http` only.
    pub(crate) url: String,
    /// What it says.
    pub(crate) event: Value,
}

/// Sends alarms one after the other, for as long as there is someone to hand them over. A host that does
/// not take one is not asked again: devices do not repeat alarms.
pub(crate) async fn send_all(mut alarms: mpsc::Receiver<Alarm>) {
    while let Some(alarm) = alarms.recv().await {
        let sent = timeout(PATIENCE, send(&alarm)).await;
        if let Err(error) = sent.context("waiting for the host").flatten() {
            tracing::warn!(error = format!("{error:#}"), "an alarm was lost");
        }
    }
}

async fn send(alarm: &Alarm) -> anyhow::Result<()> {
    let url = Url::parse(&alarm.url).context("reading the alarm host's url")?;
    let (Some(host), "http") = (url.host_str(), url.scheme()) else {
        bail!("an alarm host must be an http url");
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let body = alarm.event.to_string();
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        url.path(),
        body.len(),
    );
    let mut stream = TcpStream::connect((host, port))
        .await
        .context("connecting to the alarm host")?;
    stream
        .write_all(request.as_bytes())
        .await
        .context("sending an alarm")?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await
        .context("reading the alarm host's answer")?;
    if !answer.starts_with(b"HTTP/1.1 2") {
        bail!("the alarm host did not accept the alarm");
    }
    Ok(())
}
