//! What can be said by flag, environment and file alike, in groups: a command takes those that it uses. Where to look
//! may be said before or after the verb of a command that has verbs (`global`).

use jiff::SignedDuration;
use serde::Deserialize;
use std::path::PathBuf;
use url::Url;

/// All groups: what `millrace run` takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) data: DataOptions,
    #[command(flatten)]
    pub(crate) archive: ArchiveOptions,
    #[command(flatten)]
    pub(crate) gateway: GatewayOptions,
    #[command(flatten)]
    pub(crate) poll: PollOptions,
    #[command(flatten)]
    pub(crate) alerts: AlertOptions,
    #[command(flatten)]
    pub(crate) backfill: BackfillOptions,
    #[command(flatten)]
    pub(crate) loops: LoopOptions,
}

impl Options {
    /// These options, and the others where these are silent.
    pub(super) fn or(self, below: Self) -> Self {
        Self {
            data: self.data.or(below.data),
            archive: self.archive.or(below.archive),
            gateway: self.gateway.or(below.gateway),
            poll: self.poll.or(below.poll),
            alerts: self.alerts.or(below.alerts),
            backfill: self.backfill.or(below.backfill),
            loops: self.loops.or(below.loops),
        }
    }
}

/// A group whose options those of another one lie below.
macro_rules! group {
    ($group:ident { $($option:ident),+ $(,)? }) => {
        impl $group {
            fn or(self, below: Self) -> Self {
                Self { $($option: self.$option.or(below.$option)),+ }
            }
        }
    };
}

/// Under this heading help has the options that say where to look.
pub(crate) const PLACE: &str = "Where to look";
/// And under this one those of the gateway.
const GATEWAY: &str = "Gateway";

/// Where the configuration and the tables are.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct DataOptions {
    /// The configuration file [default: ./millrace.toml, if there is one].
    #[arg(long, global = true, help_heading = PLACE, env = "MILLRACE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// The folder for tables, spool, archive and recorder logs [default: ./millrace-data].
    #[arg(long, global = true, help_heading = PLACE, env = "MILLRACE_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

group!(DataOptions { config, data });

/// Where segments are.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct ArchiveOptions {
    /// Where segments end up: `file:DIR`, or `s3://BUCKET/PREFIX` in builds with S3 [default: the data folder's
    /// `archive`].
    #[arg(long, global = true, help_heading = PLACE, env = "MILLRACE_ARCHIVE", value_name = "URL")]
    pub(crate) archive: Option<String>,
}

group!(ArchiveOptions { archive });

/// How the gateway is reached.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct GatewayOptions {
    /// The gateway: `http://HOST[:PORT]` or `https://…`.
    #[arg(long, help_heading = GATEWAY, env = "MILLRACE_GATEWAY_URL", value_name = "URL")]
    pub(crate) gateway_url: Option<Url>,
    /// The gateway's user [default: admin].
    #[arg(long, help_heading = GATEWAY, env = "MILLRACE_GATEWAY_USERNAME", value_name = "NAME")]
    pub(crate) gateway_username: Option<String>,
    /// A file with the gateway's password, where it is not in MILLRACE_GATEWAY_PASSWORD.
    #[arg(long, help_heading = GATEWAY, env = "MILLRACE_GATEWAY_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) gateway_password_file: Option<PathBuf>,
    /// SHA-256 fingerprint of the gateway's own certificate: trust this one and no other.
    #[arg(long, help_heading = GATEWAY, env = "MILLRACE_GATEWAY_FINGERPRINT", value_name = "HEX")]
    pub(crate) gateway_fingerprint: Option<String>,
    /// PEM file of the authority that signed the gateway's certificate.
    #[arg(
        long,
        help_heading = GATEWAY,
        env = "MILLRACE_GATEWAY_CA",
        value_name = "FILE",
        conflicts_with = "gateway_fingerprint"
    )]
    pub(crate) gateway_ca: Option<PathBuf>,
    /// How many devices a page of the gateway's list is asked for, 1 to 100; for a gateway that caps its pages lower,
    /// whose list would otherwise look incomplete [default: 100].
    #[arg(long, help_heading = GATEWAY, env = "MILLRACE_GATEWAY_DEVICES_PER_PAGE", value_name = "N")]
    pub(crate) gateway_devices_per_page: Option<u32>,
}

group!(GatewayOptions {
    gateway_url,
    gateway_username,
    gateway_password_file,
    gateway_fingerprint,
    gateway_ca,
    gateway_devices_per_page
});

/// What a poll makes of the gateway's list.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct PollOptions {
    /// How long a device must be missing before its channels are given up [default: 5m].
    #[arg(long, env = "MILLRACE_OFFLINE_GRACE", value_name = "TIME")]
    pub(crate) offline_grace: Option<SignedDuration>,
    /// Removals of more than this share of the known channels at once wait for a person [default: 30].
    #[arg(long, env = "MILLRACE_MASS_REMOVAL_PERCENT", value_name = "PERCENT")]
    pub(crate) mass_removal_percent: Option<u32>,
    /// Record door terminals too [default: false].
    #[arg(long, env = "MILLRACE_RECORD_ACCESS_CONTROL", value_name = "BOOL")]
    pub(crate) record_access_control: Option<bool>,
}

group!(PollOptions {
    offline_grace,
    mass_removal_percent,
    record_access_control
});

/// Where people are told.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct AlertOptions {
    /// A URL that alerts are posted to as JSON, besides the log.
    #[arg(long, env = "MILLRACE_ALERT_WEBHOOK", value_name = "URL")]
    pub(crate) alert_webhook: Option<Url>,
}

