//! What a recorder is told at its start; everything else it pulls.

use crate::calm::Calm;
use domain::TaskArn;
use secrecy::SecretString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A recorder's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name assignments know this recorder by.
    pub task: TaskArn,
    /// The folder where recordings wait for the archive, shared by the recorders of one machine.
    pub spool: PathBuf,
    /// How much may wait there, in bytes; beyond it the oldest segment goes and is recorded as a gap.
    pub spool_max_bytes: u64,
    /// How often assignments are read.
    pub pull_interval: Duration,
    /// How often every channel's heartbeat is written; news are written at once.
    pub heartbeat_interval: Duration,
    /// Without any assignment for this long, the recorder ends itself.
    pub orphan_grace: Duration,
    /// Cancelled when the recorder is to leave: it hands its channels over, then ends.
    pub notice: CancellationToken,
    /// How long it waits for successors then, before it stops.
    pub hand_over_within: Duration,
    /// How long it may take to stop; what is not uploaded by then stays in the spool.
    pub stop_deadline: Duration,
    /// How many uploads run at once.
    pub uploads_max: NonZeroUsize,
    /// The gateway's user for RTSP.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// Shared with the runtime's `on_thread_park`, if it is to nap; see [`Calm`].
    pub calm: Calm,
}
