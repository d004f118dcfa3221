//! `millrace-e2e`: deploys the template into an emulator of AWS and puts the deployment to the test. `make e2e` runs it.
//!
//! ```text
//!   sam build, image ─▶ sam deploy ─▶ MiniStack ◀─▶ functions, containers (the real ones)
//!                                        ▲                  │
//!   acts: what happens, what must be ────┘     simulated gateway with video
//! ```
//!
//! What the emulator lacks is made up for here and in `emulator.py`, never in the product;
//! docs/emulated-deployment.md lists it.

mod acts;
mod api;
mod bed;
mod budget;
mod deployment;
mod footage;
mod progress;
mod proxy;
mod relay;
mod script;
mod stack;

use anyhow::{Context, bail};
use clap::Parser;
use deployment::{Deployment, TABLES};
use jiff::Timestamp;
use progress::say;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Deploys into an emulator, and puts the deployment to the test.
#[derive(Debug, Parser)]
struct Arguments {
    /// The template that `sam build` wrote.
    #[arg(long, value_name = "FILE")]
    template: PathBuf,
    /// The recorder's image, by its name in the Docker engine.
    #[arg(long, value_name = "NAME")]
    image: String,
    /// Where logs go.
    #[arg(long, value_name = "DIR", default_value = ".cache/e2e/logs")]
    logs: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // reqwest asks for a provider of TLS even where all it speaks is HTTP.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        bail!("something else chose a TLS provider");
    }
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        done = run(&arguments) => done,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let start = Instant::now();
    let root = std::env::current_dir().context("finding the current folder")?;
    let logs = root.join(&arguments.logs);
    std::fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let bed = bed::Bed::start(&root, &logs).await?;
    say(
        start,
        "a Docker engine, an emulator of AWS and a gateway with four channels are up",
    );
    let deployment = deployment::deploy(&bed, &arguments.template, &arguments.image).await?;
    say(start, "the template is deployed");
    let outcome = tokio::select! {
        told = relay::run(&deployment) => told.map(|never| match never {}),
        played = acts::play(&deployment, &arguments.template, start) => played,
    };
    keep(&deployment, &logs)
        .await
        .context("keeping what can be looked at afterwards")?;
    outcome.with_context(|| format!("all logs are in {}", logs.display()))?;
    say(start, "the deployment did what it must");
    Ok(())
}

/// Writes down what the emulator knows and takes with it.
async fn keep(deployment: &Deployment<'_>, logs: &Path) -> anyhow::Result<()> {
    let lines = deployment.log_lines(Timestamp::UNIX_EPOCH).await?;
    std::fs::write(logs.join("cloudwatch.log"), lines.join("\n"))?;
    let mut rows = String::new();
    for table in TABLES {
        for row in deployment.rows(table).await? {
            rows.push_str(&format!("{table} {row}\n"));
        }
    }
    std::fs::write(logs.join("rows.log"), rows)?;
    let calls = deployment.bed.proxy.since(Timestamp::UNIX_EPOCH).into_iter();
    let calls: Vec<String> = calls.map(|call| call.to_string()).collect();
    std::fs::write(logs.join("calls.log"), calls.join("\n"))?;
    Ok(())
}
