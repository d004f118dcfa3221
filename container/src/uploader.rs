//! From the spool to the archive: bounded at once, oldest first, for ever.
//!
//! A file leaves the spool only after the archive has it whole (`Stored`), or as a loss that is counted and has a
//! gap row: overflow of the spool, or a refusal that no repetition changes.

pub(crate) mod queue;

use crate::alerts::RECORDINGS;
use crate::backoff::{Backoff, pause};
use crate::context::{Context, Counter};
use crate::media::spool::{Pending, Spool};
use domain::alert::Severity;
use domain::ports::{Archive, PortError, Stored};
use domain::{Gap, GapCause, SegmentKey};
use jiff::Timestamp;
use queue::{Place, Queue, Waits};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Delays of one uploader between failures.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// An upload may take a minute, and as long as its bytes need on a poor line (1 Mbit/s).
const PUT_WITHIN: Duration = Duration::from_secs(60);
const PUT_BYTES_PER_SECOND: u64 = 125_000;
/// Failures in a row after which people are told.
const FAILURES_PATIENCE: u32 = 6;
/// The subjects of what people are told.
const ARCHIVE: &str = "archive";
const SPOOL: &str = "spool";
const REFUSED: &str = "refused recording";

/// What waits for the archive.
#[derive(Debug)]
pub(crate) struct Uploader {
    queue: Mutex<Queue<Pending>>,
    added: Notify,
    left: Notify,
    pub(crate) uploaded: Counter,
    pub(crate) overflowed: Counter,
    pub(crate) refused: Counter,
}

