//! `millrace prices`: the table that `millrace cost` computes from.

use super::cost::REGION_DEFAULT;
use std::io::Write;

/// Arguments of `millrace prices`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of which Region.
    #[arg(default_value = REGION_DEFAULT)]
    region: String,
}

/// Prints the table as it is written, with its date and sources.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let table = cost::built_in(&args.region)?;
    Ok(std::io::stdout().write_all(table.as_bytes())?)
}
