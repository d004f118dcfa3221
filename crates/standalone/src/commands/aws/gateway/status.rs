use super::strongest;
use crate::commands::aws::stacks::StackArgs;
use crate::show;
use anyhow::bail;
use domain::status::{GatewayStatus, Verdict};
use jiff::Timestamp;
use serde_json::json;
use std::io::Write;

/// Arguments of `millrace aws gateway status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    stacks: StackArgs,
    /// Print JSON, an object a line for each stack.
    #[arg(long)]
    json: bool,
}

/// Prints how each gateway stands; fails unless all are well, so that scripts can ask.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    args.stacks
        .each(async |name, stack| {
            let status = GatewayStatus::load(&stack.tables).await?;
            let verdict = status.verdict();
            let mut out = std::io::stdout();
            if args.json {
                writeln!(
                    out,
                    "{}",
                    json!({"stack": name, "verdict": verdict, "memories": status})
                )?;
            } else {
                let details = status.details(strongest(&stack), Timestamp::now());
                let rows = details
                    .into_iter()
                    .map(|(subject, text)| vec![subject.to_owned(), text]);
                writeln!(out, "{}\n", show::table(&[name, &verdict.to_string()], rows))?;
            }
            match verdict {
                Verdict::Well => Ok(()),
                Verdict::BeingReplaced
                | Verdict::ShutOut
                | Verdict::Ill
                | Verdict::NeedsPerson
                | Verdict::Unknown => bail!("the gateway is {verdict}"),
            }
        })
        .await
}
