//! A stack on AWS, found by what it says of itself: its outputs and parameters.

use anyhow::Context;
use aws::SdkConfig;
use aws::cloudformation::Stacks;
use aws::dynamodb::{TableNames, Tables};
use std::collections::BTreeMap;

/// The output of template.yaml that names the tables as `MILLRACE_STATE` does.
const TABLES_OUTPUT: &str = "State";

/// The output of template.yaml that names the bucket of the archive.
const BUCKET_OUTPUT: &str = "ArchiveBucket";

/// The output of template.yaml that only a stack with a gateway of its own has.
const OWN_GATEWAY_OUTPUT: &str = "GatewayLaunchTemplate";

/// The parameter of template.yaml with the retention of channels that have none of their own.
const RETENTION_PARAMETER: &str = "RetentionDays";

/// One stack that was found.
pub(crate) struct Stack {
    pub(crate) tables: Tables,
    pub(crate) parameters: BTreeMap<String, String>,
    /// The stack launches and replaces its gateway; else the gateway is others'.
    pub(crate) has_own_gateway: bool,
    bucket: Option<String>,
}

impl Stack {
    /// Looks for the stack with this name or ARN.
    ///
    /// # Errors
    /// There is none, it may not be described, or it is not one of Millrace's.
    pub(crate) async fn find(sdk: &SdkConfig, described: &Stacks, name: &str) -> anyhow::Result<Self> {
        let stack = described.describe(name).await?;
        let state = stack.outputs.get(TABLES_OUTPUT);
        let state = state.with_context(|| {
            format!("the stack has no output `{TABLES_OUTPUT}`; is it one of Millrace's?")
        })?;
        let names: TableNames = state.parse().context("reading where its tables are")?;
        Ok(Self {
            tables: Tables::new(sdk, names),
            has_own_gateway: stack.outputs.contains_key(OWN_GATEWAY_OUTPUT),
            bucket: stack.outputs.get(BUCKET_OUTPUT).cloned(),
            parameters: stack.parameters,
        })
    }

    /// The address of its archive.
    ///
    /// # Errors
    /// The stack does not say.
    pub(crate) fn archive(&self) -> anyhow::Result<String> {
        let bucket = self.bucket.as_ref();
        let bucket = bucket.with_context(|| format!("the stack has no output `{BUCKET_OUTPUT}`"))?;
        Ok(format!("s3://{bucket}"))
    }

    /// For how many days it keeps what no episode covers; 0 keeps all.
    ///
    /// # Errors
    /// The stack does not say, or says what is no number.
    pub(crate) fn retention_days(&self) -> anyhow::Result<u32> {
        let days = self.parameters.get(RETENTION_PARAMETER);
        let days = days.with_context(|| format!("the stack has no parameter `{RETENTION_PARAMETER}`"))?;
        days.parse()
            .with_context(|| format!("reading `{days}`, the stack's `{RETENTION_PARAMETER}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use template::Template;

    #[test]
    fn the_template_says_what_is_looked_for_in_a_stack_by_these_names() {
        let template = Template::of_this_workspace().unwrap();
        let outputs = template.section("Outputs");
        for always in [TABLES_OUTPUT, BUCKET_OUTPUT] {
            assert!(outputs[always]["Condition"].is_null(), "{always}");
        }
        assert_eq!(outputs[OWN_GATEWAY_OUTPUT]["Condition"], "ManagedGateway");
        assert!(template.section("Parameters").contains_key(RETENTION_PARAMETER));

        let state = outputs[TABLES_OUTPUT]["Value"]["Fn::Sub"].as_str().unwrap();
        let names: TableNames = state.parse().unwrap();
        let told = [
            names.channels,
            names.tasks,
            names.gaps,
            names.episodes,
            names.control,
        ];
        assert!(told.iter().all(Option::is_some), "{state}");
    }
}
