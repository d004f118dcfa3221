//! `millrace`: the cloud recorder for fleets of IP cameras behind a media gateway, on one machine.

mod alerts;
mod commands;
mod config;
mod gateway;
mod instance;
mod machine;
mod processes;

use clap::{CommandFactory, Parser, Subcommand};

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
    Run(config::Options),
    /// Poll the gateway once by hand.
    Poll(commands::poll::Args),
    /// Print a completion script for your shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(options) => run_async(commands::run::run(options)),
        Command::Poll(args) => run_async(commands::poll::run(args)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "millrace", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn run_async(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(command)
}
