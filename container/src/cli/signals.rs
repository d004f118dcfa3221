//! What signals ask of a recorder: to leave, to stop, to be gone.

use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a recorder is asked; each is cancelled when it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    /// Hand over what is recorded, then end: SIGTERM, by which a host gives notice, perhaps more than once.
    pub(super) leave: CancellationToken,
    /// Drain: SIGINT, or SIGTERM when there is no time to hand over.
    pub(super) stop: CancellationToken,
}

/// Follows signals for ever. Who stops already exits at the next one; what is not uploaded stays in the spool.
pub(super) fn follow(signals: Signals, hand_over_within: Duration) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            let (name, may_leave) = tokio::select! {
                _ = terminate.recv() => ("SIGTERM", !hand_over_within.is_zero()),
                _ = interrupt.recv() => ("SIGINT", false),
            };
            if signals.stop.is_cancelled() && !may_leave {
                tracing::warn!(
                    "{name} while stopping: exiting at once; what is not uploaded stays in the spool"
                );
                std::process::exit(130);
            }
            if may_leave {
                tracing::info!("{name}: leaving");
                signals.leave.cancel();
            } else {
                tracing::info!("{name}: draining");
                signals.stop.cancel();
            }
        }
    });
    Ok(())
}
