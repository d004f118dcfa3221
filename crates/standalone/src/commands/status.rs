//! `millrace status`: the fleet at a glance.

use crate::config::{Config, DataOptions, Options, PullOptions};
use crate::fleet::{Channel, Standing, observe};
use crate::{show, spool};
use anyhow::{Context, bail};
use domain::GapCause;
use domain::coverage::{Span, State, coverage};
use domain::ports::GapsTable;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use local::Sqlite;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// Arguments of `millrace status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    pull: PullOptions,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print again every so often, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    watch: Option<u64>,
}

/// Prints the fleet; fails when a wanted channel is not being recorded, so that scripts can ask.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let config = Config::load_without_gateway(Options {
        data: args.data,
        pull: args.pull,
        ..Options::default()
    })?;
    let table = open(&config).await?;
    loop {
        let now = Timestamp::now();
        let fleet = observe(&table, now, config.dispatch.heartbeat_stale).await?;
        let lost = lost_today(&table, &fleet, now).await?;
        let spool = spool::waiting(&config.spool()).context("looking into the spool")?;
        let mut out = std::io::stdout();
        if args.json {
            let status = json!({"channels": fleet, "lostTodaySeconds": lost, "spool": spool});
            serde_json::to_writer_pretty(&mut out, &status)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", render(&fleet, now))?;
            writeln!(out, "\nToday {}; {spool}.", lost_in_words(&lost))?;
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

/// Seconds without video since local midnight, for each channel that lost any.
async fn lost_today<T: GapsTable>(
    table: &T,
    fleet: &[Channel],
    now: Timestamp,
) -> anyhow::Result<BTreeMap<String, f64>> {
    let midnight = now.to_zoned(TimeZone::system()).start_of_day()?.timestamp();
    let mut lost = BTreeMap::new();
    for channel in fleet {
        let gaps = table
            .list_gaps(&channel.key, midnight, now)
            .await
            .context("reading the gaps")?;
        let spans = coverage(&[], &gaps, midnight, now);
        let gone: SignedDuration = spans
            .iter()
            .filter(|span| is_loss(span.state))
            .map(Span::duration)
            .sum();
        if gone > SignedDuration::ZERO {
            lost.insert(channel.key.to_string(), gone.as_secs_f64());
        }
    }
    Ok(lost)
}

fn is_loss(state: State) -> bool {
    match state {
        State::Gap(cause) => cause != GapCause::NotWanted,
        State::Recorded | State::Unexplained => false,
    }
}

fn lost_in_words(lost: &BTreeMap<String, f64>) -> String {
    let worst = lost.iter().max_by(|a, b| a.1.total_cmp(b.1));
    match worst {
        None => "nothing was lost".to_owned(),
        Some((key, seconds)) => {
            let span = SignedDuration::try_from_secs_f64(*seconds).unwrap_or_default();
            format!(
                "{} channels have gaps, the most {key} with {}",
                lost.len(),
                show::time_span(span)
            )
        }
    }
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

/// Whether a wanted channel is not being recorded.
pub(crate) fn is_lost(standing: &Standing) -> bool {
    match standing {
        Standing::Recording | Standing::Starting => false,
        Standing::Trouble(_) | Standing::Missing(_) | Standing::Unassigned | Standing::Silent => true,
    }
}
