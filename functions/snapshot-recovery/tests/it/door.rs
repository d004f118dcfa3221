//! Addresses that lead elsewhere: an instance's private address to the simulated gateway on it, the Elastic IP to the
//! instance that has it.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A listener that hands its connections on; it closes, connections and all, when this goes.
#[derive(Debug)]
pub(crate) struct Door {
    serving: JoinHandle<()>,
}

impl Door {
    /// Listens at `address` and asks `whither` for each connection; whoever it finds nobody for is hung up on.
    pub(crate) async fn open<W, F>(address: SocketAddr, whither: W) -> Self
    where
        W: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Option<SocketAddr>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let whither = Arc::new(whither);
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                let whither = Arc::clone(&whither);
                connections.spawn(async move {
                    let Some(address) = whither().await else { return };
                    if let Ok(mut to) = TcpStream::connect(address).await {
                        // Either side may break off at any time.
                        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        });
        Self { serving }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
