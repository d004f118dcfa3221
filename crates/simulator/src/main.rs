//! `millrace-simulator`: a gateway on this machine, until Ctrl-C.

use anyhow::Context;
use clap::Parser;
use simulator::{Scenario, Simulator};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A simulated media gateway: Hikvision's HTTP API, real RTSP video, and faults on demand.
///
/// Without a scenario it has four devices of one channel each. Its only user is `admin`; the password is the
/// scenario's `gateway.password`, `Millrace-2020` when that is not set. Faults are POSTed as JSON to the
/// control URL it prints, for example `{"op": "reboot"}`. MILLRACE_LOG says which log lines it writes.
#[derive(Debug, Parser)]
#[command(name = "millrace-simulator", version)]
struct Arguments {
    /// The scenario: a TOML file; examples are in crates/simulator/scenarios.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["devices", "channels"])]
    scenario: Option<PathBuf>,

    /// How many devices there are without a scenario.
    #[arg(long, value_name = "N", default_value_t = 4)]
    devices: u32,

    /// How many channels each of them has.
    #[arg(long, value_name = "N", default_value_t = 1)]
    channels: u32,

    /// Where the HTTP API listens, instead of where the scenario says; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// Where RTSP listens.
    #[arg(long, value_name = "ADDRESS:PORT")]
    rtsp_listen: Option<SocketAddr>,

    /// Where the control endpoint listens; a loopback address, for it asks for no password.
    #[arg(long, value_name = "ADDRESS:PORT")]
    control_listen: Option<SocketAddr>,

    /// Keep encoded video in this folder for the next start.
    #[arg(long, value_name = "DIR")]
    video_cache: Option<PathBuf>,

    /// Hand out stream URLs without serving them; needs no ffmpeg.
    #[arg(long)]
    api_only: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("MILLRACE_LOG").unwrap_or_else(|_unset| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let simulator = tokio::select! {
        started = Simulator::start(scenario(&arguments)?) => started?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    announce(&simulator).context("printing the addresses")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    simulator.shutdown().await;
    Ok(())
}

fn scenario(arguments: &Arguments) -> anyhow::Result<Scenario> {
    let mut scenario = match &arguments.scenario {
        Some(file) => Scenario::load(file)?,
        None => Scenario::generated(arguments.devices, arguments.channels),
    };
    let gateway = &mut scenario.gateway;
    gateway.listen = arguments.listen.unwrap_or(gateway.listen);
    gateway.rtsp_listen = arguments.rtsp_listen.unwrap_or(gateway.rtsp_listen);
    gateway.control_listen = arguments.control_listen.unwrap_or(gateway.control_listen);
    scenario.api_only |= arguments.api_only;
    scenario.video_cache = arguments.video_cache.clone().or(scenario.video_cache);
    Ok(scenario)
}

/// Prints where everything is, one `name value` a line.
fn announce(simulator: &Simulator) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "api      {}", simulator.api_url())?;
    writeln!(out, "rtsp     {}", simulator.rtsp_addr())?;
    writeln!(out, "control  {}", simulator.control_url())?;
    writeln!(out, "user     {}", simulator.username())?;
    if let Some(certificate) = simulator.certificate() {
        writeln!(out, "sha256   {}", certificate.fingerprint)?;
    }
    out.flush()
}
