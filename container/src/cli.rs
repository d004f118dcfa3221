//! The recorder's command line: the program `millrace-recorder`, and `millrace recorder` on one machine.
//!
//! Flag = environment variable = field, one name end to end. The password has no flag: other users can read an
//! argv.

use crate::calm::Calm;
use crate::config::Config;
use crate::{RecorderError, Summary, run};
use anyhow::Context;
use clap::ValueEnum;
use domain::TaskArn;
use domain::ports::Alerts;
use jiff::SignedDuration;
use local::{Folder, Sqlite};
use secrecy::SecretString;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The environment variable with the gateway's password.
pub const PASSWORD_ENV: &str = "MILLRACE_GATEWAY_PASSWORD";

/// Threads for files and tables: enough that one slow call holds nobody up, few enough to cost little memory.
const BLOCKING_THREADS_MAX: usize = 8;

/// What a recorder is told at its start.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The name by which assignments know this recorder.
    #[arg(long, env = "MILLRACE_TASK_ARN", value_name = "NAME")]
    pub task_arn: String,
    /// The tables: `sqlite:PATH`.
    #[arg(long, env = "MILLRACE_STATE", value_name = "sqlite:PATH")]
    pub state: StateUrl,
    /// Where segments end up: `file:DIR`, or `s3://BUCKET/PREFIX` in builds with S3.
    #[arg(long, env = "MILLRACE_ARCHIVE", value_name = "URL")]
    pub archive: ArchiveUrl,
    /// The folder where recordings wait for the archive; recorders of one machine share it.
    #[arg(long, env = "MILLRACE_SPOOL", value_name = "DIR")]
    pub spool: PathBuf,
    /// How much may wait there; beyond it the oldest segment goes and is recorded as a gap.
    #[arg(
        long,
        env = "MILLRACE_SPOOL_MAX",
        value_name = "SIZE",
        default_value = "10GiB"
    )]
    pub spool_max: Size,
    /// How often assignments are read and heartbeats written.
    #[arg(long, env = "MILLRACE_PULL_INTERVAL", value_name = "TIME", default_value = "10s", value_parser = time)]
    pub pull_interval: Duration,
    /// Without any assignment for this long, the recorder drains and exits.
    #[arg(long, env = "MILLRACE_ORPHAN_GRACE", value_name = "TIME", default_value = "2m", value_parser = time)]
    pub orphan_grace: Duration,
    /// How long stopping may take; what is not uploaded by then stays in the spool. ECS kills 120 s after SIGTERM.
    #[arg(long, env = "MILLRACE_STOP_DEADLINE", value_name = "TIME", default_value = "110s", value_parser = time)]
    pub stop_deadline: Duration,
    /// How many uploads run at once.
    #[arg(long, env = "MILLRACE_UPLOADS_MAX", value_name = "N", default_value = "4")]
    pub uploads_max: NonZeroUsize,
    /// The gateway's user for RTSP; its password is read from MILLRACE_GATEWAY_PASSWORD.
    #[arg(
        long,
        env = "MILLRACE_GATEWAY_USERNAME",
        value_name = "NAME",
        default_value = "admin"
    )]
    pub gateway_username: String,
    /// How log lines look.
    #[arg(long, env = "MILLRACE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
    /// Which log lines are written, in the syntax of the crate `tracing-subscriber`.
    #[arg(
        long,
        env = "MILLRACE_LOG",
        value_name = "FILTER",
        default_value = "info,retina=warn,mp4_atom=error"
    )]
    pub log: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Where the tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateUrl {
    /// One SQLite file.
    Sqlite(PathBuf),
}

impl FromStr for StateUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            _ => Err("expected `sqlite:PATH`".to_owned()),
        }
    }
}

/// Where segments end up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveUrl {
    /// A folder.
    Folder(PathBuf),
    /// A bucket of Amazon S3 and a key prefix without slashes at its ends, which may be empty.
    #[cfg(feature = "s3")]
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What every key begins with.
        prefix: String,
    },
}

impl FromStr for ArchiveUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::Folder(path.into()));
        }
        match text.strip_prefix("s3://") {
            Some(rest) => s3_url(rest),
            None => Err("expected `file:DIR` or `s3://BUCKET/PREFIX`".to_owned()),
        }
    }
}

