//! `millrace keep`: one run of the keep loop by hand.

use super::status::open;
use crate::alerts::Outbox;
use crate::archive::AnyArchive;
use crate::config::{Config, Options};
use crate::show;
use anyhow::bail;
use domain::keep::{Mode, Report, keep};
use jiff::Timestamp;
use std::io::Write;

/// Arguments of `millrace keep`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// Show what would be deleted, and delete nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs once; fails when something that should go could not.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    super::run::log_to_stderr()?;
    let config = Config::load(args.options)?;
    let table = open(&config).await?;
    let archive = AnyArchive::open(&config.archive).await?;
    let alerts = Outbox::new(config.alert_webhook.clone())?;
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Delete };
    let report = keep(&config.keep(), &archive, &table, &alerts, Timestamp::now, mode).await;
    let mut out = std::io::stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", in_words(&report, mode))?;
    }
    if let Some(failure) = report.failure {
        bail!("nothing was deleted: {failure}");
    }
    if let Some((channel, why)) = report.failed.first_key_value() {
        bail!(
            "{} channels failed, the first {channel}: {why}",
            report.failed.len()
        );
    }
    Ok(())
}

fn in_words(report: &Report, mode: Mode) -> String {
    if let Some(held) = &report.held {
        return format!("nothing deleted: {held}\n");
    }
    let verb = match mode {
        Mode::Delete => "deleted",
        Mode::DryRun => "would delete",
    };
    let mut text = format!(
        "{verb} {} objects ({}) of {} channels; episodes keep {} more ({})\n",
        report.deleted,
        show::bytes(report.deleted_bytes),
        report.channels,
        report.kept_by_episodes,
        show::bytes(report.kept_bytes)
    );
    if report.not_ours > 0 {
        text.push_str(&format!(
            "{} objects are not ours and left alone\n",
            report.not_ours
        ));
    }
    if report.unfinished {
        text.push_str("there is more: run it again\n");
    }
    text
}
