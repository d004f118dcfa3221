//! A stack with the tables that `millrace aws` reads, and the command on it.

use aws::cloudformation::Stacks;
use aws::dynamodb::{TableNames, Tables};
use aws::harness::{Emulator, create_stack, unused_name};
use domain::ports::{ControlTable, Put};
use domain::recover::{REQUEST, Request};
use serde::Serialize;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// One stack.
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) tables: Tables,
}

/// What the command said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Cell {
    /// A stack whose gateway is its own or others', repaired up to that step.
    pub(crate) async fn create(own_gateway: bool, repair_up_to: &str) -> Self {
        let sdk = Emulator::ministack().sdk_config();
        let name = unused_name();
        create_stack(&sdk, &name, &template(own_gateway, repair_up_to).to_string()).await;
        let stack = Stacks::new(&sdk).describe(&name).await.unwrap();
        assert_eq!(stack.parameters["RepairUpTo"], repair_up_to);
        let names: TableNames = stack.outputs["State"].parse().unwrap();
        Self {
            tables: Tables::new(&sdk, names),
            name,
        }
    }

    /// Writes a control item, whatever was in it.
    pub(crate) async fn remember(&self, item: &str, memory: &impl Serialize) {
        let value = serde_json::to_value(memory).unwrap();
        let before = self.tables.get_control(item).await.unwrap();
        let version = before.map(|item| item.version);
        let put = self.tables.put_control(item, &value, version).await.unwrap();
        assert_eq!(put, Put::Written);
    }

    /// The replacement or drill that was asked for.
    pub(crate) async fn request(&self) -> Option<Request> {
        let item = self.tables.get_control(REQUEST).await.unwrap()?;
        Some(serde_json::from_value(item.value).unwrap())
    }

    /// `millrace aws …` on these stacks, with this on its standard input.
    pub(crate) async fn millrace(&self, arguments: &[&str], stacks: &[&str], typed: &str) -> Said {
        let mut millrace = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .arg("aws")
            .args(arguments)
            .arg("--stack")
            .args(stacks)
            .envs(Emulator::ministack().environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = millrace.stdin.take().unwrap();
        // It may have ended without reading.
        _ = stdin.write_all(typed.as_bytes()).await;
        drop(stdin);
        let output = millrace.wait_with_output().await.unwrap();
        Said {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// What `millrace aws` needs of template.yaml: its tables, and the outputs by their names there.
fn template(own_gateway: bool, repair_up_to: &str) -> Value {
    let table = |keys: &[(&str, &str)]| {
        let attribute = |(name, _): &(&str, &str)| json!({"AttributeName": name, "AttributeType": "S"});
        let key = |(name, kind): &(&str, &str)| json!({"AttributeName": name, "KeyType": kind});
        json!({"Type": "AWS::DynamoDB::Table", "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": keys.iter().map(attribute).collect::<Vec<_>>(),
            "KeySchema": keys.iter().map(key).collect::<Vec<_>>(),
        }})
    };
    let of_channels = [("deviceIndex", "HASH"), ("channel", "RANGE")];
    let mut outputs = json!({
        "State": {"Value": {"Fn::Sub": "dynamodb:channels=${Channels},tasks=${Tasks},control=${Control}"}},
    });
    if own_gateway {
        outputs["GatewayLaunchTemplate"] = json!({"Value": "lt-0123"});
    }
    json!({
        "Parameters": {"RepairUpTo": {"Type": "String", "Default": repair_up_to}},
        "Resources": {
            "Channels": table(&of_channels),
            "Tasks": table(&of_channels),
            "Control": table(&[("name", "HASH")]),
        },
        "Outputs": outputs,
    })
}
