//! `millrace cost`: what a deployment on AWS costs.

use crate::show;
use anyhow::Context;
use cost::{Bill, Deployment, Dollars, Line, Neighbour, Prices, bill, neighbours};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `millrace cost`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    deployment: Deployment,
    #[command(flatten)]
    prices: PriceArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Where prices come from.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PriceArgs {
    /// The Region whose built-in prices count [default: that of the stack, or us-east-1].
    #[arg(
        long = "prices-region",
        alias = "region",
        env = "AWS_REGION",
        value_name = "REGION"
    )]
    region: Option<String>,
    /// A file of other prices, in the form that `millrace prices` shows.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
}

/// The Region whose prices count where none is known.
pub(super) const REGION_DEFAULT: &str = "us-east-1";

impl PriceArgs {
    /// Reads them; `of` is the Region of what is priced, where that is known.
    ///
    /// # Errors
    /// There are none of the Region, or the file has none.
    pub(crate) fn load(&self, of: Option<&str>) -> anyhow::Result<Prices> {
        match &self.prices {
            Some(file) => from_file(file),
            None => Ok(Prices::of(
                self.region.as_deref().or(of).unwrap_or(REGION_DEFAULT),
            )?),
        }
    }
}

fn from_file(file: &Path) -> anyhow::Result<Prices> {
    let reading = || format!("reading the prices in {}", file.display());
    let table = std::fs::read_to_string(file).with_context(reading)?;
    Prices::parse(&table).with_context(reading)
}

/// Prints the bill and its cheaper neighbours.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let prices = args.prices.load(None)?;
    let bill = bill(&prices, &args.deployment)?;
    let cheaper = neighbours(&prices, &args.deployment)?;
    let mut out = std::io::stdout();
    if args.json {
        let report = json!({
            "region": prices.region,
            "asOf": prices.as_of,
            "deployment": args.deployment,
            "lines": bill.lines,
            "total": bill.total(),
            "fixed": bill.fixed(),
            "perChannel": bill.per_channel(),
            "dominant": bill.dominant().iter().map(|line| line.item).collect::<Vec<_>>(),
            "cheaper": cheaper,
        });
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", in_words(&prices, &bill, &cheaper))?;
    }
    Ok(())
}

fn in_words(prices: &Prices, bill: &Bill, cheaper: &[Neighbour]) -> String {
    let channels = f64::from(bill.channels);
    let total = bill.total();
    let mut text = format!(
        "A month of {} channels in {}, prices of {}\n\n{}\n\n",
        bill.channels,
        prices.region,
        prices.as_of,
        lines(bill)
    );
    let dominant: Vec<String> = bill
        .dominant()
        .into_iter()
        .map(|line| format!("{} ({:.0} %)", line.item, 100.0 * line.per_month.0 / total.0))
        .collect();
    text.push_str(&format!(
        "{total} in all, {} a channel; {} of it without any channel\nmost of it: {}\n",
        total * channels.recip(),
        bill.fixed(),
        dominant.join(", ")
    ));
    if !cheaper.is_empty() {
        let rows = cheaper.iter().map(|neighbour| {
            vec![
                neighbour.saves.to_string(),
                neighbour.change.clone(),
                neighbour.gives_up.clone(),
            ]
        });
        let table = show::table(&["saves", "by", "but"], rows);
        text.push_str(&format!("\n{}\n", table.trim_fmt()));
    }
    text
}

fn lines(bill: &Bill) -> String {
    let a_channel = f64::from(bill.channels).recip();
    let row = |line: &Line| {
        let of_channel = if line.item.is_per_channel() {
            (line.per_month * a_channel).to_string()
        } else {
            String::new()
        };
        vec![
            line.item.to_string(),
            of_channel,
            line.per_month.to_string(),
            line.from.clone(),
        ]
    };
    let mut rows: Vec<Vec<String>> = bill.lines.iter().map(row).collect();
    let sum = |amount: Dollars| amount.to_string();
    rows.push(vec![
        "together".to_owned(),
        sum(bill.per_channel()),
        sum(bill.total()),
        String::new(),
    ]);
    show::table(&["what", "a channel", "all", "from"], rows).trim_fmt()
}