group!(AlertOptions { alert_webhook });

/// Which holes are filled, and how many at once.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct BackfillOptions {
    /// How long ago a hole must have ended: the device has closed its file by then, and recorders have stored what
    /// they had [default: 10m].
    #[arg(long, env = "MILLRACE_BACKFILL_AFTER", value_name = "TIME")]
    pub(crate) backfill_after: Option<SignedDuration>,
    /// How many devices play footage at once, each one playback [default: 4].
    #[arg(long, env = "MILLRACE_BACKFILL_PLAYBACKS", value_name = "N")]
    pub(crate) backfill_playbacks: Option<usize>,
}

group!(BackfillOptions {
    backfill_after,
    backfill_playbacks
});

/// What only the loops of `millrace run` need.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct LoopOptions {
    /// How often the gateway is polled [default: 1m].
    #[arg(long, env = "MILLRACE_POLL_INTERVAL", value_name = "TIME")]
    pub(crate) poll_interval: Option<SignedDuration>,
    /// How often recorders are looked after when nothing happens [default: 10s].
    #[arg(long, env = "MILLRACE_DISPATCH_INTERVAL", value_name = "TIME")]
    pub(crate) dispatch_interval: Option<SignedDuration>,
    /// How often recorders read their assignments and report [default: 5s].
    #[arg(long, env = "MILLRACE_PULL_INTERVAL", value_name = "TIME")]
    pub(crate) pull_interval: Option<SignedDuration>,
    /// How many channels one recorder process records at most [default: 100].
    #[arg(long, env = "MILLRACE_CHANNELS_PER_TASK", value_name = "N")]
    pub(crate) channels_per_task: Option<usize>,
    /// How long recorders and their channels must have been where they are before recorders that are emptier than need
    /// be are emptied into others [default: 10m].
    #[arg(long, env = "MILLRACE_REPACK_AFTER", value_name = "TIME")]
    pub(crate) repack_after: Option<SignedDuration>,
    /// How long a recorder without channels waits before it ends [default: 2m].
    #[arg(long, env = "MILLRACE_ORPHAN_GRACE", value_name = "TIME")]
    pub(crate) orphan_grace: Option<SignedDuration>,
    /// How long a recorder that was told to end (SIGTERM) records on, until another has its channels [default: 30s].
    #[arg(long, env = "MILLRACE_HAND_OVER_WITHIN", value_name = "TIME")]
    pub(crate) hand_over_within: Option<SignedDuration>,
    /// How long a recorder may take to stop; what is not in the archive by then stays in the spool [default: 60s].
    #[arg(long, env = "MILLRACE_STOP_DEADLINE", value_name = "TIME")]
    pub(crate) stop_deadline: Option<SignedDuration>,
    /// How much may wait for the archive, for example `10GiB`; beyond it the oldest segment goes and is recorded as
    /// a gap [default: 10GiB].
    #[arg(long, env = "MILLRACE_SPOOL_MAX", value_name = "SIZE")]
    pub(crate) spool_max: Option<String>,
    /// For how long the video of an alarm (motion, a line crossed, a field entered, a covered camera, …) is kept as
    /// an episode, whatever the retention; `0s` makes no episodes of alarms [default: 30d].
    #[arg(long, env = "MILLRACE_ALARM_KEEP", value_name = "TIME", value_parser = days)]
    #[serde(deserialize_with = "toml_days")]
    pub(crate) alarm_keep: Option<SignedDuration>,
    /// How much before an alarm its episode begins [default: 10s].
    #[arg(long, env = "MILLRACE_ALARM_BEFORE", value_name = "TIME")]
    pub(crate) alarm_before: Option<SignedDuration>,
    /// How much after an alarm its episode ends [default: 30s].
    #[arg(long, env = "MILLRACE_ALARM_AFTER", value_name = "TIME")]
    pub(crate) alarm_after: Option<SignedDuration>,
    /// How often what is past its retention is deleted from the archive [default: 1h].
    #[arg(long, env = "MILLRACE_KEEP_INTERVAL", value_name = "TIME")]
    pub(crate) keep_interval: Option<SignedDuration>,
    /// How many percent of each hour's wanted time are to be in the archive; people are told when it is less
    /// [default: 99.9].
    #[arg(long, env = "MILLRACE_COVERAGE_OBJECTIVE", value_name = "PERCENT")]
    pub(crate) coverage_objective: Option<f64>,
    /// How often holes are looked for that the devices' own storage may fill, in channels whose settings say
    /// `backfill = true` [default: 1m].
    #[arg(long, env = "MILLRACE_BACKFILL_INTERVAL", value_name = "TIME")]
    pub(crate) backfill_interval: Option<SignedDuration>,
}

group!(LoopOptions {
    poll_interval,
    dispatch_interval,
    pull_interval,
    channels_per_task,
    repack_after,
    orphan_grace,
    hand_over_within,
    stop_deadline,
    spool_max,
    alarm_keep,
    alarm_before,
    alarm_after,
    keep_interval,
    coverage_objective,
    backfill_interval
});

/// Reads a time that may be in days of 24 h, such as `30d`, which times of day have no need for.
fn days(text: &str) -> Result<SignedDuration, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.trim().parse::<i64>().ok());
    match days.and_then(|days| days.checked_mul(24)) {
        Some(hours) if hours >= 0 => Ok(SignedDuration::from_hours(hours)),
        Some(_) | None => text.parse().map_err(|error: jiff::Error| error.to_string()),
    }
}

fn toml_days<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<SignedDuration>, D::Error> {
    let text = String::deserialize(value)?;
    days(&text).map(Some).map_err(serde::de::Error::custom)
}
