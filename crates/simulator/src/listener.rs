//! What listens, and the reboot: the API and RTSP are closed, and open again on the same ports.

use crate::http;
use crate::port;
use crate::rtsp::{Catalog, RtspServer};
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
use tokio_util::sync::CancellationToken;

/// How long answers that are under way may take once a reboot has begun; what takes longer is cut.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// Connections waiting to be accepted.
const BACKLOG: u32 = 1024;

/// An HTTP port that listens.
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// The RTSP port of a gateway: listening, or kept during a reboot.
pub(crate) struct Rtsp {
    address: SocketAddr,
    catalog: Arc<Catalog>,
    server: Option<RtspServer>,
    reserved: Option<TcpSocket>,
}

/// Everything a gateway listens with.
pub(crate) struct Doors {
    pub(crate) api: Listener,
    pub(crate) tls: Option<RustlsConfig>,
    /// None when streams are only handed out.
    pub(crate) rtsp: Option<Rtsp>,
    pub(crate) reboot: Duration,
}

/// Why the API stopped listening.
enum Ended {
    Reboot,
    Stop,
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

    /// Serves until told to stop.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
        let handle = Handle::new();
        let serving = serve(self.socket, router, None, handle.clone());
        let _closes = Closes(handle);
        stop.run_until_cancelled(serving).await.unwrap_or(Ok(()))
    }
}

impl Rtsp {
    /// Opens the port.
    pub(crate) fn start(listen: SocketAddr, catalog: Arc<Catalog>) -> anyhow::Result<Self> {
        let server = RtspServer::start(listen, Arc::clone(&catalog))?;
        Ok(Self {
            address: server.addr(),
            catalog,
            server: Some(server),
            reserved: None,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    async fn close(&mut self) -> anyhow::Result<()> {
        if let Some(server) = self.server.take() {
            server.shutdown().await;
        }
        self.reserved = Some(port::reserve(self.address).await?);
        Ok(())
    }

    /// Listens again before the reservation ends, so that the port is ours all the time.
    fn reopen(&mut self) -> anyhow::Result<()> {
        self.server = Some(RtspServer::start(self.address, Arc::clone(&self.catalog))?);
        self.reserved = None;
        Ok(())
    }
}

impl Doors {
    /// Serves the gateway, with its reboots, until told to stop.
    pub(crate) async fn serve(mut self, shared: Arc<Shared>, stop: CancellationToken) -> anyhow::Result<()> {
        let address = self.api.address;
        let mut socket = self.api.socket;
        loop {
            let router = http::router(Arc::clone(&shared));
            match serve_until_reboot(socket, router, self.tls.clone(), &shared, &stop).await? {
                Ended::Stop => break,
                Ended::Reboot => {}
            }
            if let Some(rtsp) = &mut self.rtsp {
                rtsp.close().await?;
            }
            let reserved = port::reserve(address).await?;
            if stop
                .run_until_cancelled(tokio::time::sleep(self.reboot))
                .await
                .is_none()
            {
                break;
            }
            // The world first: whoever finds the port open finds the new port map applied.
            shared.with(World::end_reboot);
            let listener = reserved
                .listen(BACKLOG)
                .context("listening again after a reboot")?;
            socket = listener.into_std().context("preparing a listener")?;
            if let Some(rtsp) = &mut self.rtsp {
                rtsp.reopen()?;
            }
        }
        if let Some(server) = self.rtsp.and_then(|rtsp| rtsp.server) {
            server.shutdown().await;
        }
        Ok(())
    }
}

async fn serve_until_reboot(
    socket: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    shared: &Shared,
    stop: &CancellationToken,
) -> anyhow::Result<Ended> {
    let handle = Handle::new();
    let mut serving = Box::pin(serve(socket, router, tls, handle.clone()));
    let closes = Closes(handle);
    tokio::select! {
        failed = &mut serving => return failed.map(|()| Ended::Stop),
        () = stop.cancelled() => return Ok(Ended::Stop),
        () = shared.reboot_begun() => closes.0.graceful_shutdown(Some(LAST_ANSWERS)),
    }
    serving.await?;
    Ok(Ended::Reboot)
}

/// Closes a server and all its connections, however its serving ends.
struct Closes(Handle<SocketAddr>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.shutdown();
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
