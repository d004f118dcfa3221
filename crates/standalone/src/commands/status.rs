//! `millrace status`: the fleet at a glance.

use crate::archive::AnyArchive;
use crate::config::{ArchiveOptions, Config, DataOptions, Options};
use crate::fleet::{Channel, Standing, observe};
use crate::tables::open;
use crate::{show, silence, spool};
use anyhow::{Context, ensure};
use domain::GapCause;
use domain::coverage::{JOIN, Span, State, coverage};
use domain::ports::{Archive, GapsTable};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use local::Sqlite;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;
use tokio::time::timeout;

/// A share that hangs keeps nobody waiting for the rest.
const ARCHIVE_ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// Arguments of `millrace status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    archive: ArchiveOptions,
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
        archive: args.archive,
        ..Options::default()
    })?;
    let table = open(&config).await?;
    loop {
        let fleet = print(&config, &table, args.json).await?;
        let Some(seconds) = args.watch else {
            return verdict(&fleet);
        };
        tokio::time::sleep(Duration::from_secs(seconds.max(1))).await;
    }
}

async fn print(config: &Config, table: &Sqlite, json: bool) -> anyhow::Result<Vec<Channel>> {
    let now = Timestamp::now();
    let silent_after = silence::read(table, config.dispatch.heartbeat_stale).await?;
    let fleet = observe(table, now, silent_after).await?;
    let lost = timeout(ARCHIVE_ANSWERS_WITHIN, lost_today(config, table, &fleet, now));
    let lost = lost.await.context("asking the archive").flatten();
    if let Err(error) = &lost {
        writeln!(
            std::io::stderr(),
            "millrace: what was lost today is not known: {error:#}"
        )?;
    }
    let lost = lost.ok();
    let spool = spool::waiting(&config.spool()).context("looking into the spool")?;
    let mut out = std::io::stdout();
    if json {
        let status = json!({"channels": fleet, "lostTodaySeconds": lost, "spool": spool});
        serde_json::to_writer_pretty(&mut out, &status)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", render(&fleet, now))?;
        let lost = lost.map_or_else(
            || "nobody knows what was lost".to_owned(),
            |lost| lost_in_words(&lost),
        );
        writeln!(out, "\nToday {lost}; {spool}.")?;
    }
    Ok(fleet)
}

/// Whether all is well. Where nothing is known to be wanted, nobody can say so: the first poll may have failed.
///
/// # Errors
/// It is not.
pub(crate) fn verdict(fleet: &[Channel]) -> anyhow::Result<()> {
    ensure!(!fleet.is_empty(), "no channel is known; has a poll succeeded?");
    let lost = fleet.iter().filter(|channel| is_lost(&channel.standing)).count();
    ensure!(
        lost == 0,
        "{lost} of {} wanted channels are not being recorded",
        fleet.len()
    );
    Ok(())
}

/// Seconds without video since local midnight, for each channel that lost any. The archive is asked only where the
/// tables have a hole: it may have been filled.
async fn lost_today(
    config: &Config,
    table: &Sqlite,
    fleet: &[Channel],
    now: Timestamp,
) -> anyhow::Result<BTreeMap<String, f64>> {
    let midnight = now.to_zoned(TimeZone::system()).start_of_day()?.timestamp();
    let mut lost = BTreeMap::new();
    let mut archive = None;
    for channel in fleet {
        let gaps = table.list_gaps(&channel.key, midnight, now).await;
        let gaps = gaps.context("reading the gaps")?;
        let Some(first) = gaps.iter().map(|gap| gap.start).min() else {
            continue;
        };
        let archive = match &mut archive {
            Some(archive) => &*archive,
            none => none.insert(AnyArchive::at(&config.archive).await),
        };
        let last = gaps.iter().map(|gap| gap.end.unwrap_or(now)).max().unwrap_or(now);
        let (from, to) = (first.max(midnight), last.min(now));
        let segments = archive.list_segments(&channel.key, from, to).await?;
        let spans = coverage(&segments, &gaps, from, to);
        let losses = spans
            .iter()
            .filter(|span| is_loss(span.state))
            .map(Span::duration);
        // What is shorter is the rounding of a segment's name to milliseconds.
        let gone: SignedDuration = losses.filter(|loss| *loss > JOIN).sum();
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
fn is_lost(standing: &Standing) -> bool {
    match standing {
        Standing::Recording | Standing::Starting => false,
        Standing::Trouble(_) | Standing::Missing(_) | Standing::Unassigned | Standing::Silent => true,
    }
}
