//! `millrace keep`: one run of the keep loop by hand.

use super::cost::PriceArgs;
use crate::alerts::Outbox;
use crate::config::{AlertOptions, Options};
use crate::show;
use crate::source::SourceArgs;
use anyhow::{bail, ensure};
use cost::{Dollars, NoPrice, Prices, kept_per_month};
use domain::StorageClass;
use domain::keep::{BytesByClass, Mode, Report, keep};
use jiff::Timestamp;
use serde::Serialize;
use std::io::Write;

/// Arguments of `millrace keep`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    alerts: AlertOptions,
    /// Show what would be deleted, and delete nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    prices: PriceArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs once; fails when something that should go could not.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    crate::log::to_stderr()?;
    ensure!(
        args.dry_run || args.source.stack().is_none(),
        "of a stack archive-keeper deletes what may go, every hour; `--dry-run` says what that is"
    );
    let options = Options {
        alerts: args.alerts,
        ..Options::default()
    };
    let source = args.source.open_with(options).await?;
    let archive = source.archive().await;
    let alerts = Outbox::new(source.config.alert_webhook.clone())?;
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Delete };
    let policy = source.config.keep();
    let progress = show::spinner("looking through the archive");
    let report = keep(&policy, &archive, &source.tables, &alerts, Timestamp::now, mode).await;
    progress.finish_and_clear();
    let mut out = std::io::stdout();
    let prices = args.prices.load(source.region.as_deref());
    if args.json {
        let money = prices.as_ref().ok().and_then(|prices| Money::of(&report, prices));
        let report = ReportWithMoney {
            report: &report,
            money,
        };
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", in_words(&report, mode))?;
        write!(out, "{}", money_in_words(&report, &prices))?;
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

/// The report, and what its bytes cost where they lie.
#[derive(Serialize)]
struct ReportWithMoney<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(flatten)]
    money: Option<Money>,
}

/// Dollars a month; only of archives that have storage classes.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Money {
    /// What is no longer paid once the objects are gone.
    freed_per_month: Dollars,
    /// What objects past their retention cost because episodes keep them.
    kept_per_month: Dollars,
}

impl Money {
    /// `None` where no object has a class, or a class has no price.
    fn of(report: &Report, prices: &Prices) -> Option<Self> {
        let (freed, kept) = (&report.deleted_bytes_by_class, &report.kept_bytes_by_class);
        if freed.is_empty() && kept.is_empty() {
            return None;
        }
        Some(Self {
            freed_per_month: per_month(freed, prices).ok()?,
            kept_per_month: per_month(kept, prices).ok()?,
        })
    }
}

fn per_month(bytes: &BytesByClass, prices: &Prices) -> Result<Dollars, NoPrice> {
    let costs = bytes
        .0
        .iter()
        .map(|(class, bytes)| kept_per_month(prices, *class, *bytes));
    costs.sum()
}

/// A line for each class, or why there is no price. Nothing where there are no classes.
fn money_in_words(report: &Report, prices: &anyhow::Result<Prices>) -> String {
    let mut text = String::new();
    for (what, bytes) in [
        ("freed", &report.deleted_bytes_by_class),
        ("kept by episodes", &report.kept_bytes_by_class),
    ] {
        for (class, bytes) in &bytes.0 {
            let price = match prices {
                Ok(prices) => match kept_per_month(prices, *class, *bytes) {
                    Ok(dollars) => format!("{dollars} a month{}", at_least(prices, *class)),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            text.push_str(&format!("  {what}: {class} {}, {price}\n", show::bytes(*bytes)));
        }
    }
    text
}

/// Archive classes bill an object for some days even if it goes before.
fn at_least(prices: &Prices, class: StorageClass) -> String {
    match prices.class(class).map_or(0, |class| class.days_min) {
        0 => String::new(),
        days => format!(" (from {days} days after each was moved there)"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn report(classes: &[(StorageClass, u64)]) -> Report {
        Report {
            deleted_bytes_by_class: BytesByClass(classes.iter().copied().collect()),
            kept_bytes_by_class: BytesByClass(BTreeMap::from([(StorageClass::Standard, 1_000_000_000)])),
            ..Report::default()
        }
    }

    #[test]
    fn what_is_freed_has_its_price_by_class() {
        let prices = Prices::of("us-east-1").unwrap();
        let report = report(&[
            (StorageClass::Standard, 10_000_000_000),
            (StorageClass::Glacier, 100_000_000_000),
        ]);
        let money = Money::of(&report, &prices).unwrap();
        assert!((money.freed_per_month.0 - 0.59).abs() < 1e-9, "{money:?}");
        assert!((money.kept_per_month.0 - 0.023).abs() < 1e-9, "{money:?}");
        let words = money_in_words(&report, &Ok(prices));
        let expected = "  freed: STANDARD 10.00 GB, $0.23 a month
  freed: GLACIER 100.00 GB, $0.36 a month (from 90 days after each was moved there)
  kept by episodes: STANDARD 1.00 GB, $0.023 a month
";
        assert_eq!(words, expected);
    }

    #[test]
    fn a_class_or_region_without_a_price_is_told_and_a_folder_has_no_money() {
        let prices = Prices::of("us-east-1").unwrap();
        let other = report(&[(StorageClass::Other, 1)]);
        assert_eq!(Money::of(&other, &prices), None);
        assert!(money_in_words(&other, &Ok(prices.clone())).contains("have no storage class OTHER"));
        assert!(money_in_words(&other, &Prices::of("x").map_err(Into::into)).contains("no prices of x"));
        assert_eq!(Money::of(&Report::default(), &prices), None);
        assert_eq!(money_in_words(&Report::default(), &Ok(prices)), "");
    }
}
