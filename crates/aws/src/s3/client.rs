//! The S3 client: the shared configuration, with time for uploads.

use crate::client::{ANSWER_TIMEOUT, timeouts};
use aws_config::SdkConfig;
use aws_sdk_s3::{Client, config};
use aws_types::service_config::ServiceConfigKey;
use std::time::Duration;

/// The slowest upload worth waiting for, bytes a second: a slower link cannot keep up with one 0.5 Mbit/s camera.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 64 * 1024;

pub(super) fn new(shared: &SdkConfig) -> Client {
    // Stores other than S3 itself rarely have a DNS name for each bucket.
    let other_store = shared.endpoint_url().is_some() || has_endpoint_of_its_own(shared);
    let config = config::Builder::from(shared)
        .force_path_style(other_store)
        .build();
    Client::from_conf(config)
}

/// Whether the environment or profile names an endpoint for S3 alone (AWS SDKs reference guide, "Service-specific
/// endpoints").
fn has_endpoint_of_its_own(shared: &SdkConfig) -> bool {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("all three are set");
    let configured = shared.service_config();
    configured.is_some_and(|configured| configured.load_config(key).is_some())
}

/// Lets one upload take as long as its size warrants.
pub(super) fn with_upload_time(size_bytes: u64) -> config::Builder {
    config::Builder::new().timeout_config(timeouts(upload_time(size_bytes)))
}

fn upload_time(size_bytes: u64) -> Duration {
    ANSWER_TIMEOUT + Duration::from_secs(size_bytes / UPLOAD_BYTES_PER_SECOND_MIN)
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
