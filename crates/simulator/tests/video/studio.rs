//! A running server with streams.

use crate::common::library;
use retina::client::Credentials;
use simulator::rtsp::{Catalog, RtspServer, StreamSpec};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use url::Url;

/// After so long, what has not happened will not happen: a busy machine may take much of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "simulated 1";

/// A server at a free port. It ends when it is dropped.
pub(crate) struct Studio {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) server: RtspServer,
}

impl Studio {
    pub(crate) fn open() -> Self {
        let catalog = Arc::new(Catalog::new(library(), USER, PASSWORD.into()));
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = RtspServer::start(listen, catalog.clone()).unwrap();
        Self { catalog, server }
    }

    /// A server with one stream.
    pub(crate) async fn showing(target: &str, spec: &StreamSpec) -> Self {
        let studio = Self::open();
        studio.catalog.publish(target, spec.clone()).await.unwrap();
        studio
    }

    pub(crate) fn url(&self, target: &str) -> Url {
        Url::parse(&format!("rtsp://{}{target}", self.server.addr())).unwrap()
    }

    /// The URL with user and password, for programs that want them there.
    pub(crate) fn url_with_login(&self, target: &str) -> String {
        let mut url = self.url(target);
        url.set_username(USER).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        url.into()
    }

    /// Waits until a stream has so many sessions that play.
    pub(crate) async fn sessions_become(&self, target: &str, wanted: usize) {
        let become_so = async {
            while self.catalog.sessions(target) != wanted {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, become_so)
            .await
            .expect("the sessions become what is wanted");
    }
}

pub(crate) fn login() -> Credentials {
    Credentials {
        username: USER.to_owned(),
        password: PASSWORD.to_owned(),
    }
}
