//! `millrace-recorder backfill`: holes are filled from the devices' own storage, until there is nothing more to ask for.
//!
//! A schedule starts it as a task of its own, beside the recorders:
//!
//! ```text
//!  schedule ──RunTask──▶ backfill ──lease──▶ control table        one at a time, by the memory's lease
//!                           │  ▲
//!             API, playback │  │ frames around the hole
//!                           ▼  │
//!                       gateway, archive ◀── segments of generation 0
//! ```
//! Whatever ends it costs a playback, and never a frame: the archive's listing is the only truth about what is missing
//! ([`domain::backfill`]).

use super::outlet::Outlet;
use super::values::time;
use super::{BLOCKING_THREADS_MAX, Host, password};
use crate::LogAlerts;
use crate::backfill::{Fetcher, Player, log_round};
use anyhow::{Context, bail};
use aws::SdkConfig;
use aws::dynamodb::{TableNames, Tables};
use aws::s3::{Location, S3Archive};
use domain::backfill::{BackfillPolicy, Ports, Report, backfill, cut_off};
use domain::credentials::{self, Rejection};
use domain::recover::Role;
use isapi::{Client, Fingerprint, StreamHost, Tls};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// The name of its spool.
const SPOOL: &str = "backfill";

/// No round begins after so long: the next task has the newest program, password and settings.
const BEGIN_WITHIN: SignedDuration = SignedDuration::from_hours(6);

/// What the backfill is told at its start.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where it runs, as whom, and where it tells what.
    #[command(flatten)]
    pub host: Host,
    /// The tables: `dynamodb:channels=NAME,gaps=NAME,control=NAME`.
    #[arg(long, env = "MILLRACE_STATE", value_name = "URL")]
    pub state: TableNames,
    /// The archive: `s3://BUCKET/PREFIX`.
    #[arg(long, env = "MILLRACE_ARCHIVE", value_name = "URL")]
    pub archive: Location,
    /// Base URL of the gateway's API; without it, the gateway in office, which the control table names.
    #[arg(long, env = "MILLRACE_GATEWAY_ENDPOINT", value_name = "URL")]
    pub gateway_endpoint: Option<Url>,
    /// SHA-256 of the gateway's self-signed certificate; without it, its certificate has to be vouched for.
    #[arg(long, env = "MILLRACE_GATEWAY_FINGERPRINT", value_name = "HEX")]
    pub gateway_fingerprint: Option<Fingerprint>,
    /// How long ago a hole must have ended: the device has closed its file by then, and recorders have stored what they
    /// had.
    #[arg(long, env = "MILLRACE_BACKFILL_AFTER", value_name = "TIME", default_value = "10m", value_parser = time)]
    pub backfill_after: Duration,
    /// How many devices play footage at once, each one playback.
    #[arg(
        long,
        env = "MILLRACE_BACKFILL_PLAYBACKS",
        value_name = "N",
        default_value = "4"
    )]
    pub backfill_playbacks: NonZeroUsize,
}

