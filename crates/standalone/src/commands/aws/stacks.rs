//! Which stacks, and where their tables are.

use anyhow::Context;
use aws::cloudformation;
use aws::dynamodb::{TableNames, Tables};
use std::collections::BTreeMap;

/// The output of template.yaml that names the tables as `MILLRACE_STATE` does.
const TABLES_OUTPUT: &str = "State";

/// The output of template.yaml that only a stack with a gateway of its own has.
const OWN_GATEWAY_OUTPUT: &str = "GatewayLaunchTemplate";

/// Which stacks.
#[derive(Debug, clap::Args)]
pub(super) struct StackArgs {
    /// A stack, by name or ARN; several are read one after the other. Region and credentials come from where the AWS
    /// command line has them: environment, or `~/.aws`.
    #[arg(long = "stack", value_name = "NAME", required = true, num_args = 1..)]
    pub(super) stacks: Vec<String>,
}

/// One stack that was found.
pub(super) struct Stack {
    pub(super) tables: Tables,
    pub(super) parameters: BTreeMap<String, String>,
    /// The stack launches and replaces its gateway; else the gateway is others'.
    pub(super) has_own_gateway: bool,
}

impl StackArgs {
    /// Does something with each of the stacks, in the order given. What fails with one is said and does not keep it
    /// from the others.
    ///
    /// # Errors
    /// When it failed with any.
    pub(super) async fn each(
        &self,
        mut act: impl AsyncFnMut(&str, Stack) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let sdk = aws::config_from_env().await;
        let described = cloudformation::Stacks::new(&sdk);
        let mut failed = Vec::new();
        for name in &self.stacks {
            let done = match find(&sdk, &described, name).await {
                Ok(stack) => act(name, stack).await,
                Err(error) => Err(error),
            };
            failed.extend(done.err().map(|error| format!("{name}: {error:#}")));
        }
        anyhow::ensure!(failed.is_empty(), "{}", failed.join("\nmillrace: "));
        Ok(())
    }
}

async fn find(sdk: &aws::SdkConfig, described: &cloudformation::Stacks, name: &str) -> anyhow::Result<Stack> {
    let stack = described.describe(name).await?;
    let state = stack.outputs.get(TABLES_OUTPUT);
    let state = state
        .with_context(|| format!("the stack has no output `{TABLES_OUTPUT}`; is it one of Millrace's?"))?;
    let names: TableNames = state.parse().context("reading where its tables are")?;
    Ok(Stack {
        tables: Tables::new(sdk, names),
        has_own_gateway: stack.outputs.contains_key(OWN_GATEWAY_OUTPUT),
        parameters: stack.parameters,
    })
}
