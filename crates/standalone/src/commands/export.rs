//! `millrace export`: a range as one file, with a manifest for whoever must trust it.

use super::cost::PriceArgs;
use super::recordings::Recordings;
use crate::archive::{AnyArchive, OBJECT_BYTES_MAX};
use crate::export::{Clip, Source};
use crate::hash::{sha256, sha256_of_file};
use crate::output::{ensure_new, write_new};
use crate::restores::Waiting;
use crate::show;
use crate::source::SourceArgs;
use crate::when::when;
use anyhow::{Context, bail, ensure};
use domain::coverage::{Span, State, recorded_time};
use domain::ports::ArchiveRead;
use domain::{RestoreTier, SegmentKey};
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `millrace export`.
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
    #[arg(long, value_name = "WHEN", value_parser = when)]
    to: Timestamp,
    /// The file to make; its manifest gets the same name with `.json` after it.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Ask for those segments of the range that lie in an archive class, as fast as that: expedited, standard or bulk.
    /// Export again when they are there.
    #[arg(long, value_name = "TIER")]
    restore: Option<RestoreTier>,
    /// For how many days restored copies stay.
    #[arg(long, value_name = "DAYS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
    #[command(flatten)]
    prices: PriceArgs,
}

/// Writes clip and manifest; replaces no file.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let manifest_file = with_suffix(&args.output, ".json");
    ensure_new(&args.output)?;
    ensure_new(&manifest_file)?;
    let recordings = Recordings::find(
        args.source.open().await?,
        args.device,
        &args.channel,
        args.from..args.to,
    )
    .await?;
    let (segments, waiting) = recordings.playable().await?;
    if !waiting.is_empty() {
        return restore_first(&recordings, &waiting, args.restore, args.days, &args.prices).await;
    }
    let part = with_suffix(&args.output, ".part");
    let out = File::create(&part).with_context(|| format!("making {}", part.display()))?;
    let written = write_clip(&recordings.archive, &segments, out, args.from, args.to).await;
    let sources = written.inspect_err(|_| _ = std::fs::remove_file(&part))?;
    std::fs::rename(&part, &args.output).with_context(|| format!("naming {}", args.output.display()))?;

    let manifest = json!({
        "channel": recordings.key,
        "from": args.from,
        "to": args.to,
        "clipSha256": sha256_of_file(&args.output)?,
        "sources": sources,
        "missing": missing(&recordings.history.spans),
    });
    write_new(&manifest_file, &serde_json::to_vec_pretty(&manifest)?)?;
    let recorded = show::time_span(recorded_time(&recordings.history.spans));
    let whole = show::time_span(args.to.duration_since(args.from));
    let output = args.output.display();
    writeln!(
        std::io::stdout(),
        "{output}: {recorded} of {whole}, from {} segments",
        segments.len()
    )?;
    Ok(())
}

/// Says what cannot be read yet and, if so wished, asks for it. There is no clip either way.
async fn restore_first(
    recordings: &Recordings,
    waiting: &Waiting,
    tier: Option<RestoreTier>,
    days: u32,
    prices: &PriceArgs,
) -> anyhow::Result<()> {
    let prices = prices.load(recordings.source.region.as_deref()).ok();
    write!(std::io::stdout(), "{}", waiting.describe(prices.as_ref(), days))?;
    let on_their_way = match tier {
        Some(tier) => {
            waiting.ask(&recordings.archive, tier, days).await?;
            waiting.archived.len() + waiting.restoring.len()
        }
        None if waiting.archived.is_empty() => waiting.restoring.len(),
        None => bail!(
            "{} segments of the range must be restored first: --restore asks for them",
            waiting.archived.len()
        ),
    };
    bail!("{on_their_way} segments of the range are being restored: export again when they are there")
}

async fn write_clip(
    archive: &AnyArchive,
    segments: &[SegmentKey],
    out: File,
    from: Timestamp,
    to: Timestamp,
) -> anyhow::Result<Vec<Value>> {
    let progress = ProgressBar::new(segments.len() as u64);
    let mut clip = Clip::begin(out, from, to)?;
    let mut sources = Vec::new();
    for segment in segments {
        let object = segment.object_key();
        let file = archive.read(&object, 0..OBJECT_BYTES_MAX).await?;
        let meta = archive.describe(&object).await?;
        let sha256 = sha256(&file);
        if let Some(meta) = &meta {
            ensure!(
                meta.sha256 == sha256,
                "{object} is not what was stored: its SHA-256 is {sha256}"
            );
        }
        let source = Source::read(&file).with_context(|| format!("reading {object}"))?;
        clip.add(segment.start, &file, &source)?;
        let (verified, origin) = (meta.is_some(), meta.map(|meta| meta.origin));
        sources
            .push(json!({"key": object, "sha256": sha256, "matchesStoredHash": verified, "origin": origin}));
        progress.inc(1);
    }
    clip.finish()?;
    progress.finish_and_clear();
    Ok(sources)
}

fn missing(spans: &[Span]) -> Vec<&Span> {
    spans
        .iter()
        .filter(|span| span.state != State::Recorded)
        .collect()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
