//! What all clients share: TLS on ring, few tries and a bound on every wait, because the loops above try again by
//! themselves and must know soon that they have to.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;

/// One try and one more: it saves a round of the loop above when a kept-alive connection was stale.
const TRIES: u32 = 2;

/// For a TCP and TLS handshake, also across continents.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For a call without a body, and for the answer to one with.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The configuration for every service's client: Region, credentials and endpoints as the environment has them.
pub async fn config_from_env() -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        .timeout_config(timeouts(ANSWER_TIMEOUT))
        .load()
        .await
}

/// For a call that must not be done twice: a second try would be judged by its own answer, although the first may
/// have been applied and only its answer lost.
#[cfg(any(feature = "dynamodb", feature = "ec2"))]
pub(crate) fn one_try() -> RetryConfig {
    RetryConfig::disabled()
}

/// Bounds one try by `attempt`, and a call by all its tries.
pub(crate) fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * TRIES + CONNECT_TIMEOUT)
        .build()
}
