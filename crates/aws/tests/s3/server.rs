//! The servers the tests talk to.

use crate::emulator::Emulator;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_s3::error::SdkError;
use jiff::Timestamp;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The bucket every test has a prefix in.
pub(crate) const BUCKET: &str = "archive";

/// Another emulator or store to test on, for example `http://127.0.0.1:4566`.
const ENDPOINT_ENV: &str = "MILLRACE_TEST_S3_ENDPOINT";

/// Of the emulator's start: it takes half a second on an idle machine.
const START_TRIES: u32 = 600;

pub(crate) fn client(endpoint: &str) -> Client {
    let config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// Where the emulator of this test run serves, with [`BUCKET`] in it.
pub(crate) fn emulator() -> &'static str {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    let emulator = EMULATOR.get_or_init(|| {
        let emulator = Emulator::at_or_start(ENDPOINT_ENV, "ministack.sh");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        runtime.block_on(create_bucket(&client(&emulator.endpoint)));
        emulator
    });
    &emulator.endpoint
}

async fn create_bucket(client: &Client) {
    for _ in 0..START_TRIES {
        match client.create_bucket().bucket(BUCKET).send().await {
            Err(SdkError::DispatchFailure(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(SdkError::ServiceError(error)) if error.err().is_bucket_already_owned_by_you() => return,
            outcome => {
                outcome.expect("the emulator makes a bucket");
                return;
            }
        }
    }
    panic!("no emulator of S3 answers; has `scripts/ministack.sh install` been run?");
}

/// A prefix nobody used before, also on an emulator that outlives the tests.
pub(crate) fn fresh_prefix() -> String {
    static PREFIXES: AtomicU64 = AtomicU64::new(0);
    let prefix = PREFIXES.fetch_add(1, Ordering::Relaxed);
    format!(
        "{}-{}/{prefix}",
        std::process::id(),
        Timestamp::now().as_nanosecond()
    )
}

/// A server that gives `answer` to every request and hangs up; returns its endpoint.
pub(crate) async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    if connection.read_buf(&mut request).await? == 0 {
                        return Ok(());
                    }
                }
                connection.write_all(answer.as_bytes()).await?;
                connection.shutdown().await
            });
        }
    });
    format!("http://{address}")
}
