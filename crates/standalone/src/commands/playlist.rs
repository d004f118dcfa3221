//! `millrace playlist`: any range of a channel for players of HLS.

use super::recordings::Recordings;
use crate::archive::AnyArchive;
use crate::output::{ensure_new, folder_of, write_new};
use crate::playlist::{Entry, Tracks, header_bytes, master, playlist};
use crate::source::SourceArgs;
use crate::when::when;
use anyhow::{Context, ensure};
use domain::SegmentKey;
use domain::ports::ArchiveRead;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `millrace playlist`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The device's index at the gateway.
    device: String,
    /// The channel's id.
    channel: String,
    /// From when: `2026-11-21T08:00:00Z`, `2026-11-21 08:00` in local time, or `2h` for that long ago.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    from: Timestamp,
    /// Until when, in the same ways.
    #[arg(long, value_name = "WHEN", default_value = "0s", value_parser = when)]
    to: Timestamp,
    /// Where the archive's root is for the player, for example `https://video.example/archive/`; without it, segments
    /// are named relative to the root, for a playlist that lies there.
    #[arg(long, value_name = "URL", default_value = "")]
    base_url: String,
    /// The file to write [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write a playlist that names --output with its codecs and bit rates, into the same folder: what some players
    /// need, those of H.265 first of all.
    #[arg(long, value_name = "FILE", requires = "output")]
    master: Option<PathBuf>,
}

/// Segments whose beginnings are read at once.
const READS_AT_ONCE: usize = 16;
/// As much of a segment as its header may take: ours have a few kilobytes.
const HEADER_BYTES_MAX: u64 = 64 * 1024;

/// Writes the playlist; fails when there is nothing to play, and replaces no file.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    check(args.output.as_deref(), args.master.as_deref())?;
    let recordings = Recordings::find(
        args.source.open().await?,
        args.device,
        &args.channel,
        args.from..args.to,
    )
    .await?;
    let (segments, waiting) = recordings.playable().await?;
    ensure!(
        waiting.is_empty(),
        "{} of {} segments lie in an archive class and {} are being restored; `millrace export` of the range says which, \
         and asks for them",
        waiting.archived.len(),
        segments.len(),
        waiting.restoring.len()
    );
    let progress = ProgressBar::new(segments.len() as u64);
    let sizes: BTreeMap<&SegmentKey, u64> = recordings
        .history
        .objects
        .iter()
        .map(|object| (&object.key, object.size_bytes))
        .collect();
    let entries: Vec<Entry> = stream::iter(segments)
        .map(async |segment| {
            let size_bytes = sizes.get(&segment).copied().unwrap_or(0);
            let entry = entry(&recordings.archive, segment, size_bytes).await?;
            progress.inc(1);
            anyhow::Ok(entry)
        })
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    progress.finish_and_clear();
    let text = playlist(&entries, &recordings.history.spans, args.from, &args.base_url);
    let Some(file) = args.output else {
        return Ok(std::io::stdout().write_all(text.as_bytes())?);
    };
    write_new(&file, text.as_bytes())?;
    let Some(master_file) = args.master else {
        return Ok(());
    };
    let name = file.file_name().context("--output is no file")?;
    let text = master(&entries, &name.to_string_lossy());
    write_new(&master_file, text.as_bytes())
}

/// Before anything is read: that the files can be made, and that the one finds the other.
fn check(output: Option<&Path>, master: Option<&Path>) -> anyhow::Result<()> {
    for file in output.iter().chain(&master) {
        ensure_new(file)?;
    }
    let (Some(output), Some(master)) = (output, master) else {
        return Ok(());
    };
    ensure!(
        folder_of(output)? == folder_of(master)?,
        "--master and --output must be in the same folder"
    );
    ensure!(
        output.file_name() != master.file_name(),
        "--master and --output must be two files"
    );
    Ok(())
}

async fn entry(archive: &AnyArchive, segment: SegmentKey, size_bytes: u64) -> anyhow::Result<Entry> {
    let object = segment.object_key();
    let reading = || format!("reading the header of {object}");
    let beginning = archive.read(&object, 0..HEADER_BYTES_MAX).await?;
    let header_bytes = header_bytes(&beginning).with_context(reading)?;
    let header = usize::try_from(header_bytes)
        .ok()
        .and_then(|end| beginning.get(..end))
        .with_context(reading)?;
    let tracks = Tracks::read(header).with_context(reading)?;
    Ok(Entry {
        segment,
        header_bytes,
        tracks,
        size_bytes,
    })
}
