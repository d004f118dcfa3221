//! `millrace aws gateway`: how the gateways of stacks stand, and asking for a replacement or a drill of one.

mod ask;
mod status;

use crate::stack::Stack;
use domain::ladder::Rung;

/// Arguments of `millrace aws gateway`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show how the gateway stands: what is wrong, since when, what was tried, what is next; fails unless it is well.
    Status(status::Args),
    /// Ask for the gateway's replacement: a new instance from the newest image takes over its address, once it is
    /// proven; the old one is kept stopped for inspection.
    Recover(ask::Args),
    /// Ask for a drill: a new instance from the newest image is launched in isolation, proven and ended.
    Drill(ask::Args),
}

/// Does what the arguments say.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Status(args) => status::run(args).await,
        Command::Recover(args) => ask::run(args, false).await,
        Command::Drill(args) => ask::run(args, true).await,
    }
}

/// The strongest step that the health check of this stack may take.
fn strongest(stack: &Stack) -> Option<Rung> {
    let allowed = match stack.parameters.get("RepairUpTo") {
        None => Some(Rung::Replace),
        // What is no step is `nothing`.
        Some(name) => serde_json::from_value(name.as_str().into()).ok(),
    };
    let possible = if stack.has_own_gateway {
        Rung::Replace
    } else {
        Rung::Restart
    };
    allowed.min(Some(possible))
}
