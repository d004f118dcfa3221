//! The recorder: RTSP to segments to archive, many channels in one process.
//!
//! ```text
//!   table ──pull──▶ supervisor ──▶ channel (state machine + driver) × N
//!                                     │ frames
//!   gateway ──RTSP──▶ source ─────────┴─▶ media::Pipeline ──▶ spool ──▶ uploader ──▶ archive
//!                                     │
//!   table ◀── heartbeats (board), gap rows (journal)          alerts ◀── troubles
//! ```
//!
//! Every part is a loop that can be dropped at any time; what must survive is on disk: open segments, closed
//! ones, gap rows. A recorder that is killed leaves a spool which the next one takes up.

mod alerts;
pub mod backfill;
mod backoff;
mod board;
pub mod calm;
mod channel;
pub mod cli;
pub mod config;
mod context;
mod estates;
mod gaps;
pub mod health;
pub mod media;
mod source;
mod supervisor;
mod troubles;
mod uploader;
mod word;

pub use alerts::{LogAlerts, RECORDINGS};
use config::Config;
use context::Context;
use domain::ports::{Alerts, Archive, ControlTable, GapsTable, TasksTable};
use media::spool::SpoolError;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Why a recorder could not start. Once it has started, nothing ends it but its assignments and a signal.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The spool cannot be used.
    #[error("while opening the spool")]
    Spool(#[from] SpoolError),
    /// The gap rows kept there cannot be used.
    #[error("while opening the journal of gap rows")]
    Journal(#[source] io::Error),
    /// A fault of this program.
    #[error("while starting")]
    Task(#[from] JoinError),
}

/// What a recorder did and what it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Segments closed.
    pub segments: u64,
    /// Their size.
    pub bytes: u64,
    /// Recordings the archive took, those of earlier recorders included.
    pub archived: u64,
    /// Recordings lost because the spool was full.
    pub overflowed: u64,
    /// Recordings the archive refused for good.
    pub refused: u64,
    /// RTP packets lost on the way.
    pub lost_packets: u64,
    /// Recordings that stay in the spool for the next recorder.
    pub left: usize,
    /// Their size.
    pub left_bytes: u64,
    /// Gap rows that stay in the spool for the next recorder.
    pub rows_left: usize,
    /// Gap rows lost because too many waited.
    pub rows_dropped: u64,
}

/// Records what is assigned to `config.task` until `shutdown` is cancelled, or nothing has been assigned for the
/// grace; then closes, uploads and reports, within the deadline.
///
/// # Errors
/// It could not start: see [`RecorderError`].
pub async fn run<T, A, L>(
    config: Config,
    table: T,
    archive: A,
    alerts: L,
    shutdown: CancellationToken,
) -> Result<Summary, RecorderError>
where
    T: TasksTable + GapsTable + ControlTable,
    A: Archive,
    L: Alerts,
{
    // Until the first pull has been answered, every turn of the loop counts.
    let starting = config.calm.urgent();
    let (context, on_disk) = spawn_blocking(move || {
        let context = Context::open(config, &shutdown)?;
        let on_disk = estates::take_up(&context)?;
        Ok::<_, RecorderError>((Arc::new(context), on_disk))
    })
    .await??;
    let work = async {
        supervisor::supervise(&context, &table, on_disk, starting).await;
        let _stopping = context.config.calm.urgent();
        context.uploader.hurry();
        tokio::join!(context.uploader.emptied(), context.journal.emptied());
    };
    tokio::select! {
        () = work => {}
        () = deadline(&context) => tracing::warn!("the deadline for stopping has passed"),
        never = serve(&context, &table, &archive, &alerts) => match never {},
    }
    Ok(context.summary())
}

/// Who waits for the end of a rejection looks less often than assignments are read: it takes a person, or a poll.
const PULLS_PER_LOOK: u32 = 3;

/// Everything that goes on beside recording, for ever.
async fn serve<T, A, L>(context: &Arc<Context>, table: &T, archive: &A, alerts: &L) -> Infallible
where
    T: TasksTable + GapsTable + ControlTable,
    A: Archive,
    L: Alerts,
{
    let Config {
        task,
        pull_interval,
        heartbeat_interval,
        ..
    } = &context.config;
    let look_again = *pull_interval * PULLS_PER_LOOK;
    tokio::select! {
        never = uploader::upload(context, archive) => never,
        never = gaps::deliver(&context.journal, table, &context.hurry) => never,
        never = board::beat(&context.board, table, task, *heartbeat_interval) => never,
        never = word::listen(&context.word, table, look_again) => never,
        never = health::promise(context) => never,
        never = troubles::tell(&context.troubles, alerts) => never,
        never = estates::watch(context) => never,
    }
}

async fn deadline(context: &Context) {
    context.hurry.cancelled().await;
    sleep(context.config.stop_deadline).await;
}
