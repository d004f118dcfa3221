//! What ECS knows of the container this program runs in: the task metadata endpoint, version 4 (Amazon ECS Developer
//! Guide, "Amazon ECS task metadata endpoint version 4").
//!
//! One small answer from the same host, once: HTTP/1.0 by hand, which has neither chunks nor connections to keep.

use domain::TaskArn;
use serde::Deserialize;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use url::Url;

/// The environment variable by which ECS tells a container where to ask.
pub(super) const METADATA_ENV: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// The agent may still be starting, and it limits how often it is asked.
const TRIES: u32 = 5;
const WAIT_BETWEEN: Duration = Duration::from_millis(500);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A task's metadata is some kilobytes.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// Why ECS did not tell the task's name.
#[derive(Debug, thiserror::Error)]
pub(super) enum EcsError {
    /// The environment does not hold an address.
    #[error("{METADATA_ENV} is not an http:// URL: `{0}`")]
    Address(String),
    /// Nobody answered, several times.
    #[error("no answer from the metadata endpoint")]
    Unreachable(#[source] io::Error),
    /// The answer is not a task's metadata.
    #[error("the metadata endpoint answered {0}")]
    Answer(String),
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "TaskARN")]
    task_arn: String,
}

/// The ARN of the task that this container belongs to; `base` is the value of [`METADATA_ENV`].
pub(super) async fn own_task(base: &str) -> Result<TaskArn, EcsError> {
    let url = Url::parse(&format!("{}/task", base.trim_end_matches('/')))
        .ok()
        .filter(|url| url.scheme() == "http" && url.host_str().is_some())
        .ok_or_else(|| EcsError::Address(base.to_owned()))?;
    let mut tries = 0;
    loop {
        tries += 1;
        match ask(&url).await {
            Ok(arn) => return Ok(arn),
            Err(error) if tries == TRIES => return Err(error),
            Err(error) => tracing::debug!(%error, "asking ECS again"),
        }
        sleep(WAIT_BETWEEN).await;
    }
}

async fn ask(url: &Url) -> Result<TaskArn, EcsError> {
    let answer = timeout(ANSWER_WITHIN, get(url))
        .await
        .unwrap_or_else(|late| Err(io::Error::new(io::ErrorKind::TimedOut, late)))
        .map_err(EcsError::Unreachable)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or("nothing");
    if status.split(' ').nth(1) != Some("200") {
        return Err(EcsError::Answer(status.chars().take(100).collect()));
    }
    match serde_json::from_str::<Metadata>(body) {
        Ok(metadata) if !metadata.task_arn.is_empty() => Ok(TaskArn::new(metadata.task_arn)),
        Ok(_) | Err(_) => Err(EcsError::Answer("without a TaskARN".to_owned())),
    }
}

async fn get(url: &Url) -> io::Result<Vec<u8>> {
    let host = url.host_str().unwrap_or_default();
    let mut stream = TcpStream::connect((host, url.port().unwrap_or(80))).await?;
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n",
        url.path()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const TASK: &str = "arn:aws:ecs:us-east-1:111122223333:task/cell/158d1c8083dd49d6b527399fd6414f5c";

    /// An endpoint that gives these answers in turn; the last one to everybody else.
    async fn endpoint(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v4/abc", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut answers = answers.into_iter().peekable();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /v4/abc/task HTTP/1.0\r\n"));
                let answer = answers.peek().unwrap().clone();
                if answers.len() > 1 {
                    answers.next();
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        base
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}")
    }

    fn named() -> String {
        ok(&format!(
            r#"{{"Cluster":"cell","TaskARN":"{TASK}","Containers":[]}}"#
        ))
    }

    #[tokio::test]
    async fn ecs_tells_the_tasks_name() {
        let base = endpoint(vec![named()]).await;
        assert_eq!(own_task(&base).await.unwrap(), TaskArn::new(TASK));
    }

    #[tokio::test]
    async fn an_agent_that_is_starting_or_busy_is_asked_again() {
        let busy = "HTTP/1.0 429 Too Many Requests\r\n\r\n".to_owned();
        let base = endpoint(vec![String::new(), busy, named()]).await;
        assert_eq!(own_task(&base).await.unwrap(), TaskArn::new(TASK));
    }

    #[tokio::test(start_paused = true)]
    async fn other_answers_are_errors_and_end() {
        for (answer, says) in [
            (ok("{}"), "without a TaskARN"),
            (ok(r#"{"TaskARN":""}"#), "without a TaskARN"),
            ("HTTP/1.0 404 Not Found\r\n\r\n".to_owned(), "404"),
            ("garbage".to_owned(), "garbage"),
            (ok(&"x".repeat(1 << 20)), "without a TaskARN"),
        ] {
            let base = endpoint(vec![answer]).await;
            let error = own_task(&base).await.unwrap_err();
            assert!(
                matches!(&error, EcsError::Answer(text) if text.contains(says)),
                "{error:?}"
            );
        }
        assert!(matches!(own_task("").await, Err(EcsError::Address(_))));
        assert!(matches!(own_task("ftp://host").await, Err(EcsError::Address(_))));
    }
}
