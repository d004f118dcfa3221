//! What dead recorders of this machine left behind: found, salvaged, uploaded and cleared away by the living.
//!
//! A folder whose lock can be taken belongs to a dead recorder; holding the lock makes its files ours until the
//! last one is in the archive.

use crate::context::Context;
use crate::media::salvage::{Damaged, salvage};
use crate::media::spool::{Pending, Spool, SpoolError};
use crate::uploader;
use domain::{ChannelKey, Gap, GapCause, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// What was recorded before this process, by channel: the end of the newest recording in the spool.
pub(crate) type OnDisk = BTreeMap<ChannelKey, Timestamp>;

/// How often the living look for the dead.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A file that its recorder had just begun when it died may have no whole picture yet: fragments are half a second long, and how
/// long a picture is shows with the next. That is the hole of the death, and no damage.
const JUST_BEGUN: SignedDuration = SignedDuration::from_secs(2);

/// The folders taken over and not empty yet.
#[derive(Debug, Default)]
pub(crate) struct Estates(Mutex<Vec<Estate>>);

#[derive(Debug)]
struct Estate {
    spool: Spool,
    left: usize,
}

impl Estates {
    /// A file is gone from the spool; the folder of a dead recorder goes with its last file.
    pub(crate) fn left(&self, file: &Path) {
        let mut estates = self.lock();
        let Some(index) = estates
            .iter()
            .position(|estate| file.starts_with(estate.spool.folder()))
        else {
            return;
        };
        let estate = &mut estates[index];
        estate.left = estate.left.saturating_sub(1);
        if estate.left == 0 {
            clear(estates.swap_remove(index).spool);
        }
    }

    fn keep(&self, spool: Spool, left: usize) {
        if left == 0 {
            return clear(spool);
        }
        self.lock().push(Estate { spool, left });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Estate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn clear(spool: Spool) {
    let task = spool.task().clone();
    match spool.remove_if_empty() {
        Ok(true) => tracing::info!(%task, "a dead recorder's spool is archived and removed"),
        Ok(false) => {
            tracing::warn!(%task, "a dead recorder's spool has more than recordings; it stays");
        }
        Err(error) => tracing::warn!(%task, %error, "a dead recorder's spool is not removed"),
    }
}

/// Takes up what our own folder and the dead recorders' hold. Blocks.
///
/// # Errors
/// Our own folder cannot be read or written; trouble with a dead one is only logged.
pub(crate) fn take_up(context: &Context) -> Result<OnDisk, SpoolError> {
    let mut on_disk = OnDisk::new();
    let own = settle(context, &context.spool)?;
    enqueue(context, own, &mut on_disk);
    take_over(context, &mut on_disk);
    Ok(on_disk)
}

/// Looks for newly dead recorders, for ever.
pub(crate) async fn watch(context: &Arc<Context>) -> Infallible {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let context = Arc::clone(context);
        let looked = spawn_blocking(move || take_over(&context, &mut OnDisk::new())).await;
        if let Err(error) = looked {
            tracing::error!(%error, "looking for dead recorders ended by a fault of this program");
        }
    }
}

fn take_over(context: &Context, on_disk: &mut OnDisk) {
    let dead = context.spool.dead().unwrap_or_else(|error| {
        tracing::warn!(%error, "spools of dead recorders not looked for");
        Vec::new()
    });
    for spool in dead {
        let task = spool.task().clone();
        let taken = settle(context, &spool);
        let absorbed = context.journal.absorb(spool.folder());
        match (taken, absorbed) {
            (Ok(pending), Ok(())) => {
                tracing::info!(%task, recordings = pending.len(), "a dead recorder's spool is taken over");
                context.estates.keep(spool, pending.len());
                enqueue(context, pending, on_disk);
            }
            // Its lock is given back; the next look tries again.
            (Err(error), _) => tracing::warn!(%task, %error, "a dead recorder's spool is not taken over"),
            (_, Err(error)) => tracing::warn!(%task, %error, "a dead recorder's gap rows are not taken over"),
        }
    }
}

/// Closes what was open; returns everything that waits.
fn settle(context: &Context, spool: &Spool) -> Result<Vec<Pending>, SpoolError> {
    let salvaged = salvage(spool)?;
    for pending in &salvaged.closed {
        tracing::info!(object = %pending.object, bytes = pending.size_bytes, "salvaged");
    }
    for damaged in &salvaged.damaged {
        let Some(gap) = gap_of(damaged) else {
            tracing::info!(channel = %damaged.channel, reason = damaged.reason, "nothing of a recording is left");
            continue;
        };
        tracing::error!(channel = %damaged.channel, reason = damaged.reason, "a recording could not be salvaged");
        context.journal.note(gap);
    }
    spool.pending()
}

/// The hole a damaged file leaves, if anything need have been in it.
fn gap_of(damaged: &Damaged) -> Option<Gap> {
    let start = damaged.start?;
    let end = damaged
        .written_at
        .filter(|end| end.duration_since(start) > JUST_BEGUN)?;
    Some(Gap {
        key: damaged.channel.clone(),
        start,
        end: Some(end),
        cause: GapCause::SpoolDamaged,
    })
}

fn enqueue(context: &Context, pending: Vec<Pending>, on_disk: &mut OnDisk) {
    for pending in pending {
        if let Some(end) = pending.segment.as_ref().map(SegmentKey::end) {
            let newest = on_disk.entry(pending.channel.clone()).or_insert(end);
            *newest = end.max(*newest);
        }
        uploader::add(context, pending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_just_begun_is_no_damage() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let after = |milliseconds| Damaged {
            channel: ChannelKey::new("A", "1"),
            start: Some(start),
            written_at: Some(start + SignedDuration::from_millis(milliseconds)),
            reason: "no whole picture in it".into(),
        };
        assert_eq!(gap_of(&after(64)), None);
        assert_eq!(gap_of(&after(-5)), None);
        let gap = gap_of(&after(9_000)).unwrap();
        assert_eq!((gap.start, gap.cause), (start, GapCause::SpoolDamaged));
    }
}