/// Fills what can be filled now. SIGTERM or SIGINT ends it at once, and shortens its lease to what a store may take.
///
/// # Errors
/// It could not begin, or the last round failed as a whole. What a single device did not give is in the log, and people
/// are told when it lasts.
pub fn main(args: Args) -> anyhow::Result<()> {
    args.host.log_to_stderr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()?;
    let ended = runtime.block_on(serve(args));
    runtime.shutdown_background();
    ended
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let sdk = aws::config_from_env().await;
    let table = Tables::new(&sdk, args.state.clone());
    let (holder, policy) = (args.host.own_name().await?.to_string(), policy(&args));
    tokio::select! {
        ended = rounds(&args, &policy, &sdk, &table, &holder) => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ended by a signal; what was not stored yet is played again");
    cut_off(&policy, &table, &holder, Timestamp::now())
        .await
        .context("shortening the lease")
}

async fn rounds(
    args: &Args,
    policy: &BackfillPolicy,
    sdk: &SdkConfig,
    table: &Tables,
    holder: &str,
) -> anyhow::Result<()> {
    let archive = S3Archive::at(sdk, &args.archive);
    let alerts = Outlet::new(LogAlerts, args.host.alerts_topic.as_deref()).await;
    let password = password()?;
    let gateway = gateway(args, table, password.clone()).await?;
    let player = Player::new(&args.host.gateway_username, password);
    let began = Timestamp::now();
    tracing::info!(task = holder, "backfill starts");
    loop {
        may_be_tried(table).await?;
        let fetch = Fetcher::open(&args.host.spool, SPOOL, &player, &archive)
            .await
            .context("opening the spool")?;
        let ports = Ports {
            footage: &gateway,
            fetch: &fetch,
            archive: &archive,
            table,
            alerts: &alerts,
        };
        let report = backfill(policy, &ports, holder, Timestamp::now).await;
        log_round(&report);
        remember_refusal(&gateway, table, holder).await?;
        if let Some(why) = &report.failure {
            bail!("holes are not filled: {why}");
        }
        if !goes_on(&report) || Timestamp::now().duration_since(began) > BEGIN_WITHIN {
            tracing::info!("backfill ended");
            return Ok(());
        }
    }
}

/// Fails while the gateway is known to refuse our user and password: nobody tries a rejected password again, and the
/// poll tells people.
async fn may_be_tried(table: &Tables) -> anyhow::Result<()> {
    let rejection = credentials::rejected(table).await?;
    let stands = |rejection: &Rejection| {
        rejection
            .locked_until
            .is_none_or(|until| Timestamp::now() < until)
    };
    match rejection.filter(stands) {
        Some(rejection) => bail!("the gateway is not asked: {rejection}"),
        None => Ok(()),
    }
}

/// Fails when the gateway refused us in this round, and says so to everybody.
async fn remember_refusal(gateway: &Client, table: &Tables, holder: &str) -> anyhow::Result<()> {
    let Some(refusal) = gateway.refusal() else {
        return Ok(());
    };
    let by = format!("backfill {holder}");
    if let Some(rejection) = refusal.rejection(&by, None, Timestamp::now()) {
        credentials::reject(table, &rejection).await?;
    }
    Err(refusal.into())
}

fn policy(args: &Args) -> BackfillPolicy {
    BackfillPolicy {
        ripe_after: SignedDuration::try_from(args.backfill_after).unwrap_or(SignedDuration::MAX),
        playbacks_max: args.backfill_playbacks.get(),
        ..BackfillPolicy::default()
    }
}

async fn gateway(args: &Args, table: &Tables, password: SecretString) -> anyhow::Result<Client> {
    let endpoint = match &args.gateway_endpoint {
        Some(endpoint) => endpoint.clone(),
        None => in_office(table).await?,
    };
    let mut config = isapi::Config::new(endpoint, &args.host.gateway_username, password);
    if let Some(fingerprint) = args.gateway_fingerprint {
        config.tls = Tls::PinnedFingerprint(fingerprint);
    }
    // It lives beside the gateway, as recorders do: through the external address video would cost money.
    config.stream_host = StreamHost::OfBaseUrl;
    Client::new(config).context("preparing the gateway's client")
}

async fn in_office(table: &Tables) -> anyhow::Result<Url> {
    let role = Role::load(table)
        .await
        .context("looking up where the gateway is")?;
    let role = role.context("no gateway is in office yet, and no --gateway-endpoint says where one is")?;
    let endpoint = role.endpoint.parse();
    endpoint.with_context(|| format!("reading the gateway's endpoint `{}`", role.endpoint))
}

/// Whether another round has something to do. Devices that failed wait by the memory; where nothing came of a round
/// with failures, the next task is early enough.
fn goes_on(report: &Report) -> bool {
    report.has_more() || report.stored > 0 || report.not_on_device.is_positive()
}
