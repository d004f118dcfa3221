//! The servers the tests talk to.

use aws::harness::{Emulator, create_bucket, s3_client, sdk_config};
use aws_sdk_s3::Client;
use std::sync::OnceLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The bucket every test has a prefix in.
pub(crate) const BUCKET: &str = "archive";

/// Another emulator or store to test on, for example `http://127.0.0.1:4566`.
const ENDPOINT_ENV: &str = "MILLRACE_TEST_S3_ENDPOINT";

pub(crate) fn client(endpoint: &str) -> Client {
    s3_client(&sdk_config(endpoint))
}

/// Where the emulator of this test run serves, with [`BUCKET`] in it.
pub(crate) fn emulator() -> &'static str {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    let emulator = EMULATOR.get_or_init(|| {
        let emulator = Emulator::at_or_start(ENDPOINT_ENV, "ministack.sh");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        runtime.block_on(create_bucket(&emulator.sdk_config(), BUCKET));
        emulator
    });
    emulator.endpoint()
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
