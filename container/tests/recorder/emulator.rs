//! AWS, emulated, with what a stack has: tables and a bucket.

#![cfg(feature = "aws")]

use aws::dynamodb::TableNames;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex,
    Projection, ProjectionType, ScalarAttributeType,
};
use domain::SegmentKey;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::sleep;

pub(crate) const BUCKET: &str = "archive";
pub(crate) const TABLES: &str = "dynamodb:tasks=tasks,gaps=gaps,control=control";
const REGION: &str = "us-east-1";
const START_TRIES: u32 = 600;

/// An emulator of one test.
pub(crate) struct Emulator {
    pub(crate) endpoint: String,
    /// Its input is a pipe, which closes when this process ends, however it does; the emulator goes with it.
    _process: Child,
}

impl Emulator {
    /// Starts it and makes what a stack has.
    pub(crate) async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/ministack.sh");
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Command::new(&script)
            .args(["run", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let emulator = Self {
            endpoint: format!("http://127.0.0.1:{port}"),
            _process: process,
        };
        emulator.answers().await;
        emulator.make_tables().await;
        emulator.s3().create_bucket().bucket(BUCKET).send().await.unwrap();
        emulator
    }

    /// The environment of a program that is to take it for AWS.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }

    pub(crate) fn tables(&self) -> aws::dynamodb::Tables {
        let names: TableNames = TABLES.parse().unwrap();
        aws::dynamodb::Tables::new(&self.config(), names)
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config()).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// Copies these segments into a folder, under their keys.
    pub(crate) async fn download(&self, segments: &[SegmentKey], into: &Path) {
        for segment in segments {
            let key = segment.object_key().0;
            let object = self
                .s3()
                .get_object()
                .bucket(BUCKET)
                .key(&key)
                .send()
                .await
                .unwrap();
            let path = into.join(&key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let content = object.body.collect().await.unwrap().into_bytes();
            std::fs::write(path, content).unwrap();
        }
    }

    fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "tests");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&self.endpoint)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config())
    }

    async fn answers(&self) {
        for _ in 0..START_TRIES {
            if self.dynamodb().list_tables().send().await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("no emulator answers; has `scripts/ministack.sh install` been run?");
    }

    async fn make_tables(&self) {
        let by_task = GlobalSecondaryIndex::builder()
            .index_name("taskARN-index")
            .key_schema(key("taskARN", KeyType::Hash))
            .projection(whole_rows());
        let by_end = LocalSecondaryIndex::builder()
            .index_name("end-index")
            .key_schema(key("channelKey", KeyType::Hash))
            .key_schema(key("end", KeyType::Range))
            .projection(whole_rows());
        let table = |name: &str| {
            let call = self.dynamodb().create_table().table_name(name);
            call.billing_mode(BillingMode::PayPerRequest)
        };
        let tasks = table("tasks")
            .set_attribute_definitions(Some(vec![text("deviceIndex"), text("channel"), text("taskARN")]))
            .key_schema(key("deviceIndex", KeyType::Hash))
            .key_schema(key("channel", KeyType::Range))
            .global_secondary_indexes(by_task.build().unwrap());
        let gaps = table("gaps")
            .set_attribute_definitions(Some(vec![text("channelKey"), text("start"), text("end")]))
            .key_schema(key("channelKey", KeyType::Hash))
            .key_schema(key("start", KeyType::Range))
            .local_secondary_indexes(by_end.build().unwrap());
        let control = table("control")
            .set_attribute_definitions(Some(vec![text("name")]))
            .key_schema(key("name", KeyType::Hash));
        for call in [tasks, gaps, control] {
            call.send().await.unwrap();
        }
    }
}

fn text(name: &str) -> AttributeDefinition {
    let attribute = AttributeDefinition::builder().attribute_name(name);
    attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    let element = KeySchemaElement::builder().attribute_name(name);
    element.key_type(kind).build().unwrap()
}

fn whole_rows() -> Projection {
    Projection::builder().projection_type(ProjectionType::All).build()
}
