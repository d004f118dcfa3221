//! A template, deployed as a stack, with its resources and functions.

use crate::api::{Aws, OWNER, REGION, element, elements};
use crate::bed::Bed;
use crate::script;
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A stack.
pub(crate) struct Stack<'a> {
    aws: &'a Aws,
    name: &'static str,
    /// Physical ids by logical ids.
    resources: BTreeMap<String, String>,
}

impl<'a> Stack<'a> {
    /// Deploys the template as `sam build` left it, with these parameters.
    pub(crate) async fn deploy(
        bed: &'a Bed,
        name: &'static str,
        template: &Path,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let log = bed.logs.join(format!("{name}-deploy.log"));
        script::run(sam_deploy(bed, name, template, parameters), &log)
            .await
            .with_context(|| format!("deploying the template as {name}"))?;
        let resources = resources(&bed.aws, name).await;
        Ok(Self {
            aws: &bed.aws,
            name,
            resources: resources.with_context(|| format!("listing the resources of {name}"))?,
        })
    }

    /// The physical id of a resource of the template.
    pub(crate) fn resource(&self, logical: &str) -> anyhow::Result<&str> {
        let found = self.resources.get(logical).map(String::as_str);
        found.with_context(|| format!("{} has no resource {logical}", self.name))
    }

    /// What the stack says of itself.
    pub(crate) async fn description(&self) -> anyhow::Result<String> {
        self.aws
            .query("cloudformation", "DescribeStacks", &[("StackName", self.name)])
            .await
    }

    /// A function's configuration.
    pub(crate) async fn configuration(&self, function: &str) -> anyhow::Result<Value> {
        self.aws
            .lambda(Method::GET, &self.path(function, "configuration")?, None)
            .await
    }

    /// Gives a function another environment, as a bad deployment would.
    pub(crate) async fn set_environment(&self, function: &str, variables: &Value) -> anyhow::Result<()> {
        let input = json!({"Environment": {"Variables": variables}});
        let path = self.path(function, "configuration")?;
        self.aws.lambda(Method::PUT, &path, Some(&input)).await?;
        Ok(())
    }

    /// Invokes a function, and answers what it does.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let path = self.path(function, "invocations")?;
        let answer = self.aws.lambda(Method::POST, &path, Some(event)).await?;
        ensure!(answer["errorMessage"].is_null(), "{function} failed: {answer}");
        Ok(answer)
    }

    fn path(&self, function: &str, what: &str) -> anyhow::Result<String> {
        let function = self.resource(function)?;
        Ok(format!("/2015-03-31/functions/{function}/{what}"))
    }

    /// The access key MiniStack gives a function with AUTH: it is made of the function's ARN and its role's.
    pub(crate) async fn access_key(&self, function: &str) -> anyhow::Result<String> {
        let configuration = self.configuration(function).await?;
        let arn = |name: &str| {
            configuration[name]
                .as_str()
                .with_context(|| format!("{function} has no {name}"))
        };
        let digest = Sha256::digest(format!("{}:{}", arn("FunctionArn")?, arn("Role")?));
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02X}")).collect();
        Ok(format!("ASIA{hex}"))
    }
}

fn sam_deploy(bed: &Bed, name: &str, template: &Path, parameters: &[(&str, &str)]) -> Command {
    let mut command = Command::new(bed.root.join("scripts/sam.sh"));
    command.args(["sam", "deploy", "--template-file"]).arg(template);
    command.args(["--stack-name", name, "--resolve-s3", "--region", REGION]);
    command.args([
        "--capabilities",
        "CAPABILITY_IAM",
        "--no-progressbar",
        "--no-confirm-changeset",
    ]);
    command.arg("--parameter-overrides");
    command.arg(format!("Architecture={}", architecture()));
    command.args(
        parameters
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\"")),
    );
    command.env("AWS_ENDPOINT_URL", bed.aws.endpoint());
    command
        .env("AWS_ACCESS_KEY_ID", OWNER)
        .env("AWS_SECRET_ACCESS_KEY", OWNER);
    command
}

/// This machine's, in Lambda's word for it: functions and recorders run here.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

async fn resources(aws: &Aws, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let answer = aws
        .query(
            "cloudformation",
            "DescribeStackResources",
            &[("StackName", stack)],
        )
        .await?;
    let members = elements(&answer, "member").into_iter();
    members
        .filter(|member| member.contains("<LogicalResourceId>"))
        .map(|member| {
            let logical = element(member, "LogicalResourceId")?;
            Ok((
                logical.to_owned(),
                element(member, "PhysicalResourceId")?.to_owned(),
            ))
        })
        .collect()
}
