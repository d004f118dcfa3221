//! Listens, and gives every client a connection of its own.

use super::catalog::Catalog;
use super::connection;
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Connections served at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 4_096;
/// Connections the kernel holds for us until they are accepted.
const BACKLOG: u32 = 1_024;
/// Bytes the kernel holds for a client that does not read: a second of the largest stream. Left to itself it
/// would hold megabytes, so that a client could sleep for longer than any camera would bear.
const SEND_BUFFER: u32 = 256 << 10;
/// How long to wait after an accept that failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running server. Dropping it ends all connections; [`RtspServer::shutdown`] also waits for that.
#[derive(Debug)]
pub struct RtspServer {
    address: SocketAddr,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl RtspServer {
    /// Serves a catalog at an address; port 0 takes a free one. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub fn start(listen: SocketAddr, catalog: Arc<Catalog>) -> anyhow::Result<Self> {
        let listener = bind(listen).with_context(|| format!("listening for RTSP at {listen}"))?;
        let address = listener.local_addr().context("reading the listening address")?;
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let accepting = accept(listener, catalog, tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(accepting));
        Ok(Self {
            address,
            tasks,
            stop: stop.drop_guard(),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections and waits until the port is free.
    pub async fn shutdown(self) {
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match listen {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)
}

/// Accepts for as long as the server lives.
async fn accept(listener: TcpListener, catalog: Arc<Catalog>, tasks: TaskTracker, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let open = catalog.open();
    loop {
        let place = places
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an RTSP connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if !*open.borrow() {
            continue;
        }
        let serving = serve(stream, client, catalog.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            serving.await;
            drop(place);
        }));
    }
}

async fn serve(stream: TcpStream, client: SocketAddr, catalog: Arc<Catalog>) {
    // An access unit is one write: waiting to fill a segment would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%client, %error, "an RTSP connection keeps Nagle's algorithm");
    }
    if let Err(error) = connection::serve(stream, catalog).await {
        tracing::debug!(%client, error = format!("{error:#}"), "an RTSP connection ended");
    }
}
