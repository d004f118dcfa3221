//! What of S3 an upload needs, over TLS as there: every object is taken, and forgotten.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A running store; it ends with the program.
pub(crate) struct Store {
    pub(crate) url: String,
    /// What clients are to trust, PEM.
    pub(crate) certificate: PathBuf,
    taken: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

impl Store {
    /// Starts one on 127.0.0.1.
    pub(crate) fn start() -> Self {
        let (made, tls) = simulator::self_signed().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("store.pem");
        std::fs::write(&certificate, made.pem).unwrap();
        let socket = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        socket.set_nonblocking(true).unwrap();
        let url = format!("https://localhost:{}", socket.local_addr().unwrap().port());
        let taken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&taken);
        let service = Router::new().fallback(move |request| answer(request, Arc::clone(&count)));
        let server = axum_server::from_tcp_rustls(socket, tls).unwrap();
        tokio::spawn(server.serve(service.into_make_service()));
        Self {
            url,
            certificate,
            taken,
            _folder: folder,
        }
    }

    /// How many objects it has taken.
    pub(crate) fn objects(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

async fn answer(request: Request<Body>, taken: Arc<AtomicU64>) -> Response {
    if request.method() == Method::PUT {
        let mut body = request.into_body().into_data_stream();
        while let Some(chunk) = body.next().await {
            if chunk.is_err() {
                return StatusCode::BAD_REQUEST.into_response();
            }
        }
        taken.fetch_add(1, Ordering::Relaxed);
        return StatusCode::OK.into_response();
    }
    if request.method() == Method::GET {
        let nothing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        return ([(header::CONTENT_TYPE, "application/xml")], nothing).into_response();
    }
    StatusCode::NOT_FOUND.into_response()
}
