//! The S3 client: few tries and a bound on every wait, because the uploader above retries for ever and must know
//! soon that it has to.

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::{Client, config};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;

/// One try and one more: it saves a round through the uploader's backoff when a kept-alive connection was stale.
const TRIES: u32 = 2;

/// For a TCP and TLS handshake, also across continents.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a call without a body, and for the answer to one with.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The slowest upload worth waiting for, bytes a second: a slower link cannot keep up with one 0.5 Mbit/s camera.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 64 * 1024;

pub(super) async fn from_env() -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        .timeout_config(timeouts(ANSWER_TIMEOUT))
        .load()
        .await;
    // Stores other than S3 itself rarely have a DNS name for each bucket.
    let other_store = shared.endpoint_url().is_some();
    let config = config::Builder::from(&shared)
        .force_path_style(other_store)
        .build();
    Client::from_conf(config)
}

/// Lets one upload take as long as its size warrants.
pub(super) fn with_upload_time(size_bytes: u64) -> config::Builder {
    config::Builder::new().timeout_config(timeouts(upload_time(size_bytes)))
}

fn upload_time(size_bytes: u64) -> Duration {
    ANSWER_TIMEOUT + Duration::from_secs(size_bytes / UPLOAD_BYTES_PER_SECOND_MIN)
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * TRIES + CONNECT_TIMEOUT)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_segment_on_a_slow_link_is_not_cut_off() {
        let largest = 512 * 1024 * 1024;
        assert!(upload_time(largest) > Duration::from_secs(2 * 60 * 60));
        assert_eq!(upload_time(0), ANSWER_TIMEOUT);
    }
}
