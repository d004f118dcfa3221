//! A stack with a gateway of its own, beside the other one: it deploys, and its recovery looks after a gateway.

use crate::deployment::{Deployment, PASSWORD_PARAMETER, RECOVERY};
use crate::progress::say;
use crate::stack::Stack;
use anyhow::ensure;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use tokio::time::Instant;

const STACK: &str = "millrace-e2e-managed";

/// A gateway whose image, devices and administrators are made up.
const PARAMETERS: [(&str, &str); 4] = [
    ("GatewayPasswordParameter", PASSWORD_PARAMETER),
    ("GatewayImageId", "ami-0123456789abcdef0"),
    ("DeviceCidr", "0.0.0.0/0"),
    ("AdminCidr", "192.0.2.0/24"),
];

/// What recovery looks at before it does anything.
const LOOKS: [&str; 3] = [
    "ec2 DescribeInstances",
    "ec2 DescribeImages",
    "ec2 DescribeAddresses",
];

/// Deploys it, and lets its recovery look.
pub(super) async fn gateway_is_looked_after(
    deployment: &Deployment<'_>,
    template: &Path,
    start: Instant,
) -> anyhow::Result<()> {
    let stack = Stack::deploy(deployment.bed, STACK, template, &PARAMETERS).await?;
    let since = Timestamp::now();
    let key = stack.access_key(RECOVERY).await?;
    stack.invoke(RECOVERY, &json!({})).await?;
    let calls = deployment.bed.proxy.since(since).into_iter();
    let answered = calls.filter(|call| call.key == key && call.status == 200);
    let answered: BTreeSet<String> = answered.map(|call| call.name).collect();
    for look in LOOKS {
        ensure!(answered.contains(look), "recovery made no {look}: {answered:?}");
    }
    for said in [
        stack.configuration(RECOVERY).await?.to_string(),
        stack.description().await?,
    ] {
        ensure!(
            !said.contains(&deployment.bed.password),
            "the gateway's password is in {STACK}"
        );
    }
    say(
        start,
        "a stack with a gateway of its own deploys, and its recovery looks for the gateway",
    );
    Ok(())
}