impl Waits for Pending {
    fn place(&self) -> Place {
        (self.start, self.object.clone())
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

impl Uploader {
    /// Nothing waits yet; at most `bytes_max` ever will.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            queue: Mutex::new(Queue::new(bytes_max)),
            added: Notify::new(),
            left: Notify::new(),
            uploaded: Counter::default(),
            overflowed: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// How many recordings wait, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, u64) {
        let queue = self.queue();
        (queue.len(), queue.bytes())
    }

    /// Everything that waits is due now, whatever its last failure said.
    pub(crate) fn hurry(&self) {
        self.queue().all_due();
        self.added.notify_waiters();
    }

    /// Returns when nothing waits any more.
    pub(crate) async fn emptied(&self) {
        while !self.queue().is_empty() {
            self.left.notified().await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<Pending>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the oldest recording that is due and takes it. Cancel-safe.
    async fn next(&self, context: &Context) -> Pending {
        loop {
            let now = context.now().tick;
            let due_at = {
                let mut queue = self.queue();
                if let Some(pending) = queue.next_due(now) {
                    return pending;
                }
                queue.due_at()
            };
            match due_at {
                // Elapsed or notified, look again.
                Some(due) => _ = timeout(due.saturating_sub(now), self.added.notified()).await,
                None => self.added.notified().await,
            }
        }
    }

    /// Whether a refusal is about this recording alone: the archive has taken another one since it refused this
    /// one first. An archive that refuses everything is wrongly configured, and nothing is given up for that.
    fn is_alone(&self, pending: &Pending) -> bool {
        let uploaded = self.uploaded.get();
        let mut queue = self.queue();
        queue.first_refused(&pending.place(), uploaded) < uploaded
    }

    fn leaves(&self, pending: &Pending) {
        self.queue().done(&pending.place());
        self.left.notify_one();
    }
}

/// A recording is complete and waits for the archive from now on. What no longer fits the spool goes, oldest
/// first, and is a gap.
pub(crate) fn add(context: &Context, pending: Pending) {
    let overflow = context.uploader.queue().push(pending);
    context.uploader.added.notify_one();
    overflow.iter().for_each(|oldest| overflows(context, oldest));
}

/// The disk is full although the spool's bound is not reached: the oldest recording makes room.
pub(crate) fn make_room(context: &Context) {
    let oldest = context.uploader.queue().drop_oldest();
    if let Some(oldest) = oldest {
        overflows(context, &oldest);
    }
}

fn overflows(context: &Context, pending: &Pending) {
    context.uploader.overflowed.add(1);
    tracing::error!(object = %pending.object, "spool is full: the oldest recording is lost");
    lost(context, pending, GapCause::SpoolOverflow);
    let text = "the archive has taken nothing for so long that the spool is full: the oldest recordings are \
                being lost; see why the archive does not answer, or raise --spool-max";
    context.troubles.stands(SPOOL, Severity::Critical, text);
    remove(context, pending);
}

fn lost(context: &Context, pending: &Pending, cause: GapCause) {
    if let Some(segment) = &pending.segment {
        context.journal.note(Gap {
            key: segment.channel.clone(),
            start: segment.start,
            end: Some(segment.end()),
            cause,
        });
    }
}

/// The recording needs its place on disk no more.
fn remove(context: &Context, pending: &Pending) {
    if let Err(error) = Spool::remove(pending) {
        tracing::warn!(%error, object = %pending.object, "file stays in the spool until the next start");
    }
    context.estates.left(&pending.file);
}

/// Uploads for ever, so many at once as configured.
pub(crate) async fn upload<A: Archive>(context: &Context, archive: &A) -> Infallible {
    let workers = (0..context.config.uploads_max.get()).map(|_| Box::pin(work(context, archive)));
    let (never, ..) = futures::future::select_all(workers).await;
    never
}

async fn work<A: Archive>(context: &Context, archive: &A) -> Infallible {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX, rand::random());
    loop {
        let pending = context.uploader.next(context).await;
        match put(context, archive, &pending).await {
            Ok(stored) => {
                backoff.reset();
                archived(context, &pending, stored);
            }
            Err(error @ PortError::Refused { .. }) if context.uploader.is_alone(&pending) => {
                refused(context, &pending, &error);
            }
            Err(error) => {
                let delay = backoff.next_delay();
                not_yet(context, &pending, &error, backoff.failures(), delay);
                pause(delay, &context.hurry).await;
            }
        }
    }
}

async fn put<A: Archive>(context: &Context, archive: &A, pending: &Pending) -> Result<Stored, PortError> {
    let within = PUT_WITHIN + Duration::from_secs(pending.size_bytes / PUT_BYTES_PER_SECOND);
    let _urgent = context.config.calm.urgent();
    timeout(within, archive.put(&pending.object, &pending.file, &pending.meta))
        .await
        .unwrap_or_else(|late| Err(PortError::unknown(format!("storing {}", pending.object), late)))
}

fn archived(context: &Context, pending: &Pending, stored: Stored) {
    context.uploader.uploaded.add(1);
    tracing::info!(
        target: RECORDINGS,
        object = %pending.object,
        bytes = pending.size_bytes,
        lag_ms = lag_ms(pending),
        new = stored == Stored::New,
        "archived"
    );
    remove(context, pending);
    context.uploader.leaves(pending);
    context.troubles.is_over(ARCHIVE);
    if context.uploader.queue().has_room() {
        context.troubles.is_over(SPOOL);
    }
}

/// From the end of the recording until now.
fn lag_ms(pending: &Pending) -> i64 {
    let end = pending.segment.as_ref().map_or(pending.start, SegmentKey::end);
    Timestamp::now().as_millisecond() - end.as_millisecond()
}

fn not_yet(context: &Context, pending: &Pending, error: &PortError, failures: u32, delay: Duration) {
    let due = context.now().tick + delay;
    context.uploader.queue().failed(&pending.place(), due);
    tracing::warn!(object = %pending.object, error = error.chain(), failures, "not archived yet");
    if failures >= FAILURES_PATIENCE {
        let text = format!(
            "nothing can be archived, recordings wait in the spool: {}",
            error.chain()
        );
        context.troubles.stands(ARCHIVE, Severity::Warning, text);
    }
}

/// The archive takes others, but never this one: it is set aside for a person.
fn refused(context: &Context, pending: &Pending, error: &PortError) {
    context.uploader.refused.add(1);
    lost(context, pending, GapCause::ArchiveRefused);
    let text = match context.spool.set_aside(pending) {
        Ok(path) => format!(
            "the archive refused a recording, it is kept as {}: {}",
            path.display(),
            error.chain()
        ),
        Err(failed) => format!(
            "the archive refused a recording ({}), and setting it aside failed: {failed}",
            error.chain()
        ),
    };
    tracing::error!(object = %pending.object, "{text}");
    context.troubles.stands(REFUSED, Severity::Critical, text);
    context.estates.left(&pending.file);
    context.uploader.leaves(pending);
}
