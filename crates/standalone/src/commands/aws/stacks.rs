//! Which stacks.

use crate::stack::Stack;
use aws::cloudformation;

/// Which stacks.
#[derive(Debug, clap::Args)]
pub(super) struct StackArgs {
    /// A stack, by name or ARN; several are read one after the other. Region and credentials come from where the AWS
    /// command line has them: environment, or `~/.aws`.
    #[arg(long = "stack", value_name = "NAME", required = true, num_args = 1..)]
    pub(super) stacks: Vec<String>,
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
            let done = match Stack::find(&sdk, &described, name).await {
                Ok(stack) => act(name, stack).await,
                Err(error) => Err(error),
            };
            failed.extend(done.err().map(|error| format!("{name}: {error:#}")));
        }
        anyhow::ensure!(failed.is_empty(), "{}", failed.join("\nmillrace: "));
        Ok(())
    }
}
