//! The archive as programs open it: from the environment.

use crate::server::{BUCKET, emulator};
use aws::harness::unused_name;
use aws::s3::S3Archive;
use domain::contract::archive::a_segment_is_listed_once_it_is_stored;
use std::process::Command;

/// Where another store is: for every service, or for S3 alone.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"];

/// In the child the endpoint is set, and its environment is the one under test: a process cannot safely change its own.
#[test]
fn region_credentials_and_another_store_come_from_the_environment() {
    if ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(async {
            a_segment_is_listed_once_it_is_stored(&S3Archive::from_env(BUCKET, unused_name()).await).await;
        });
    }
    for endpoint in ENDPOINTS {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "environment::region_credentials_and_another_store_come_from_the_environment",
            ])
            .env_clear()
            .envs([
                (endpoint, emulator()),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
            ])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && told.contains("1 passed"), "{told}");
    }
}
