//! The emulators the tests talk to, and tables in them as the module documentation of `aws::dynamodb` has them.

use crate::emulator::Emulator;
use aws::dynamodb::{TableNames, Tables};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex,
    Projection, ProjectionType, ScalarAttributeType,
};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Of an emulator's start: it takes three seconds on an idle machine.
const START_TRIES: u32 = 600;

/// A configuration as `aws::config_from_env` makes it, but for a server of the tests and without waiting between tries.
pub(crate) fn config(endpoint: &str, tries: u32) -> SdkConfig {
    let retry = RetryConfig::standard()
        .with_max_attempts(tries)
        .with_initial_backoff(Duration::from_millis(1));
    let credentials = Credentials::new("test", "test", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(retry)
        .build()
}

/// Where Amazon's DynamoDB Local of this test run serves.
pub(crate) fn dynamodb_local() -> &'static str {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    let emulator = EMULATOR.get_or_init(|| started("MILLRACE_TEST_DYNAMODB_ENDPOINT", "dynamodb.sh"));
    &emulator.endpoint
}

/// Where MiniStack, which emulates the whole deployment elsewhere, serves.
pub(crate) fn ministack() -> &'static str {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    let emulator = EMULATOR.get_or_init(|| started("MILLRACE_TEST_AWS_ENDPOINT", "ministack.sh"));
    &emulator.endpoint
}

fn started(endpoint_env: &str, script: &str) -> Emulator {
    let emulator = Emulator::at_or_start(endpoint_env, script);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let client = Client::new(&config(&emulator.endpoint, 1));
        for _ in 0..START_TRIES {
            if client.list_tables().send().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no emulator answers; has `scripts/{script} install` been run?");
    });
    emulator
}

/// Names of tables nobody used before, also on an emulator that outlives the tests.
pub(crate) fn fresh_names() -> TableNames {
    static STACKS: AtomicU64 = AtomicU64::new(0);
    let stack = format!(
        "{}-{}-{}",
        std::process::id(),
        jiff::Timestamp::now().as_nanosecond(),
        STACKS.fetch_add(1, Ordering::Relaxed)
    );
    let name = |table: &str| Some(format!("{table}-{stack}"));
    TableNames {
        channels: name("channels"),
        tasks: name("tasks"),
        gaps: name("gaps"),
        episodes: name("episodes"),
        control: name("control"),
    }
}

/// New, empty tables, and a client to look at them from behind.
pub(crate) async fn fresh(endpoint: &str) -> (Tables, Client, TableNames) {
    let (config, names) = (config(endpoint, 2), fresh_names());
    let client = Client::new(&config);
    let name = |name: &Option<String>| name.clone().expect("all tables have names");
    create_channels(&client, name(&names.channels)).await;
    create_tasks(&client, name(&names.tasks)).await;
    create_intervals(&client, name(&names.gaps)).await;
    create_intervals(&client, name(&names.episodes)).await;
    create_control(&client, name(&names.control)).await;
    (Tables::new(&config, names.clone()), client, names)
}

async fn create_channels(client: &Client, name: String) {
    let table = with_keys(client, name, "deviceIndex", Some("channel"));
    table.send().await.expect("the emulator makes a table");
}

async fn create_tasks(client: &Client, name: String) {
    let by_task = GlobalSecondaryIndex::builder()
        .index_name("taskARN-index")
        .key_schema(key("taskARN", KeyType::Hash))
        .projection(whole_rows())
        .build()
        .expect("an index");
    let table = with_keys(client, name, "deviceIndex", Some("channel"))
        .attribute_definitions(text("taskARN"))
        .global_secondary_indexes(by_task);
    table.send().await.expect("the emulator makes a table");
}

async fn create_intervals(client: &Client, name: String) {
    let by_end = LocalSecondaryIndex::builder()
        .index_name("end-index")
        .key_schema(key("channelKey", KeyType::Hash))
        .key_schema(key("end", KeyType::Range))
        .projection(whole_rows())
        .build()
        .expect("an index");
    let table = with_keys(client, name, "channelKey", Some("start"))
        .attribute_definitions(text("end"))
        .local_secondary_indexes(by_end);
    table.send().await.expect("the emulator makes a table");
}

async fn create_control(client: &Client, name: String) {
    let table = with_keys(client, name, "name", None);
    table.send().await.expect("the emulator makes a table");
}

fn with_keys(client: &Client, table: String, hash: &str, range: Option<&str>) -> CreateTableFluentBuilder {
    let call = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(text(hash))
        .key_schema(key(hash, KeyType::Hash));
    match range {
        Some(range) => call
            .attribute_definitions(text(range))
            .key_schema(key(range, KeyType::Range)),
        None => call,
    }
}

fn text(name: &str) -> AttributeDefinition {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .expect("an attribute")
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .expect("a key")
}

fn whole_rows() -> Projection {
    Projection::builder().projection_type(ProjectionType::All).build()
}