#[cfg(feature = "s3")]
fn s3_url(rest: &str) -> Result<ArchiveUrl, String> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("expected `s3://BUCKET/PREFIX`".to_owned());
    }
    Ok(ArchiveUrl::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
    })
}

#[cfg(not(feature = "s3"))]
fn s3_url(_rest: &str) -> Result<ArchiveUrl, String> {
    Err("this build has no S3 (cargo feature `s3`)".to_owned())
}

/// A size in bytes, written like `500MB` (powers of 1000) or `10GiB` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err("expected a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB".to_owned()),
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| "expected a whole number that fits 64 bits".to_owned())
    }
}

/// Reads a time like `10s`, `2m` or `1h 30m`.
fn time(text: &str) -> Result<Duration, String> {
    let time: SignedDuration = text.parse().map_err(|error| format!("{error}"))?;
    match Duration::try_from(time) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) | Err(_) => Err("expected a time above zero".to_owned()),
    }
}

/// Runs a recorder, which tells people by `alerts`, until it has nothing to record any more or a signal ends it: the first SIGTERM or SIGINT
/// drains, the second exits at once.
///
/// # Errors
/// It could not start; what it could not do later is in its log and its rows.
pub fn main(args: Args, alerts: impl Alerts) -> anyhow::Result<()> {
    log_to_stderr(args.log_format, &args.log)?;
    let calm = Calm::default();
    let napping = calm.clone();
    // One thread serves many cameras; files and tables have the runtime's blocking threads.
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
    let password = std::env::var(PASSWORD_ENV)
        .map(SecretString::from)
        .with_context(|| format!("reading the gateway's password from {PASSWORD_ENV}"))?;
    let StateUrl::Sqlite(path) = &args.state;
    let table = Sqlite::open(path).await.context("opening the tables")?;
    let config = Config {
        task: TaskArn::new(args.task_arn),
        spool: args.spool,
        spool_max_bytes: args.spool_max.0,
        pull_interval: args.pull_interval,
        orphan_grace: args.orphan_grace,
        stop_deadline: args.stop_deadline,
        uploads_max: args.uploads_max,
        username: args.gateway_username,
        password,
        calm,
    };
    let shutdown = shutdown_on_signals()?;
    let ended: Result<Summary, RecorderError> = match args.archive {
        ArchiveUrl::Folder(root) => {
            let archive = Folder::open(&root).await.context("opening the archive")?;
            run(config, table, archive, alerts, shutdown).await
        }
        #[cfg(feature = "s3")]
        ArchiveUrl::S3 { bucket, prefix } => {
            let archive = aws::s3::S3Archive::from_env(bucket, prefix).await;
            run(config, table, archive, alerts, shutdown).await
        }
    };
    Ok(ended?)
}

fn log_to_stderr(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("reading the log filter")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let installed = match format {
        LogFormat::Human => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    installed
        .map_err(|error| anyhow::anyhow!(error))
        .context("starting the log")
}

fn shutdown_on_signals() -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = shutdown.clone();
    tokio::spawn(async move {
        for nth in 1.. {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if nth > 1 {
                tracing::warn!("second {name}: exiting at once; what is not uploaded stays in the spool");
                std::process::exit(130);
            }
            tracing::info!("{name}: draining");
            token.cancel();
        }
    });
    Ok(shutdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_people_write_them() {
        let sizes = [
            ("512", 512),
            ("500MB", 500_000_000),
            ("10GiB", 10 << 30),
            ("1 TiB", 1 << 40),
        ];
        for (text, bytes) in sizes {
            assert_eq!(text.parse(), Ok(Size(bytes)));
        }
        for text in ["", "GB", "-1", "1.5GB", "10 GiBs", "99999999999TiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_above_zero() {
        assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["0s", "-5s", "soon", ""] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_are_urls() {
        assert_eq!("file:/a/b".parse(), Ok(ArchiveUrl::Folder("/a/b".into())));
        assert_eq!("sqlite:state.db".parse(), Ok(StateUrl::Sqlite("state.db".into())));
        for text in ["", "/a/b", "file:", "ftp://a"] {
            assert!(text.parse::<ArchiveUrl>().is_err(), "{text}");
        }
    }
}
