//! `millrace aws`: stacks on AWS, read through their tables. One stack is one gateway; a fleet is many of them.

mod gateway;
mod stacks;
mod status;

/// Arguments of `millrace aws`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show every wanted channel of stacks and how it stands; fails when one is not being recorded.
    Status(status::Args),
    /// Look after the gateways of stacks.
    Gateway(gateway::Args),
}

/// Does what the arguments say.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Status(args) => status::run(args).await,
        Command::Gateway(args) => gateway::run(args).await,
    }
}
