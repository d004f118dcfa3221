//! The picture of an episode: the frame it begins with, taken from its first segment.
//!
//! It lies in the archive under a still's key, whose time is within the episode: the keep loop keeps it for as long as
//! the episode protects anything, and frees it with the rest.

use crate::archive::{AnyArchive, OBJECT_BYTES_MAX};
use crate::hash::sha256;
use crate::output::write_new;
use crate::restores;
use anyhow::{Context, bail, ensure};
use domain::episode;
use domain::ports::{Archive, ArchiveRead, EpisodesTable, PortError, StoredSegment};
use domain::segment::still_key;
use domain::{Episode, ObjectKey, Origin, SegmentMeta};
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Finding one frame of a segment takes a second or two.
const FFMPEG_TIME_MAX: Duration = Duration::from_secs(60);

/// A picture that was taken, and where it belongs.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) jpeg: Vec<u8>,
    key: ObjectKey,
    meta: SegmentMeta,
}

/// The picture that the episode has; `None` where it has none, or somebody deleted it by hand.
pub(crate) async fn stored(archive: &AnyArchive, episode: &Episode) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(key) = &episode.preview else {
        return Ok(None);
    };
    match archive.read(key, 0..OBJECT_BYTES_MAX).await {
        Ok(jpeg) => Ok(Some(jpeg)),
        Err(PortError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes a picture from what the archive has of the episode.
///
/// # Errors
/// It has nothing of it that can be read now, or `ffmpeg` makes no picture of it.
pub(crate) async fn take(archive: &AnyArchive, episode: &Episode, now: Timestamp) -> anyhow::Result<Picture> {
    let segment = first_segment(archive, episode, now).await?;
    let taken_at = episode.start.max(segment.key.start);
    let video = archive
        .read(&segment.key.object_key(), 0..OBJECT_BYTES_MAX)
        .await?;
    let jpeg = frame_at(video, taken_at.duration_since(segment.key.start)).await?;
    Ok(Picture {
        key: still_key(&episode.key, taken_at, segment.key.generation),
        meta: SegmentMeta {
            captured_at: taken_at,
            codecs: "jpeg".to_owned(),
            sha256: sha256(&jpeg),
            origin: Origin::Live,
            clock_drift_ms: 0,
            note: Some("preview of an episode".to_owned()),
        },
        jpeg,
    })
}

impl Picture {
    /// Writes it to `file`, from there to the archive, and its key to the episode's row.
    pub(crate) async fn store(
        self,
        archive: &AnyArchive,
        table: &impl EpisodesTable,
        episode: &Episode,
        file: &Path,
    ) -> anyhow::Result<()> {
        write_new(file, &self.jpeg)?;
        archive.put(&self.key, file, &self.meta).await?;
        episode::set_preview(table, &episode.key, episode.start, self.key).await?;
        Ok(())
    }
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
    let ended = async { tokio::join!(feed, ffmpeg.wait_with_output()).1 };
    let output = timeout(FFMPEG_TIME_MAX, ended).await;
    let output = output
        .context("ffmpeg takes too long")?
        .context("waiting for ffmpeg")?;
    if !output.status.success() || output.stdout.is_empty() {
        bail!(
            "ffmpeg made no picture: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}
