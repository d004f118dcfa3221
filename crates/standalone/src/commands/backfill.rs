//! `millrace backfill`: holes are filled from the devices' own storage, by hand.

use crate::alerts::Outbox;
use crate::archive::AnyArchive;
use crate::backfill::Backfill;
use crate::config::{AlertOptions, BackfillOptions, Config, GatewayOptions, Options};
use crate::gateway;
use crate::show;
use crate::source::{Source, SourceArgs};
use crate::tables::open;
use anyhow::{bail, ensure};
use domain::backfill::{Report, survey};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use std::io::Write;

/// Arguments of `millrace backfill`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    gateway: GatewayOptions,
    #[command(flatten)]
    holes: BackfillOptions,
    #[command(flatten)]
    alerts: AlertOptions,
    /// Show what would be asked for, and ask for nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: one report a line, for each round.
    #[arg(long)]
    json: bool,
}

/// Fills what can be filled now; fails when something could not be.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    crate::log::to_stderr()?;
    let options = Options {
        gateway: args.gateway,
        backfill: args.holes,
        alerts: args.alerts,
        ..Options::default()
    };
    if args.dry_run {
        return dry_run(&args.source.open_with(options).await?, args.json).await;
    }
    ensure!(
        args.source.stack().is_none(),
        "a stack fills its holes by itself, within its network, when `BackfillSchedule` says; `--dry-run` says which"
    );
    fill(Config::load(args.source.local(options))?, args.json).await
}

async fn dry_run(source: &Source, json: bool) -> anyhow::Result<()> {
    let archive = source.archive().await;
    let report = survey(
        &source.config.backfill,
        &archive,
        &source.tables,
        Timestamp::now(),
    )
    .await?;
    let mut out = std::io::stdout();
    if json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", planned(&report))?;
    }
    result(&report)
}

async fn fill(config: Config, json: bool) -> anyhow::Result<()> {
    let table = open(&config).await?;
    let alerts = Outbox::new(config.alert_webhook.clone())?;
    let access = config.gateway()?;
    let backfill = Backfill::new(gateway::client(access)?, access);
    let archive = AnyArchive::at(&config.archive).await;
    let found = survey(&config.backfill, &archive, &table, Timestamp::now()).await?;
    let mut out = std::io::stdout();
    let mut total = Total::of(found.missing);
    let progress = progress(found.missing);
    loop {
        let report = backfill.round(&config, &table, &alerts).await?;
        if json {
            serde_json::to_writer(&mut out, &report)?;
            writeln!(out)?;
        }
        total.add(&report, &progress);
        if report.has_more() {
            continue;
        }
        progress.finish_and_clear();
        if !json {
            write!(out, "{}", total.in_words(&report))?;
        }
        return result(&report);
    }
}

fn planned(report: &Report) -> String {
    let mut text = format!(
        "{} of {} channels are missing and may be on their devices\n",
        show::time_span(report.missing),
        report.channels
    );
    for piece in &report.pieces {
        text.push_str(&format!(
            "would ask {} for {} from {}\n",
            piece.key,
            show::time_span(piece.missing.duration()),
            show::local(piece.missing.start)
        ));
    }
    text
}

fn result(last: &Report) -> anyhow::Result<()> {
    if let Some(why) = last.failure.as_ref().or(last.held.as_ref()) {
        bail!("holes are not filled: {why}");
    }
    if let Some((channel, why)) = last.failed.first_key_value() {
        bail!(
            "{} channels failed, the first {channel}: {why}",
            last.failed.len()
        );
    }
    Ok(())
}

/// Seconds of holes, of those that were missing at first. A round plays for minutes, so the clock and the spinner move
/// by themselves.
fn progress(missing: SignedDuration) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{spinner} {bar:30} {pos} of {len} s of holes looked into, {elapsed_precise}",
    );
    let style = style.expect("the template is well formed");
    let bar = ProgressBar::new(seconds(missing)).with_style(style);
    bar.enable_steady_tick(show::TICK);
    bar
}

fn seconds(time: SignedDuration) -> u64 {
    u64::try_from(time.as_secs()).unwrap_or(0)
}

/// What all rounds did.
#[derive(Debug)]
struct Total {
    missing_at_first: SignedDuration,
    stored: usize,
    filled: SignedDuration,
    not_on_device: SignedDuration,
}

impl Total {
    fn of(missing_at_first: SignedDuration) -> Self {
        Self {
            missing_at_first,
            stored: 0,
            filled: SignedDuration::ZERO,
            not_on_device: SignedDuration::ZERO,
        }
    }

    fn add(&mut self, report: &Report, progress: &ProgressBar) {
        self.stored += report.stored;
        self.filled = self.filled.saturating_add(report.filled);
        self.not_on_device = self.not_on_device.saturating_add(report.not_on_device);
        progress.set_position(seconds(self.filled.saturating_add(self.not_on_device)));
    }

    fn in_words(&self, last: &Report) -> String {
        let missing = show::time_span(self.missing_at_first);
        let channels = last.channels;
        let mut text = format!(
            "filled {} of {missing} in {channels} channels, {} segments; the devices do not have {}\n",
            show::time_span(self.filled),
            self.stored,
            show::time_span(self.not_on_device)
        );
        if last.devices_waiting > 0 {
            text.push_str(&format!(
                "{} devices failed lately and are asked later\n",
                last.devices_waiting
            ));
        }
        text
    }
}
