//! The emulator of ECS, SNS and SSM, and clients for it.

use crate::emulator::Emulator;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use std::sync::OnceLock;
use std::time::Duration;

/// Another emulator to test on, for example `http://127.0.0.1:4566`.
const ENDPOINT_ENV: &str = "MILLRACE_TEST_AWS_ENDPOINT";

/// Of the emulator's start: it takes half a second on an idle machine.
const START_TRIES: u32 = 600;

/// What clients of the emulator of this test run are made from, except for credentials: their type belongs to the SDKs.
pub(crate) fn configuration() -> SdkConfig {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    let emulator = EMULATOR.get_or_init(|| Emulator::at_or_start(ENDPOINT_ENV, "ministack.sh"));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&emulator.endpoint)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// The emulator's answer, once it serves.
pub(crate) async fn answer<T, E>(
    call: impl AsyncFn() -> Result<T, SdkError<E, HttpResponse>>,
) -> Result<T, SdkError<E, HttpResponse>> {
    for _ in 0..START_TRIES {
        match call().await {
            Err(SdkError::DispatchFailure(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            answer => return answer,
        }
    }
    panic!("no emulator of AWS answers; has `scripts/ministack.sh install` been run?");
}
