//! The picture of an episode: the frame it begins with, taken from its first segment.
//!
//! It lies in the archive under a still's key, whose time is within the episode: the keep loop keeps it for as long as
//! the episode protects anything, and frees it with the rest.

use crate::archive::AnyArchive;
use crate::commands::export::sha256;
use crate::restores;
use anyhow::{Context, bail, ensure};
use domain::ports::{Archive, ArchiveRead, PortError, StoredSegment};
use domain::segment::still_key;
use domain::{Episode, ObjectKey, Origin, SegmentMeta};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// No segment or picture of ours is larger.
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Writes the picture to `file`. Answers its key when the episode's row does not have it yet.
pub(super) async fn write(
    archive: &AnyArchive,
    episode: &Episode,
    now: Timestamp,
    file: &Path,
) -> anyhow::Result<Option<ObjectKey>> {
    ensure!(!file.exists(), "{} is there already", file.display());
    if let Some(key) = &episode.preview {
        match archive.read(key, 0..BYTES_MAX).await {
            Ok(picture) => {
                save(file, &picture)?;
                return Ok(None);
            }
            // It was deleted by hand: it is taken anew.
            Err(PortError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let segment = first_segment(archive, episode, now).await?;
    let taken_at = episode.start.max(segment.key.start);
    let video = archive.read(&segment.key.object_key(), 0..BYTES_MAX).await?;
    let picture = frame_at(video, taken_at.duration_since(segment.key.start)).await?;
    save(file, &picture)?;
    let key = still_key(&episode.key, taken_at, segment.key.generation);
    let meta = SegmentMeta {
        captured_at: taken_at,
        codecs: "jpeg".to_owned(),
        sha256: sha256(&picture),
        origin: Origin::Live,
        clock_drift_ms: 0,
        note: Some("preview of an episode".to_owned()),
    };
    archive.put(&key, file, &meta).await?;
    Ok(Some(key))
}

fn save(file: &Path, picture: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, picture).with_context(|| format!("writing {}", file.display()))
}

async fn first_segment(
    archive: &AnyArchive,
    episode: &Episode,
    now: Timestamp,
) -> anyhow::Result<StoredSegment> {
    let until = episode
        .end
        .unwrap_or(now)
        .max(episode.start + SignedDuration::from_secs(1));
    let stored = archive.list_stored(&episode.key, episode.start, until).await?;
    let first = stored.into_iter().next();
    let first =
        first.with_context(|| format!("nothing of the episode from {} is in the archive", episode.start))?;
    let waiting = restores::look(archive, std::slice::from_ref(&first)).await?;
    ensure!(
        waiting.is_empty(),
        "{} must be restored first: `millrace export` asks for it",
        first.key
    );
    Ok(first)
}

/// The frame that is shown so long after the segment's first, as a JPEG.
async fn frame_at(video: Vec<u8>, offset: SignedDuration) -> anyhow::Result<Vec<u8>> {
    let offset = format!("{}us", offset.as_micros());
    let mut ffmpeg = Command::new("ffmpeg")
        // Its times as they are: those of a lead-in are below zero, and are no pictures of the segment.
        .args([
            "-v",
            "error",
            "-copyts",
            "-i",
            "pipe:0",
            "-ss",
            &offset,
            "-frames:v",
            "1",
        ])
        .args(["-f", "image2pipe", "-c:v", "mjpeg", "-q:v", "3", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting ffmpeg, which pictures need")?;
    let mut input = ffmpeg.stdin.take().context("ffmpeg has no input")?;
    let feed = async move {
        // It has what it wants before the segment's end, and closes its input.
        _ = input.write_all(&video).await;
    };
    let ((), output) = tokio::join!(feed, ffmpeg.wait_with_output());
    let output = output.context("waiting for ffmpeg")?;
    if !output.status.success() || output.stdout.is_empty() {
        bail!(
            "ffmpeg made no picture: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}
