//! Buckets in an emulator.

use aws_config::SdkConfig;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::{Client, config};

/// A client for a server that has no DNS name for each bucket.
pub fn s3_client(sdk: &SdkConfig) -> Client {
    Client::from_conf(config::Builder::from(sdk).force_path_style(true).build())
}

/// Makes a bucket, unless it is there already, and a client to look into it.
pub async fn create_bucket(sdk: &SdkConfig, name: &str) -> Client {
    let client = s3_client(sdk);
    match client.create_bucket().bucket(name).send().await {
        Err(SdkError::ServiceError(error)) if error.err().is_bucket_already_owned_by_you() => {}
        outcome => {
            outcome.expect("the emulator makes a bucket");
        }
    }
    client
}
