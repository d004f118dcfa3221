//! Whether a recorder lives: it keeps promising to be back soon, and somebody who looks sees the promise kept.
//!
//! The promise is the content of the spool's lock file: a time. A loop that hangs, or a disk that does, lets it pass.
//! Trouble with a camera, a table or the archive does not: another process would have it too.

use crate::context::Context;
use crate::media::spool::{Spool, SpoolError};
use jiff::{SignedDuration, Timestamp};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;

/// How often the promise is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How far it reaches: two renewals may be late.
const REACH: SignedDuration = SignedDuration::from_secs(30);

/// Why a recorder is taken for dead.
#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    /// The spool cannot be looked into.
    #[error("while looking for recorders")]
    Spool(#[from] SpoolError),
    /// No recorder of this spool has said that it lives, or its word is over.
    #[error("no recorder of {} lives: its last word was good until {}", root.display(), last(*until))]
    Silent {
        /// The spool.
        root: PathBuf,
        /// The newest promise, if there ever was one.
        until: Option<Timestamp>,
    },
}

fn last(until: Option<Timestamp>) -> String {
    until.map_or_else(|| "never".to_owned(), |until| until.to_string())
}

/// Looks whether a recorder of the spool at `root` lives.
///
/// # Errors
/// It does not, or that cannot be seen.
pub fn check(root: &Path, now: Timestamp) -> Result<(), Unhealthy> {
    let until = Spool::promises(root)?.into_iter().max();
    match until {
        Some(until) if now <= until => Ok(()),
        Some(_) | None => Err(Unhealthy::Silent {
            root: root.to_owned(),
            until,
        }),
    }
}

/// Renews this recorder's promise, for ever.
pub(crate) async fn promise(context: &Arc<Context>) -> Infallible {
    loop {
        let context = Arc::clone(context);
        let renewed = spawn_blocking(move || context.spool.promise(Timestamp::now() + REACH)).await;
        match renewed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "sign of life not written"),
            Err(error) => tracing::error!(%error, "the sign of life failed by a fault of this program"),
        }
        tokio::time::sleep(RENEW_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::TaskArn;

    #[test]
    fn a_recorder_lives_until_its_promise_is_over() {
        let root = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        assert!(check(&root.path().join("none"), now).is_err());
        let spool = Spool::open(root.path(), &TaskArn::new("local-1")).unwrap();
        assert!(check(root.path(), now).is_err(), "it has said nothing yet");
        for _ in 0..2 {
            spool.promise(now + REACH).unwrap();
            assert!(check(root.path(), now + REACH).is_ok());
        }
        let late = check(root.path(), now + REACH + SignedDuration::from_secs(1));
        assert!(late.unwrap_err().to_string().contains("1970-01-01T00:00:30Z"));
    }

    #[test]
    fn the_dead_beside_a_living_recorder_do_not_matter() {
        let root = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let dead = Spool::open(root.path(), &TaskArn::new("local-1")).unwrap();
        dead.promise(now - REACH).unwrap();
        drop(dead);
        let living = Spool::open(root.path(), &TaskArn::new("local-2")).unwrap();
        living.promise(now + REACH).unwrap();
        assert!(check(root.path(), now).is_ok());
    }
}
