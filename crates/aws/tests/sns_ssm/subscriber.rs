//! A subscriber by HTTP: what SNS posts to it, tests read.

use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Longer than any post takes to arrive, also on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Subscriber {
    pub(crate) endpoint: String,
    posts: mpsc::UnboundedReceiver<Value>,
}

impl Subscriber {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (sender, posts) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let body = receive(connection).await.expect("SNS posts");
                if sender.send(body).is_err() {
                    return;
                }
            }
        });
        Self {
            endpoint: format!("http://{address}/"),
            posts,
        }
    }

    /// The next post of this type.
    pub(crate) async fn next(&mut self, of_type: &str) -> Value {
        let find = async {
            loop {
                let post = self.posts.recv().await.expect("the server runs");
                if post["Type"] == of_type {
                    return post;
                }
            }
        };
        tokio::time::timeout(PATIENCE, find).await.expect("SNS delivers")
    }
}

/// Reads one request, thanks for it, and returns its body.
async fn receive(mut connection: TcpStream) -> std::io::Result<Value> {
    let mut request = Vec::new();
    loop {
        if let Some(body) = whole_body(&request) {
            let body = serde_json::from_slice(body)?;
            let thanks = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            connection.write_all(thanks).await?;
            return Ok(body);
        }
        if connection.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn whole_body(request: &[u8]) -> Option<&[u8]> {
    let end = request.windows(4).position(|end| end == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&request[..end]).ok()?.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))?;
    let body = &request[end + 4..];
    (body.len() >= length.trim().parse().ok()?).then_some(body)
}
