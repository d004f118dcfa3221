//! `millrace-recorder`: records what its assignments say, until they are gone.

use anyhow::Context;
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use std::path::PathBuf;

/// Records the channels assigned to it: RTSP to segments to archive.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    args: Option<recorder::cli::Args>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks whether a recorder lives, for container engines; fails when none does.
    Health {
        /// The folder where its recordings wait.
        #[arg(long, env = "MILLRACE_SPOOL", value_name = "DIR")]
        spool: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Health { spool }) => Ok(recorder::health::check(&spool, Timestamp::now())?),
        None => recorder::cli::main(cli.args.context("no options were given")?, recorder::LogAlerts),
    }
}
