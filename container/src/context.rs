//! What all parts of one recorder process share.

use crate::board::Board;
use crate::channel::machine::Moment;
use crate::config::Config;
use crate::estates::Estates;
use crate::gaps::Journal;
use crate::media::spool::Spool;
use crate::source::Credentials;
use crate::source::gate::Gate;
use crate::troubles::Troubles;
use crate::uploader::Uploader;
use crate::word::Word;
use crate::{RecorderError, Summary};
use jiff::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One recorder's shared parts. None of them knows the ports.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) credentials: Credentials,
    pub(crate) gate: Gate,
    pub(crate) word: Word,
    pub(crate) spool: Spool,
    pub(crate) journal: Journal,
    pub(crate) board: Board,
    pub(crate) troubles: Troubles,
    pub(crate) uploader: Uploader,
    pub(crate) estates: Estates,
    pub(crate) tally: Tally,
    /// Cancelled when the recorder is to end: waits become short.
    pub(crate) hurry: CancellationToken,
    pub(crate) began: Instant,
}

impl Context {
    /// Opens the spool and its journal. Blocks.
    ///
    /// # Errors
    /// The spool cannot be used, or belongs to a living recorder of the same name.
    pub(crate) fn open(config: Config, shutdown: &CancellationToken) -> Result<Self, RecorderError> {
        let spool = Spool::open(&config.spool, &config.task)?;
        let journal = Journal::open(spool.folder()).map_err(RecorderError::Journal)?;
        let credentials = Credentials {
            username: config.username.clone(),
            password: config.password.clone(),
        };
        Ok(Self {
            credentials,
            gate: Gate::default(),
            word: Word::new(&config.task),
            spool,
            journal,
            board: Board::default(),
            troubles: Troubles::default(),
            uploader: Uploader::new(config.spool_max_bytes),
            estates: Estates::default(),
            tally: Tally::default(),
            hurry: shutdown.child_token(),
            began: Instant::now(),
            config,
        })
    }

    /// What has been done and what is left to do.
    pub(crate) fn summary(&self) -> Summary {
        let (left, left_bytes) = self.uploader.waiting();
        Summary {
            segments: self.tally.segments.get(),
            bytes: self.tally.bytes.get(),
            archived: self.uploader.uploaded.get(),
            overflowed: self.uploader.overflowed.get(),
            refused: self.uploader.refused.get(),
            lost_packets: self.tally.lost_packets.get(),
            left,
            left_bytes,
            rows_left: self.journal.waiting(),
            rows_dropped: self.journal.dropped(),
        }
    }

    /// Both clocks, now.
    pub(crate) fn now(&self) -> Moment {
        Moment {
            tick: self.began.elapsed(),
            wall: Timestamp::now(),
        }
    }
}

/// Counts of one process's life.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) segments: Counter,
    pub(crate) bytes: Counter,
    pub(crate) lost_packets: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
