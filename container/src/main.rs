//! `millrace-recorder`: records what its assignments say, until they are gone; and, as `millrace-recorder backfill` in
//! builds for AWS, fills holes from the devices' own storage.

use clap::Parser;
use jiff::Timestamp;
use std::path::PathBuf;

/// Records the channels assigned to it: RTSP to segments to archive.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "`millrace-recorder health` looks whether a recorder lives; in builds for AWS, `millrace-recorder backfill` \
                  fills holes."
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

/// Fills holes from the devices' own storage, in channels whose settings say `backfill = true`, and ends when there is
/// nothing more to ask for.
#[cfg(feature = "aws")]
#[derive(Debug, Parser)]
#[command(name = "millrace-recorder backfill")]
struct Backfill {
    #[command(flatten)]
    args: recorder::cli::backfill::Args,
}

/// The second word that asks for [`Health`]. Not a subcommand of clap's: the container's environment sets options of
/// the recorder, and clap takes them for a command line without subcommand.
const HEALTH: &str = "health";

/// The second word that asks for [`Backfill`].
#[cfg(feature = "aws")]
const BACKFILL: &str = "backfill";

fn main() -> anyhow::Result<()> {
    let asks_for = |wanted: &str| std::env::args_os().nth(1).is_some_and(|word| word == wanted);
    if asks_for(HEALTH) {
        let health = Health::parse_from(std::env::args_os().skip(1));
        return Ok(recorder::health::check(&health.spool, Timestamp::now())?);
    }
    #[cfg(feature = "aws")]
    if asks_for(BACKFILL) {
        return recorder::cli::backfill::main(Backfill::parse_from(std::env::args_os().skip(1)).args);
    }
    recorder::cli::main(Record::parse().args, recorder::LogAlerts)
}
