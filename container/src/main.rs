//! `millrace-recorder`: records what its assignments say, until they are gone.

use clap::Parser;
use jiff::Timestamp;
use std::path::PathBuf;

/// Records the channels assigned to it: RTSP to segments to archive.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "`millrace-recorder health` looks whether a recorder lives."
)]
struct Record {
    #[command(flatten)]
    args: recorder::cli::Args,
}

/// Looks whether a recorder lives, for container engines; fails when none does.
#[derive(Debug, Parser)]
#[command(name = "millrace-recorder health")]
struct Health {
    /// The folder where its recordings wait.
    #[arg(long, env = "MILLRACE_SPOOL", value_name = "DIR")]
    spool: PathBuf,
}

/// The second word that asks for [`Health`]. Not a subcommand of clap's: the container's environment sets options of
/// the recorder, and clap takes them for a command line without subcommand.
const HEALTH: &str = "health";

fn main() -> anyhow::Result<()> {
    if std::env::args_os().nth(1).is_some_and(|word| word == HEALTH) {
        let health = Health::parse_from(std::env::args_os().skip(1));
        return Ok(recorder::health::check(&health.spool, Timestamp::now())?);
    }
    recorder::cli::main(Record::parse().args, recorder::LogAlerts)
}
