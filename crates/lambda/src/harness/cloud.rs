//! AWS, emulated (`scripts/ministack.sh`): tables, parameters and a cluster of one stack.

use aws::dynamodb::{TableNames, Tables};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, LocalSecondaryIndex,
    Projection, ProjectionType, ScalarAttributeType,
};
use aws_sdk_ecs::types::{ContainerDefinition, NetworkMode};
use aws_sdk_ssm::types::ParameterType;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Another emulator to test on, for example `http://127.0.0.1:4566`.
const ENDPOINT_ENV: &str = "MILLRACE_TEST_MINISTACK_ENDPOINT";

/// Tries until the emulator answers, 0.1 s apart: it takes half a second on an idle machine.
const START_TRIES: u32 = 600;

/// One stack's part of the emulator.
#[derive(Debug)]
pub struct Cloud {
    /// The stack's name.
    pub stack: String,
    /// Its tables.
    pub names: TableNames,
    /// The same, to look at and to write.
    pub tables: Tables,
    sdk: SdkConfig,
    endpoint: String,
}

/// A cluster without machines: its tasks are entries.
#[derive(Debug)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The task definition of its recorders.
    pub definition: String,
}

impl Cloud {
    /// A new stack with empty tables, on the emulator of this test run.
    ///
    /// # Panics
    /// No emulator answers.
    pub async fn start() -> Self {
        static STACKS: AtomicU64 = AtomicU64::new(0);
        let stack = format!(
            "s{}-{}-{}",
            std::process::id(),
            jiff::Timestamp::now().as_millisecond(),
            STACKS.fetch_add(1, Ordering::Relaxed)
        );
        let endpoint = emulator();
        let sdk = config(&endpoint);
        let names: TableNames = format!(
            "dynamodb:channels={stack}-channels,tasks={stack}-tasks,gaps={stack}-gaps,control={stack}-control"
        )
        .parse()
        .expect("table names");
        create_tables(&sdk, &stack).await;
        Self {
            tables: Tables::new(&sdk, names.clone()),
            stack,
            names,
            sdk,
            endpoint,
        }
    }

    /// What a function must be told to live here.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("MILLRACE_STACK", self.stack.clone()),
            ("MILLRACE_STATE", self.names.to_string()),
        ]
    }

    /// The name of the parameter that holds the gateway's password.
    pub fn parameter(&self) -> String {
        format!("/{}/password", self.stack)
    }

    /// Writes the gateway's password, a new version of the parameter each time.
    pub async fn put_password(&self, password: &str) {
        let put = aws_sdk_ssm::Client::new(&self.sdk)
            .put_parameter()
            .name(self.parameter())
            .r#type(ParameterType::SecureString)
            .value(password)
            .overwrite(true)
            .send();
        put.await.expect("the emulator keeps a parameter");
    }

    /// A cluster with a task definition.
    pub async fn cluster(&self) -> Cluster {
        let ecs = aws_sdk_ecs::Client::new(&self.sdk);
        let created = ecs.create_cluster().cluster_name(&self.stack).send().await;
        created.expect("the emulator makes a cluster");
        let container = ContainerDefinition::builder()
            .name("recorder")
            .image("recorder")
            .memory(128);
        let registered = ecs
            .register_task_definition()
            .family(&self.stack)
            .network_mode(NetworkMode::Awsvpc)
            .container_definitions(container.build())
            .send();
        registered.await.expect("the emulator takes a task definition");
        Cluster {
            name: self.stack.clone(),
            definition: self.stack.clone(),
        }
    }

    /// How many of the cluster's tasks run.
    pub async fn running(&self, cluster: &Cluster) -> usize {
        let ecs = aws_sdk_ecs::Client::new(&self.sdk);
        let listed = ecs.list_tasks().cluster(&cluster.name).send().await;
        listed.expect("the emulator lists tasks").task_arns().len()
    }

    /// Deletes the channels table.
    pub async fn lose_channels(&self) {
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.sdk);
        let name = self.names.channels.clone().unwrap_or_default();
        let deleted = dynamodb.delete_table().table_name(name).send().await;
        deleted.expect("the emulator deletes a table");
    }
}

fn emulator() -> String {
    // Its input is a pipe that closes when this process ends, however it does; the emulator goes with it.
    static EMULATOR: OnceLock<(String, Option<Child>)> = OnceLock::new();
    let (endpoint, _process) = EMULATOR.get_or_init(|| match std::env::var(ENDPOINT_ENV) {
        Ok(endpoint) => (endpoint, None),
        Err(_) => {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/ministack.sh");
            let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let port = free.local_addr().expect("it is bound").port();
            drop(free);
            let process = Command::new(&script)
                .args(["run", &port.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("{} starts: {error}", script.display()));
            (format!("http://127.0.0.1:{port}"), Some(process))
        }
    });
    endpoint.clone()
}

fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// The tables as the module documentation of `aws::dynamodb` has them.
async fn create_tables(sdk: &SdkConfig, stack: &str) {
    let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
    await_emulator(&dynamodb).await;
    let whole = Projection::builder().projection_type(ProjectionType::All).build();
    let by_task = GlobalSecondaryIndex::builder()
        .index_name("taskARN-index")
        .key_schema(key("taskARN", KeyType::Hash))
        .projection(whole.clone());
    let by_end = LocalSecondaryIndex::builder()
        .index_name("end-index")
        .key_schema(key("channelKey", KeyType::Hash))
        .key_schema(key("end", KeyType::Range))
        .projection(whole);
    for (table, keys) in [
        ("channels", &["deviceIndex", "channel"][..]),
        ("tasks", &["deviceIndex", "channel"]),
        ("gaps", &["channelKey", "start"]),
        ("control", &["name"]),
    ] {
        let mut call = dynamodb
            .create_table()
            .table_name(format!("{stack}-{table}"))
            .billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
            call = call.attribute_definitions(text(name)).key_schema(key(name, kind));
        }
        call = match table {
            "tasks" => call
                .attribute_definitions(text("taskARN"))
                .global_secondary_indexes(by_task.clone().build().expect("an index")),
            "gaps" => call
                .attribute_definitions(text("end"))
                .local_secondary_indexes(by_end.clone().build().expect("an index")),
            _ => call,
        };
        call.send().await.expect("the emulator makes a table");
    }
}

async fn await_emulator(dynamodb: &aws_sdk_dynamodb::Client) {
    for _ in 0..START_TRIES {
        if dynamodb.list_tables().send().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no emulator answers; has `scripts/ministack.sh install` been run?");
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
