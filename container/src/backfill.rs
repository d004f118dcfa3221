//! Footage of the device's own storage, on its way to the archive.
//!
//! ```text
//! gateway ──RTSP playback──▶ source ──▶ dating ──▶ pipeline ──▶ spool ──▶ archive
//!                                         ▲
//!                archive ──frames around the hole
//! ```
//! The one idea: **frames are recognised, not dated.** The device's clock is not ours, so a playback begins before the
//! hole; a frame that the archive has already tells exactly how the two clocks compare, and where the hole begins and
//! ends. So no frame is shown twice and none is put at a wrong time. What is fetched begins with the first frame that is
//! missing; the frames it needs to be decoded are stored before it and not shown (`Segmenter::lead_in`).

mod dating;
mod footprint;
mod play;
mod telling;

pub use telling::log_round;

use crate::RecorderError;
use crate::media::spool::{Pending, Spool, SpoolError};
use crate::source::Credentials;
use crate::source::gate::Gate;
use domain::ports::{Archive, ArchiveRead, Ended, Fetch, Playback, PortError};
use domain::{Generation, SegmentKey, TaskArn};
use secrecy::SecretString;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Plays footage, for as long as a process lives: it remembers when the gateway rejected the password.
#[derive(Debug)]
pub struct Player {
    credentials: Credentials,
    gate: Gate,
}

impl Player {
    /// A player with the gateway's user.
    pub fn new(username: impl Into<String>, password: SecretString) -> Self {
        Self {
            credentials: Credentials {
                username: username.into(),
                password,
            },
            gate: Gate::default(),
        }
    }
}

/// Fetches into a spool of its own, and stores from there. One at a time: the spool is locked.
#[derive(Debug)]
pub struct Fetcher<'a, A> {
    player: &'a Player,
    archive: &'a A,
    spool: Arc<Spool>,
}

impl<'a, A: Archive + ArchiveRead> Fetcher<'a, A> {
    /// Opens the spool `name` in `folder`, which recorders must not share: they would take it for a dead one of theirs.
    /// What an earlier process left half done is removed, for it is fetched again.
    ///
    /// # Errors
    /// [`SpoolError::InUse`] while another process has it; the disk's.
    pub async fn open(
        folder: &Path,
        name: &str,
        player: &'a Player,
        archive: &'a A,
    ) -> Result<Self, RecorderError> {
        let (folder, name) = (folder.to_owned(), TaskArn::new(name));
        let spool = spawn_blocking(move || {
            let spool = Spool::open(&folder, &name)?;
            spool.discard_open()?;
            Ok::<_, SpoolError>(spool)
        })
        .await??;
        Ok(Self {
            player,
            archive,
            spool: Arc::new(spool),
        })
    }

    /// Complete segments on disk, by what they are.
    async fn pending(&self) -> Result<Vec<(SegmentKey, Pending)>, PortError> {
        let spool = Arc::clone(&self.spool);
        let pending = spawn_blocking(move || spool.pending()).await;
        let pending = pending
            .map_err(|error| PortError::unknown("reading the backfill's spool", error))?
            .map_err(|error| PortError::unknown("reading the backfill's spool", error))?;
        let ours = |pending: Pending| Some((pending.segment.clone()?, pending));
        Ok(pending
            .into_iter()
            .filter_map(ours)
            .filter(|(segment, _)| segment.generation == Generation::BACKFILL)
            .collect())
    }

    async fn find(&self, segment: &SegmentKey) -> Result<Option<Pending>, PortError> {
        let pending = self.pending().await?;
        Ok(pending
            .into_iter()
            .find_map(|(key, pending)| (key == *segment).then_some(pending)))
    }
}

impl<A: Archive + ArchiveRead> Fetch for Fetcher<'_, A> {
    async fn fetch(&self, playback: &Playback) -> Result<Ended, PortError> {
        play::play(self.player, self.archive, &self.spool, playback).await
    }

    async fn waiting(&self) -> Result<Vec<SegmentKey>, PortError> {
        Ok(self
            .pending()
            .await?
            .into_iter()
            .map(|(segment, _)| segment)
            .collect())
    }

    async fn store(&self, segment: &SegmentKey) -> Result<(), PortError> {
        let Some(pending) = self.find(segment).await? else {
            return Ok(());
        };
        self.archive
            .put(&pending.object, &pending.file, &pending.meta)
            .await?;
        tracing::info!(target: crate::RECORDINGS, object = %pending.object, bytes = pending.size_bytes, "backfilled");
        remove(&pending)
    }

    async fn discard(&self, segment: &SegmentKey) -> Result<(), PortError> {
        tracing::info!(%segment, "fetched for nothing: the archive has that time by now");
        match self.find(segment).await? {
            Some(pending) => remove(&pending),
            None => Ok(()),
        }
    }
}

fn remove(pending: &Pending) -> Result<(), PortError> {
    Spool::remove(pending).map_err(|error| PortError::unknown(format!("removing {}", pending.object), error))
}
