//! Tables in an emulator, as the programs talk to them.

use aws::dynamodb::{TableNames, Tables};
use aws::harness::{Emulator, create_tables, sdk_config, tables_of, unused_name};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use std::time::Duration;

/// A configuration as `aws::config_from_env` makes it, but for a server of the tests and without waiting between tries.
pub(crate) fn config(endpoint: &str, tries: u32) -> SdkConfig {
    let retry = RetryConfig::standard()
        .with_max_attempts(tries)
        .with_initial_backoff(Duration::from_millis(1));
    let sdk = sdk_config(endpoint).into_builder();
    sdk.retry_config(retry).build()
}

/// New, empty tables, and a client to look at them from behind.
pub(crate) async fn fresh(emulator: &Emulator) -> (Tables, Client, TableNames) {
    let (sdk, names) = (config(emulator.endpoint(), 2), tables_of(&unused_name()));
    let client = create_tables(&sdk, &names).await;
    (Tables::new(&sdk, names.clone()), client, names)
}
