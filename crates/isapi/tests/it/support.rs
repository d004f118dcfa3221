//! A gateway that says exactly what a test tells it to, down to the byte: for what no honest gateway does.

use isapi::{Client, Config};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// The `Authorization` header.
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

impl Request {
    /// A parameter of the digest answer, without its quotes.
    pub(crate) fn digest(&self, name: &str) -> Option<String> {
        let answer = self.authorization.as_deref()?.strip_prefix("Digest ")?;
        let find = |field: &str| {
            let (key, value) = field.trim().split_once('=')?;
            (key == name).then(|| value.trim_matches('"').to_owned())
        };
        answer.split(',').find_map(find)
    }
}

/// What to do next on a connection.
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Keep the connection open and say nothing.
    Hang,
}

/// A whole answer, after which the connection closes.
pub(crate) fn reply(status: &str, headers: &[&str], body: &str) -> Vec<Step> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
    vec![Step::Send(answer.into_bytes())]
}

/// A success.
pub(crate) fn ok(body: &str) -> Vec<Step> {
    reply("200 OK", &["Content-Type: application/json"], body)
}

/// A Digest challenge with this nonce and further parameters.
pub(crate) fn challenge(nonce: &str, more: &str, body: &str) -> Vec<Step> {
    let header =
        format!(r#"WWW-Authenticate: Digest realm="DS-GWAS0101", qop="auth", nonce="{nonce}"{more}"#);
    reply("401 Unauthorized", &[&header], body)
}

/// The body that comes with a wrong password.
pub(crate) fn wrong_password(tries_left: u32) -> String {
    format!(
        r#"{{"ResponseStatus":{{"statusCode":4,"statusString":"Invalid Operation","subStatusCode":"badAuthorization","lockStatus":"unlock","retryTimes":{tries_left},"resLockTime":0}}}}"#
    )
}

/// The scripted gateway.
pub(crate) struct Scripted {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    server: JoinHandle<()>,
}

impl Scripted {
    /// Answers every request, one to a connection, as `script` says.
    pub(crate) async fn start(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), seen.clone());
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (script, log) = (script.clone(), log.clone());
                tokio::spawn(async move { serve(socket, &*script, &log).await });
            }
        });
        Self { url, seen, server }
    }

    /// A client of it for user `admin`, with these changes to the usual limits.
    pub(crate) fn client(&self, change: impl FnOnce(&mut Config)) -> Client {
        let mut config = Config::new(self.url.parse().unwrap(), "admin", "the-secret".into());
        change(&mut config);
        Client::new(config).unwrap()
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How many of them answered a challenge.
    pub(crate) fn attempts(&self) -> usize {
        self.seen()
            .iter()
            .filter(|request| request.authorization.is_some())
            .count()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    mut socket: TcpStream,
    script: &(impl Fn(&Request) -> Vec<Step> + Sync),
    log: &Mutex<Vec<Request>>,
) {
    let Some(request) = receive(&mut socket).await else {
        return;
    };
    log.lock().unwrap().push(request.clone());
    for step in script(&request) {
        match step {
            Step::Send(bytes) if socket.write_all(&bytes).await.is_err() => return,
            Step::Send(_) => {}
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Hang => std::future::pending().await,
        }
    }
}

async fn receive(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let header = |name: &str| {
        let mut lines = text.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head + 4 + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut first = text.lines().next().unwrap().split(' ');
    Some(Request {
        method: first.next().unwrap().to_owned(),
        target: first.next().unwrap().to_owned(),
        authorization: header("authorization"),
        body: String::from_utf8(bytes[head + 4..].to_vec()).unwrap(),
    })
}
