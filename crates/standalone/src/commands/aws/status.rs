//! `millrace aws status`: the channels of stacks at a glance.

use super::stacks::StackArgs;
use crate::commands::status::{render, verdict};
use crate::fleet::observe;
use domain::dispatch::DispatchPolicy;
use jiff::Timestamp;
use serde_json::json;
use std::io::Write;

/// Arguments of `millrace aws status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    stacks: StackArgs,
    /// Print JSON, an object a line for each stack.
    #[arg(long)]
    json: bool,
}

/// Prints each stack's fleet; fails when a wanted channel is not being recorded, so that scripts can ask.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    args.stacks
        .each(async |name, stack| {
            let now = Timestamp::now();
            let silent_after = DispatchPolicy::default().heartbeat_stale;
            let fleet = observe(&stack.tables, now, silent_after).await?;
            let mut out = std::io::stdout();
            if args.json {
                writeln!(out, "{}", json!({"stack": name, "channels": fleet}))?;
            } else {
                writeln!(
                    out,
                    "{name}: {} wanted channels\n{}\n",
                    fleet.len(),
                    render(&fleet, now)
                )?;
            }
            verdict(&fleet)
        })
        .await
}
