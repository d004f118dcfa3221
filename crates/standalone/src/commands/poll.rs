//! `millrace poll`: one poll by hand.

use crate::alerts::Outbox;
use crate::config::{AlertOptions, Config, DataOptions, GatewayOptions, Options, PollOptions};
use crate::gateway;
use crate::tables::open_or_make;
use anyhow::{bail, ensure};
use domain::poll::{Report, look, poll};
use jiff::Timestamp;
use std::io::Write;

/// Arguments of `millrace poll`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    gateway: GatewayOptions,
    #[command(flatten)]
    poll: PollOptions,
    #[command(flatten)]
    alerts: AlertOptions,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Remove what is missing for long even if it is much at once: you have looked, and it is really gone.
    #[arg(long)]
    accept_removals: bool,
}

/// Polls once and says what changed, or would.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    crate::log::to_stderr()?;
    let mut config = Config::load(Options {
        data: args.data,
        gateway: args.gateway,
        poll: args.poll,
        alerts: args.alerts,
        ..Options::default()
    })?;
    config.poll.accept_removals = args.accept_removals;
    let gateway = gateway::client(config.gateway()?)?;
    let table = open_or_make(&config).await?;
    let mut out = std::io::stdout();
    if args.dry_run {
        let mut report = Report::default();
        let plan = look(&config.poll, &gateway, &table, Timestamp::now(), &mut report).await?;
        write!(out, "{plan}")?;
        writeln!(
            out,
            "{} devices, {} online; {} channels known",
            report.devices, report.devices_online, report.channels
        )?;
        return result(&report);
    }
    let alerts = Outbox::new(config.alert_webhook)?;
    let report = poll(&config.poll, &gateway, &table, &alerts, Timestamp::now()).await;
    if report.failure.is_none() {
        let Report {
            devices,
            devices_online,
            added,
            removed,
            updated,
            held,
            ..
        } = report;
        writeln!(
            out,
            "{devices} devices, {devices_online} online; {added} channels added, {removed} removed, {updated} updated, {held} removals held"
        )?;
    }
    result(&report)
}

/// Says what failed; the next poll tries it again.
fn result(report: &Report) -> anyhow::Result<()> {
    if let Some(failure) = &report.failure {
        bail!("the poll failed and changed nothing: {failure}");
    }
    let lookups = report.lookups_failed.iter();
    let lookups = lookups.map(|(of, why)| format!("looking into {of}: {why}"));
    let failures: Vec<String> = lookups.chain(report.writes_failed.iter().cloned()).collect();
    ensure!(
        failures.is_empty(),
        "not all could be done:\n  {}",
        failures.join("\n  ")
    );
    Ok(())
}
