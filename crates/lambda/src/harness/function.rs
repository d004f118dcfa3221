//! A function's process.

use super::runtime_api::{Answer, RuntimeApi};
use serde_json::Value;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// How long a line that was written may take to be read.
const LINE_PATIENCE: Duration = Duration::from_secs(10);

/// How long an event may be handled where a test does not care.
const USUAL_LIMIT: Duration = Duration::from_secs(60);

/// A running function; it ends with this.
#[derive(Debug)]
pub struct Function {
    api: RuntimeApi,
    log: Arc<Mutex<Vec<String>>>,
    _process: Child,
}

impl Function {
    /// Starts the binary with this environment and no other, as Lambda does.
    ///
    /// # Panics
    /// It cannot be started.
    pub async fn start(binary: &str, environment: &[(&str, String)]) -> Self {
        let api = RuntimeApi::start().await;
        let mut process = Command::new(binary)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "test")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the function starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        keep(process.stdout.take().expect("it is piped"), Arc::clone(&log));
        keep(process.stderr.take().expect("it is piped"), Arc::clone(&log));
        Self {
            api,
            log,
            _process: process,
        }
    }

    /// Hands it an event, to be handled within a minute.
    pub async fn invoke(&self, event: Value) -> Answer {
        self.invoke_within(event, USUAL_LIMIT).await
    }

    /// Hands it an event, to be handled within `limit`.
    pub async fn invoke_within(&self, event: Value, limit: Duration) -> Answer {
        self.api.invoke(event, limit).await
    }

    /// Invokes it and gives the wide events called `name` of all invocations so far; the last one is of this.
    ///
    /// # Panics
    /// The function reports an error, or no event.
    pub async fn report(&self, event: Value, name: &str) -> Vec<Value> {
        self.report_within(event, name, USUAL_LIMIT).await
    }

    /// The same, for an event to be handled within `limit`.
    ///
    /// # Panics
    /// The function reports an error, or no event.
    pub async fn report_within(&self, event: Value, name: &str, limit: Duration) -> Vec<Value> {
        let before = self.events(name).len();
        let answer = self.invoke_within(event, limit).await;
        answer.expect("the function succeeds");
        let waited = tokio::time::timeout(LINE_PATIENCE, async {
            while self.events(name).len() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.expect("the function writes its wide event");
        self.events(name)
    }

    /// The wide events called `name` so far.
    pub fn events(&self, name: &str) -> Vec<Value> {
        self.objects().filter(|event| event["event"] == name).collect()
    }

    /// What it has told people so far, each beginning with how urgent it is and what it is about: `warning poll: ...`.
    pub fn alerts(&self) -> Vec<String> {
        let alert = |line: Value| {
            let [severity, subject, text] = ["alert", "subject", "message"].map(|field| line[field].as_str());
            Some(format!("{} {}: {}", severity?, subject?, text?))
        };
        self.objects().filter_map(alert).collect()
    }

    fn objects(&self) -> impl Iterator<Item = Value> {
        let lines: Vec<Value> = self
            .log()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        lines.into_iter()
    }

    /// Everything it has written so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

fn keep(output: impl AsyncRead + Unpin + Send + 'static, log: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}
