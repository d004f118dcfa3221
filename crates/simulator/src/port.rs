//! Ports that are ours although nobody listens there.

use anyhow::Context;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpSocket;

/// How often a port that was just closed is tried again, every 10 ms: the kernel needs a moment.
const TRIES: u32 = 200;

/// Binds a port without listening, so that connections are refused and nobody else takes it meanwhile.
pub(crate) async fn reserve(address: SocketAddr) -> anyhow::Result<TcpSocket> {
    let mut tries_left = TRIES;
    loop {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
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
