//! `millrace episodes`: what is kept longer than its retention.

use crate::archive::{ensure_known, history};
use crate::output::{ensure_new, write_new};
use crate::preview;
use crate::show;
use crate::source::{CHANNELS_AT_ONCE, Source, SourceArgs};
use crate::tables::AnyTables;
use crate::when::when;
use anyhow::Context;
use domain::coverage::recorded_time;
use domain::episode::{self, EditError, EpisodeOrigin, Made};
use domain::ports::{ChannelsTable, EpisodesTable};
use domain::{ChannelKey, DeviceIndex, Episode, Revision};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `millrace episodes`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the episodes of one channel, or of all known channels.
    List {
        /// The device's index at the gateway.
        #[arg(requires = "channel")]
        device: Option<String>,
        /// The channel's id.
        channel: Option<String>,
        /// Only those that overlap what comes after this.
        #[arg(long, value_name = "WHEN", default_value = "1970-01-01T00:00:00Z", value_parser = when)]
        from: Timestamp,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep an interval. Times are like `2026-11-21T08:00:00Z`, `2026-11-21 08:00` in local time, or `2h` for that
    /// long ago.
    Create {
        #[command(flatten)]
        place: Place,
        /// From when.
        #[arg(long, value_name = "WHEN", value_parser = when)]
        from: Timestamp,
        /// Until when; without it, until `millrace episodes end`.
        #[arg(long, value_name = "WHEN", value_parser = when)]
        to: Option<Timestamp>,
        /// Why, for whoever finds it.
        #[arg(long)]
        reason: String,
        /// `name=value`, to find it by; may be given several times.
        #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        /// When it stops keeping anything; without it, never.
        #[arg(long, value_name = "WHEN", value_parser = when)]
        expires: Option<Timestamp>,
    },
    /// Make an episode longer.
    Extend {
        #[command(flatten)]
        place: Place,
        /// Its start, as the list shows it.
        #[arg(value_name = "START")]
        start: Timestamp,
        /// Until when.
        #[arg(long, value_name = "WHEN", value_parser = when)]
        to: Timestamp,
    },
    /// End an episode that goes on, or that reaches further than it should.
    End {
        #[command(flatten)]
        place: Place,
        /// Its start, as the list shows it.
        #[arg(value_name = "START")]
        start: Timestamp,
        /// When.
        #[arg(long, value_name = "WHEN", default_value = "0s", value_parser = when)]
        at: Timestamp,
    },
    /// Write the picture an episode begins with, as a JPEG; it is kept in the archive with the episode. Needs `ffmpeg`.
    Preview {
        #[command(flatten)]
        place: Place,
        /// Its start, as the list shows it.
        #[arg(value_name = "START")]
        start: Timestamp,
        /// The file to make.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Delete an episode: what it kept falls under its retention again.
    Delete {
        #[command(flatten)]
        place: Place,
        /// Its start, as the list shows it.
        #[arg(value_name = "START")]
        start: Timestamp,
    },
}

/// Which channel.
#[derive(Debug, clap::Args)]
struct Place {
    /// The device's index at the gateway.
    device: String,
    /// The channel's id.
    channel: String,
}

impl Place {
    fn key(&self) -> ChannelKey {
        key(&self.device, &self.channel)
    }
}

fn key(device: &str, channel: &str) -> ChannelKey {
    ChannelKey::new(DeviceIndex::new(device), channel)
}

/// Does what was asked.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let source = args.source.open().await?;
    let table = &source.tables;
    match args.action {
        Action::List {
            device,
            channel,
            from,
            json,
        } => list(table, device.zip(channel), from, json).await,
        Action::Create {
            place,
            from,
            to,
            reason,
            labels,
            expires,
        } => {
            let row = Episode {
                key: place.key(),
                start: from,
                end: to,
                reason,
                labels: labels.into_iter().collect::<BTreeMap<_, _>>(),
                expires_at: expires,
                preview: None,
                origin: EpisodeOrigin::Person,
                revision: Revision::default().next(),
            };
            create(&source, row).await
        }
        Action::Extend { place, start, to } => changed(episode::extend(table, &place.key(), start, to).await),
        Action::End { place, start, at } => changed(episode::end(table, &place.key(), start, at).await),
        Action::Preview { place, start, output } => {
            ensure_new(&output)?;
            let row = episode::find(table, &place.key(), start).await?;
            let archive = source.archive().await;
            if let Some(jpeg) = preview::stored(&archive, &row).await? {
                return write_new(&output, &jpeg);
            }
            let picture = preview::take(&archive, &row, Timestamp::now()).await?;
            picture.store(&archive, table, &row, &output).await
        }
        Action::Delete { place, start } => changed(episode::delete(table, &place.key(), start).await),
    }
}

/// What became of an edit; the row is of no interest.
fn changed<R>(outcome: Result<R, EditError>) -> anyhow::Result<()> {
    outcome.map(drop).map_err(anyhow::Error::from)
}

async fn list(
    table: &AnyTables,
    place: Option<(String, String)>,
    from: Timestamp,
    json: bool,
) -> anyhow::Result<()> {
    let keys = match place {
        Some((device, channel)) => vec![key(&device, &channel)],
        None => {
            let rows = table.list_channels().await.context("reading the channels")?;
            rows.into_iter().map(|row| row.key).collect()
        }
    };
    let episodes: Vec<Vec<Episode>> = stream::iter(&keys)
        .map(async |key| {
            let listed = table.list_episodes(key, from, Timestamp::MAX).await;
            listed.with_context(|| format!("reading the episodes of {key}"))
        })
        .buffered(CHANNELS_AT_ONCE)
        .try_collect()
        .await?;
    let episodes = episodes.concat();
    let mut out = std::io::stdout();
    if json {
        serde_json::to_writer_pretty(&mut out, &episodes)?;
        writeln!(out)?;
    } else {
        let header = ["CHANNEL", "START", "END", "EXPIRES", "LABELS", "REASON"];
        writeln!(out, "{}", show::table(&header, episodes.iter().map(line)))?;
    }
    Ok(())
}

fn line(row: &Episode) -> Vec<String> {
    let labels: Vec<_> = row
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let or = |time: Option<Timestamp>, word: &str| time.map_or_else(|| word.to_owned(), show::local);
    vec![
        row.key.to_string(),
        row.start.to_string(),
        or(row.end, "goes on"),
        or(row.expires_at, "never"),
        labels.join(" "),
        row.reason.clone(),
    ]
}

/// Stores the row first, so that nothing of it goes from then on, and says what there is to keep.
async fn create(source: &Source, row: Episode) -> anyhow::Result<()> {
    let archive = source.archive().await;
    ensure_known(&archive, &source.tables, &row.key).await?;
    let made = episode::create(&source.tables, row, Timestamp::now()).await;
    let (Made::New(row) | Made::Already(row)) = made.context("making the episode")?;
    let mut out = std::io::stdout();
    writeln!(out, "kept from {} on: {}", row.start, row.reason)?;
    let until = row.end.unwrap_or_else(Timestamp::now).min(Timestamp::now());
    if row.start < until {
        let history = history(&archive, &source.tables, &row.key, row.start, until).await?;
        let recorded = recorded_time(&history.spans);
        let whole = until.duration_since(row.start);
        writeln!(
            out,
            "the archive has {} of its {} so far",
            show::time_span(recorded),
            show::time_span(whole)
        )?;
    }
    Ok(())
}

fn label(text: &str) -> Result<(String, String), String> {
    let pair = text
        .split_once('=')
        .ok_or_else(|| "expected name=value".to_owned())?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}
