//! Tables in an emulator, as the module documentation of [`dynamodb`](crate::dynamodb) has them.

use crate::dynamodb::TableNames;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex,
    Projection, ProjectionType, ScalarAttributeType,
};

/// The names of all tables of a stack.
pub fn tables_of(stack: &str) -> TableNames {
    let name = |table: &str| Some(format!("{stack}-{table}"));
    TableNames {
        channels: name("channels"),
        tasks: name("tasks"),
        gaps: name("gaps"),
        episodes: name("episodes"),
        control: name("control"),
    }
}

/// Makes the tables that have a name, and a client to look at them from behind.
pub async fn create_tables(sdk: &SdkConfig, names: &TableNames) -> Client {
    let client = Client::new(sdk);
    let calls = [
        names.channels.as_ref().map(|name| channels(&client, name)),
        names.tasks.as_ref().map(|name| tasks(&client, name)),
        names.gaps.as_ref().map(|name| intervals(&client, name)),
        names.episodes.as_ref().map(|name| intervals(&client, name)),
        names.control.as_ref().map(|name| control(&client, name)),
    ];
    for call in calls.into_iter().flatten() {
        call.send().await.expect("the emulator makes a table");
    }
    client
}

fn channels(client: &Client, name: &str) -> CreateTableFluentBuilder {
    with_keys(client, name, "deviceIndex", Some("channel"))
}

fn tasks(client: &Client, name: &str) -> CreateTableFluentBuilder {
    let by_task = GlobalSecondaryIndex::builder()
        .index_name("taskARN-index")
        .key_schema(key("taskARN", KeyType::Hash))
        .projection(whole_rows())
        .build()
        .expect("an index");
    with_keys(client, name, "deviceIndex", Some("channel"))
        .attribute_definitions(text("taskARN"))
        .global_secondary_indexes(by_task)
}

/// Gaps and episodes.
fn intervals(client: &Client, name: &str) -> CreateTableFluentBuilder {
    let by_end = LocalSecondaryIndex::builder()
        .index_name("end-index")
        .key_schema(key("channelKey", KeyType::Hash))
        .key_schema(key("end", KeyType::Range))
        .projection(whole_rows())
        .build()
        .expect("an index");
    with_keys(client, name, "channelKey", Some("start"))
        .attribute_definitions(text("end"))
        .local_secondary_indexes(by_end)
}

fn control(client: &Client, name: &str) -> CreateTableFluentBuilder {
    with_keys(client, name, "name", None)
}

fn with_keys(client: &Client, table: &str, hash: &str, range: Option<&str>) -> CreateTableFluentBuilder {
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
