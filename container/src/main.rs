//! `millrace-recorder`: records what its assignments say, until they are gone.

use clap::Parser;

/// Records the channels assigned to it: RTSP to segments to archive.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    args: recorder::cli::Args,
}

fn main() -> anyhow::Result<()> {
    recorder::cli::main(Cli::parse().args, recorder::LogAlerts)
}
