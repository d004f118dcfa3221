//! The recorder's command line: the program `millrace-recorder`, and `millrace recorder` on one machine.
//!
//! Flag = environment variable = field, one name end to end. The password has no flag: other users can read an
//! argv.

#[cfg(feature = "aws")]
pub mod backfill;
#[cfg(feature = "aws")]
mod ecs;
mod host;
#[cfg(feature = "aws")]
mod outlet;
mod signals;
mod values;

pub use host::{Host, LogFormat};
pub use values::{ArchiveUrl, Size, StateUrl};

use crate::calm::Calm;
use crate::config::Config;
use crate::{RecorderError, Summary, run};
use anyhow::Context;
use domain::ports::{Alerts, Archive, ControlTable, GapsTable, TasksTable};
use secrecy::SecretString;
use signals::Signals;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use values::{heartbeat_interval, time, time_or_none};

/// The environment variable with the gateway's password.
pub const PASSWORD_ENV: &str = "MILLRACE_GATEWAY_PASSWORD";

/// Threads for the spool: enough that one slow file holds nobody up, few enough to cost little memory. Tables and archives
/// on other disks, which may hang, have threads of their own.
const BLOCKING_THREADS_MAX: usize = 8;

/// What a recorder is told at its start.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where it runs, as whom, and where it tells what.
    #[command(flatten)]
    pub host: Host,
    /// The tables: `sqlite:PATH`, or `dynamodb:tasks=NAME,gaps=NAME,control=NAME` in builds for AWS.
    #[arg(long, env = "MILLRACE_STATE", value_name = "URL")]
    pub state: StateUrl,
    /// Where segments end up: `file:DIR`, or `s3://BUCKET/PREFIX` in builds with S3.
    #[arg(long, env = "MILLRACE_ARCHIVE", value_name = "URL")]
    pub archive: ArchiveUrl,
    /// How much may wait there; beyond it the oldest segment goes and is recorded as a gap.
    #[arg(
        long,
        env = "MILLRACE_SPOOL_MAX",
        value_name = "SIZE",
        default_value = "10GiB"
    )]
    pub spool_max: Size,
    /// How often assignments are read.
    #[arg(long, env = "MILLRACE_PULL_INTERVAL", value_name = "TIME", default_value = "10s", value_parser = time)]
    pub pull_interval: Duration,
    /// How often each channel's heartbeat is written, at most 60s; troubles are written at once [default: the pull
    /// interval].
    #[arg(long, env = "MILLRACE_HEARTBEAT_INTERVAL", value_name = "TIME", value_parser = heartbeat_interval)]
    pub heartbeat_interval: Option<Duration>,
    /// Without any assignment for this long, the recorder drains and exits.
    #[arg(long, env = "MILLRACE_ORPHAN_GRACE", value_name = "TIME", default_value = "2m", value_parser = time)]
    pub orphan_grace: Duration,
    /// After SIGTERM, channels are recorded on for as long, until other recorders have them; 0s stops at once.
    #[arg(long, env = "MILLRACE_HAND_OVER_WITHIN", value_name = "TIME", default_value = "0s", value_parser = time_or_none)]
    pub hand_over_within: Duration,
    /// How long stopping may take then; what is not uploaded by then stays in the spool. ECS kills 120 s after SIGTERM.
    #[arg(long, env = "MILLRACE_STOP_DEADLINE", value_name = "TIME", default_value = "110s", value_parser = time)]
    pub stop_deadline: Duration,
    /// How many uploads run at once.
    #[arg(long, env = "MILLRACE_UPLOADS_MAX", value_name = "N", default_value = "4")]
    pub uploads_max: NonZeroUsize,
}

/// Runs a recorder, which tells people by `alerts`, until it has nothing to record any more or a signal ends it: SIGTERM hands
/// over, SIGINT drains, and the next after that exits at once.
///
/// # Errors
/// It could not start; what it could not do later is in its log and its rows.
pub fn main(args: Args, alerts: impl Alerts) -> anyhow::Result<()> {
    args.host.log_to_stderr()?;
    let calm = Calm::default();
    let napping = calm.clone();
    // One thread serves many cameras; their files have the runtime's blocking threads.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .on_thread_park(move || napping.nap())
        .build()?;
    let summary = runtime.block_on(serve(args, calm, alerts));
    // A put that hangs in a blocking thread must not hold the process beyond its deadline.
    runtime.shutdown_background();
    let summary = summary?;
    tracing::info!(?summary, "recorder ended");
    Ok(())
}

async fn serve(args: Args, calm: Calm, alerts: impl Alerts) -> anyhow::Result<Summary> {
    #[cfg(feature = "aws")]
    let alerts = outlet::Outlet::new(alerts, args.host.alerts_topic.as_deref()).await;
    match args.state.clone() {
        #[cfg(feature = "local")]
        StateUrl::Sqlite(path) => {
            let table = local::Sqlite::open(&path).await.context("opening the tables")?;
            with_tables(args, calm, alerts, table).await
        }
        #[cfg(feature = "aws")]
        StateUrl::DynamoDb(names) => {
            let table = aws::dynamodb::Tables::new(&aws::config_from_env().await, names);
            with_tables(args, calm, alerts, table).await
        }
    }
}

async fn with_tables<T>(args: Args, calm: Calm, alerts: impl Alerts, table: T) -> anyhow::Result<Summary>
where
    T: TasksTable + GapsTable + ControlTable,
{
    match args.archive.clone() {
        #[cfg(feature = "local")]
        ArchiveUrl::Folder(root) => {
            let archive = local::Folder::at(root).asked_at_once(args.uploads_max);
            with_archive(args, calm, alerts, table, archive).await
        }
        #[cfg(feature = "s3")]
        ArchiveUrl::S3 { bucket, prefix } => {
            let archive = aws::s3::S3Archive::from_env(bucket, prefix).await;
            with_archive(args, calm, alerts, table, archive).await
        }
    }
}

async fn with_archive<T, A, L>(
    args: Args,
    calm: Calm,
    alerts: L,
    table: T,
    archive: A,
) -> anyhow::Result<Summary>
where
    T: TasksTable + GapsTable + ControlTable,
    A: Archive,
    L: Alerts,
{
    let signals = Signals::default();
    signals::follow(signals.clone(), args.hand_over_within)?;
    let (shutdown, notice) = (signals.stop, signals.leave);
    let config = config(args, calm, notice).await?;
    tracing::info!(task = %config.task, "recorder starts");
    let ended: Result<Summary, RecorderError> = run(config, table, archive, alerts, shutdown).await;
    Ok(ended?)
}

async fn config(args: Args, calm: Calm, notice: CancellationToken) -> anyhow::Result<Config> {
    let task = args.host.own_name().await?;
    Ok(Config {
        task,
        spool: args.host.spool,
        spool_max_bytes: args.spool_max.0,
        pull_interval: args.pull_interval,
        heartbeat_interval: args.heartbeat_interval.unwrap_or(args.pull_interval),
        orphan_grace: args.orphan_grace,
        notice,
        hand_over_within: args.hand_over_within,
        stop_deadline: args.stop_deadline,
        uploads_max: args.uploads_max,
        username: args.host.gateway_username,
        password: password()?,
        calm,
    })
}

/// The gateway's password, which only the environment has.
fn password() -> anyhow::Result<SecretString> {
    std::env::var(PASSWORD_ENV)
        .map(SecretString::from)
        .with_context(|| format!("reading the gateway's password from {PASSWORD_ENV}"))
}
