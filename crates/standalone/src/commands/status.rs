//! `millrace status`: the fleet at a glance.

use crate::config::{Config, Options};
use crate::fleet::{Channel, Standing, observe};
use crate::show;
use anyhow::{Context, bail};
use jiff::Timestamp;
use local::Sqlite;
use std::io::Write;
use std::time::Duration;

/// Arguments of `millrace status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print again every so often, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    watch: Option<u64>,
}

/// Prints the fleet; fails when a wanted channel is not being recorded, so that scripts can ask.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args.options)?;
    let table = open(&config).await?;
    loop {
        let now = Timestamp::now();
        let fleet = observe(&table, now, config.dispatch.heartbeat_stale).await?;
        let mut out = std::io::stdout();
        if args.json {
            serde_json::to_writer_pretty(&mut out, &fleet)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", render(&fleet, now))?;
        }
        let Some(seconds) = args.watch else {
            let lost = fleet.iter().filter(|channel| is_lost(&channel.standing)).count();
            if lost > 0 {
                bail!("{lost} of {} wanted channels are not being recorded", fleet.len());
            }
            return Ok(());
        };
        tokio::time::sleep(Duration::from_secs(seconds.max(1))).await;
    }
}

/// The tables of a data folder that exists; looking does not make one.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Sqlite> {
    let state = config.state_file();
    if !state.exists() {
        bail!(
            "there is no {}; is --data right, and has `millrace run` run?",
            state.display()
        );
    }
    Sqlite::open(&state).await.context("opening the tables")
}

/// The fleet as a table.
pub(crate) fn render(fleet: &[Channel], now: Timestamp) -> String {
    let rows = fleet.iter().map(|channel| {
        vec![
            channel.key.to_string(),
            channel.device_name.clone(),
            channel.standing.to_string(),
            show::ago(channel.last_segment_at, now),
            channel
                .task
                .as_ref()
                .map_or_else(String::new, |task| short(task.as_str())),
        ]
    });
    show::table(
        &["CHANNEL", "DEVICE", "STATE", "NEWEST SEGMENT", "RECORDER"],
        rows,
    )
    .to_string()
}

fn short(task: &str) -> String {
    task.chars().take(14).collect()
}

fn is_lost(standing: &Standing) -> bool {
    match standing {
        Standing::Recording | Standing::Starting => false,
        Standing::Trouble(_) | Standing::Missing(_) | Standing::Unassigned | Standing::Silent => true,
    }
}
