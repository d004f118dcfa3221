//! A server that answers by script, where an emulator would behave too well.

use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server, and what it was asked.
pub(crate) struct Scripted {
    pub(crate) endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Answers the request with the number `n` (from 0) by `script(n)` and hangs up; an empty answer is only that.
    pub(crate) async fn serve(script: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let Ok(request) = read(&mut connection).await else {
                    continue;
                };
                let number = {
                    let mut seen = seen.lock().expect("no test panics here");
                    seen.push(request);
                    seen.len() - 1
                };
                // A client that has gone meanwhile is the test's concern.
                let _ = connection.write_all(script(number).as_bytes()).await;
                let _ = connection.shutdown().await;
            }
        });
        Self { endpoint, requests }
    }

    /// The operations asked for so far, for example `Query`.
    pub(crate) fn operations(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("no test panics here");
        let target = |request: &String| {
            let (_, after) = request.split_once("DynamoDB_20120810.")?;
            Some(after.lines().next()?.to_owned())
        };
        requests.iter().filter_map(target).collect()
    }
}

async fn read(connection: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    loop {
        if connection.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Ok(text.into_owned());
        }
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// An answer that says what went wrong, as DynamoDB does.
pub(crate) fn error(status: &str, code: &str) -> String {
    json(
        status,
        &format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"so says the test"}}"#),
    )
}
