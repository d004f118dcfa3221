//! The end of a handover: what the successor has is removed from the spool. When that is, and which parts these are, is
//! decided in [`domain::succession`].

use crate::media::spool::{Pending, Spool};
use domain::succession::{Handover, Settled};
use tokio::task::spawn_blocking;

/// Removes what the successor has and returns the rest.
pub(super) async fn settle(handover: Handover<Pending>) -> Vec<Pending> {
    let Settled { ours, theirs, found } = handover.settle();
    tracing::info!(
        kept = ours.len(),
        removed = theirs.len(),
        ?found,
        "a handover has ended"
    );
    // A blocking task that dies leaves files that go to the archive twice: better than not at all.
    let _ = spawn_blocking(move || theirs.iter().for_each(remove)).await;
    ours
}

fn remove(part: &Pending) {
    match Spool::remove(part) {
        Ok(()) => tracing::debug!(file = %part.file.display(), "the successor has this part"),
        Err(error) => tracing::warn!(%error, "a part that the successor has, too, was not removed"),
    }
}
