//! The listening API: open, closed for the length of a reboot, open again on the same port.

use crate::http;
use crate::shared::Shared;
use crate::world::World;
use anyhow::Context;
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;

/// How long answers that are under way may take once a reboot has begun; what takes longer is cut.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// Connections waiting to be accepted.
const BACKLOG: u32 = 1024;
/// How often a port that was just closed is tried again, every 10 ms: the kernel needs a moment.
const RESERVE_TRIES: u32 = 200;

/// A port that listens.
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Closes a server and all its connections when its task ends, however it ends.
struct Closes(Handle<SocketAddr>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

impl Listener {
    /// Opens a port; 0 takes any free one.
    pub(crate) fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
        socket.set_nonblocking(true).context("preparing a listener")?;
        let address = socket.local_addr().context("asking for the port")?;
        Ok(Self { socket, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves without reboots, until the task is dropped.
    pub(crate) async fn serve(self, router: Router) -> anyhow::Result<()> {
        let handle = Handle::new();
        let _closes = Closes(handle.clone());
        serve(self.socket, router, None, handle).await
    }

    /// Serves the API, with its reboots, until the task is dropped.
    pub(crate) async fn serve_api(
        self,
        shared: Arc<Shared>,
        tls: Option<RustlsConfig>,
        reboot: Duration,
    ) -> anyhow::Result<()> {
        let mut socket = self.socket;
        loop {
            let handle = Handle::new();
            let _closes = Closes(handle.clone());
            let router = http::router(Arc::clone(&shared));
            let mut serving = Box::pin(serve(socket, router, tls.clone(), handle.clone()));
            tokio::select! {
                ended = &mut serving => return ended,
                () = shared.reboot_begun() => handle.graceful_shutdown(Some(LAST_ANSWERS)),
            }
            serving.await?;
            socket = reopen_after(self.address, reboot).await?;
            shared.with(World::end_reboot);
        }
    }
}

async fn serve(
    socket: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> anyhow::Result<()> {
    let service = router.into_make_service();
    match tls {
        Some(tls) => {
            axum_server::from_tcp_rustls(socket, tls)?
                .handle(handle)
                .serve(service)
                .await
        }
        None => axum_server::from_tcp(socket)?.handle(handle).serve(service).await,
    }
    .context("serving HTTP")
}

/// Keeps a port for ourselves without listening, so that connections are refused and nobody else takes it.
async fn reopen_after(address: SocketAddr, pause: Duration) -> anyhow::Result<TcpListener> {
    let reserved = reserve(address).await?;
    tokio::time::sleep(pause).await;
    let listener = reserved
        .listen(BACKLOG)
        .context("listening again after a reboot")?;
    listener.into_std().context("preparing a listener")
}

async fn reserve(address: SocketAddr) -> anyhow::Result<TcpSocket> {
    let mut tries_left = RESERVE_TRIES;
    loop {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }
        .context("making a socket")?;
        socket.set_reuseaddr(true).context("preparing a socket")?;
        match socket.bind(address) {
            Ok(()) => return Ok(socket),
            Err(error) if tries_left == 0 => {
                return Err(error).with_context(|| format!("reserving {address} during a reboot"));
            }
            Err(_busy) => tries_left -= 1,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
