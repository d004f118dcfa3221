//! The archive as programs open it: from the environment.

use crate::server::{BUCKET, emulator};
use aws::harness::unused_name;
use aws::s3::S3Archive;
use domain::contract::archive::a_segment_is_listed_once_it_is_stored;
use std::process::Command;

/// Set in the child, whose environment is the one under test: a process cannot safely change its own.
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

#[test]
fn region_credentials_and_another_store_come_from_the_environment() {
    if std::env::var_os(ENDPOINT).is_some() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(async {
            a_segment_is_listed_once_it_is_stored(&S3Archive::from_env(BUCKET, unused_name()).await).await;
        });
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "environment::region_credentials_and_another_store_come_from_the_environment",
        ])
        .env_clear()
        .envs([
            (ENDPOINT, emulator()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && told.contains("1 passed"), "{told}");
}
