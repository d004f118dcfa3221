//! `millrace`: the cloud recorder for fleets of IP cameras behind a media gateway, on one machine.

mod alerts;
mod archive;
mod backfill;
mod commands;
mod config;
mod demo;
mod events;
mod export;
mod fleet;
mod gateway;
mod hash;
mod instance;
mod log;
mod machine;
mod output;
mod playlist;
mod preview;
mod previews;
mod processes;
mod restores;
mod show;
mod signals;
mod silence;
mod source;
mod spool;
#[cfg(feature = "aws")]
mod stack;
mod tables;
mod when;

use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Finds the cameras of a media gateway, records every online channel, and keeps an archive you can trust.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record a real gateway: poll it, run recorders, until Ctrl-C drains them.
    Run(Box<config::Options>),
    /// Record a simulated gateway for a minute, with scripted troubles, and sum up.
    Demo(demo::Args),
    /// Show every wanted channel and how it stands; fails when one is not being recorded.
    Status(commands::status::Args),
    /// List the known channels, or change the settings of one.
    Channels(commands::channels::Args),
    /// Show what there is of a channel, what is missing, and why.
    Segments(commands::segments::Args),
    /// Show a day of every channel as a picture: recorded, lost and why, kept by episodes; with percentages.
    Timeline(commands::timeline::Args),
    /// Export a range as one MP4 file, frame by frame as recorded, with a manifest of where it comes from.
    Export(commands::export::Args),
    /// Write an HLS playlist of any range, with what is missing in it.
    Playlist(commands::playlist::Args),
    /// List, make, change and delete episodes: intervals that are kept longer than their retention.
    Episodes(commands::episodes::Args),
    /// Delete what is past its retention and in no episode, once, by hand; `millrace run` does so every hour.
    Keep(commands::keep::Args),
    /// Fill holes from the devices' own storage, once, by hand; `millrace run` does so every minute.
    Backfill(commands::backfill::Args),
    /// Say which rule keeps or frees an object of the archive.
    Why(commands::why::Args),
    /// Say what a deployment on AWS costs a month, what dominates, and what would be cheaper.
    Cost(commands::cost::Args),
    /// Print the prices that `millrace cost` computes from: the form of a file for its `--prices`.
    Prices(commands::prices::Args),
    /// Poll the gateway once by hand.
    Poll(commands::poll::Args),
    /// Look after the gateway's own configuration.
    Gateway(commands::gateway::Args),
    /// Show and look after stacks on AWS.
    #[cfg(feature = "aws")]
    Aws(commands::aws::Args),
    /// A recorder; `millrace run` starts them.
    #[command(hide = true)]
    Recorder(recorder::cli::Args),
    /// Print a completion script for your shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has had enough of it.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "millrace: {error:#}");
            if error.is::<commands::gateway::Differs>() {
                return ExitCode::from(commands::gateway::DIFFERS);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(options) => run_async(commands::run::run(*options)),
        Command::Demo(args) => run_async(demo::run(args)),
        Command::Status(args) => run_async(commands::status::run(args)),
        Command::Channels(args) => run_async(commands::channels::run(args)),
        Command::Segments(args) => run_async(commands::segments::run(args)),
        Command::Timeline(args) => run_async(commands::timeline::run(args)),
        Command::Export(args) => run_async(commands::export::run(args)),
        Command::Playlist(args) => run_async(commands::playlist::run(args)),
        Command::Episodes(args) => run_async(commands::episodes::run(args)),
        Command::Keep(args) => run_async(commands::keep::run(args)),
        Command::Backfill(args) => run_async(commands::backfill::run(args)),
        Command::Why(args) => run_async(commands::why::run(args)),
        Command::Cost(args) => commands::cost::run(&args),
        Command::Prices(args) => commands::prices::run(&args),
        Command::Poll(args) => run_async(commands::poll::run(args)),
        Command::Gateway(args) => run_async(commands::gateway::run(args)),
        #[cfg(feature = "aws")]
        Command::Aws(args) => run_async(commands::aws::run(args)),
        Command::Recorder(args) => recorder::cli::main(args, alerts::Outbox::from_env()?),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "millrace", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind = match error.downcast_ref::<serde_json::Error>() {
        Some(error) => error.io_error_kind(),
        None => error.downcast_ref::<std::io::Error>().map(std::io::Error::kind),
    };
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

fn run_async(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(command)
}
