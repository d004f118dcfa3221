//! Emulated AWS with what a stack has: tables, a parameter, a cluster.

use aws::SdkConfig;
use aws::dynamodb::{TableNames, Tables};
use aws::harness::{Emulator, create_tables, tables_of, unused_name};
use aws_sdk_ecs::types::{ContainerDefinition, NetworkMode};
use aws_sdk_ssm::types::ParameterType;
use domain::ChannelKey;
use domain::fakes::rows;
use domain::ports::{ChannelsTable, Put};
use jiff::Timestamp;

/// One stack's part of the emulator.
#[derive(Debug)]
pub struct Cloud {
    /// The stack's name.
    pub stack: String,
    /// Its tables.
    pub names: TableNames,
    /// The same, to look at and to write.
    pub tables: Tables,
    emulator: &'static Emulator,
    sdk: SdkConfig,
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
        let emulator = Emulator::ministack();
        let (sdk, stack) = (emulator.sdk_config(), unused_name());
        let names = tables_of(&stack);
        create_tables(&sdk, &names).await;
        Self {
            tables: Tables::new(&sdk, names.clone()),
            stack,
            names,
            emulator,
            sdk,
        }
    }

    /// What a function must be told to live here.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let emulator = self.emulator.environment();
        let emulator = emulator.map(|(name, value)| (name, value.to_owned()));
        let stack = [
            ("MILLRACE_STACK", self.stack.clone()),
            ("MILLRACE_STATE", self.names.to_string()),
        ];
        emulator.into_iter().chain(stack).collect()
    }

    /// Wants the only channel of a device to be recorded, as the poll would.
    pub async fn want(&self, device: &str, since: Timestamp) {
        let row = rows::channel(ChannelKey::new(device, "1"), since);
        let put = self.tables.put_channel(&row, None).await;
        assert_eq!(put.expect("the emulator keeps a row"), Put::Written);
    }

    /// What clients of the emulator are made from.
    pub fn sdk(&self) -> &SdkConfig {
        &self.sdk
    }

    /// The name of the parameter that holds the gateway's password.
    pub fn parameter(&self) -> String {
        format!("/{}/password", self.stack)
    }

    /// Writes the gateway's password, a new version of the parameter each time.
    pub async fn put_password(&self, password: &str) {
        self.put_secret(&self.parameter(), password).await;
    }

    /// Writes a secret parameter, a new version of it each time.
    pub async fn put_secret(&self, name: &str, value: &str) {
        let put = aws_sdk_ssm::Client::new(&self.sdk)
            .put_parameter()
            .name(name)
            .r#type(ParameterType::SecureString)
            .value(value)
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
