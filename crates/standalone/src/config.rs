//! Configuration: flag, then environment, then file, then default; one name end to end.
//!
//! `--poll-interval` = `MILLRACE_POLL_INTERVAL` = `poll-interval` in the TOML file. The file also holds what has no
//! flag: `[recording]`, the settings of all channels, and `[channel."deviceIndex/channel"]`, those of one. Passwords
//! have neither flag nor key, for both are read by others: `MILLRACE_GATEWAY_PASSWORD`, or a file named by
//! `--gateway-password-file`.

mod wanted;

pub(crate) use wanted::WantedOptions;

use anyhow::{Context, bail};
use domain::backfill::BackfillPolicy;
use domain::coverage::HourPolicy;
use domain::dispatch::DispatchPolicy;
use domain::episode::AlarmPolicy;
use domain::keep::KeepPolicy;
use domain::poll::PollPolicy;
use domain::{ChannelKey, RecordingSettings};
use jiff::SignedDuration;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// What can be said by flag, environment and file alike.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Options {
    /// The configuration file [default: ./millrace.toml, if there is one].
    #[arg(long, env = "MILLRACE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// The folder for tables, spool, archive and recorder logs [default: ./millrace-data].
    #[arg(long, env = "MILLRACE_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where segments end up: `file:DIR`, or `s3://BUCKET/PREFIX` in builds with S3 [default: the data folder's
    /// `archive`].
    #[arg(long, env = "MILLRACE_ARCHIVE", value_name = "URL")]
    pub(crate) archive: Option<String>,
    /// The gateway: `http://HOST[:PORT]` or `https://…`.
    #[arg(long, env = "MILLRACE_GATEWAY_URL", value_name = "URL")]
    pub(crate) gateway_url: Option<Url>,
    /// The gateway's user [default: admin].
    #[arg(long, env = "MILLRACE_GATEWAY_USERNAME", value_name = "NAME")]
    pub(crate) gateway_username: Option<String>,
    /// A file with the gateway's password, where it is not in MILLRACE_GATEWAY_PASSWORD.
    #[arg(long, env = "MILLRACE_GATEWAY_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) gateway_password_file: Option<PathBuf>,
    /// SHA-256 fingerprint of the gateway's own certificate: trust this one and no other.
    #[arg(long, env = "MILLRACE_GATEWAY_FINGERPRINT", value_name = "HEX")]
    pub(crate) gateway_fingerprint: Option<String>,
    /// PEM file of the authority that signed the gateway's certificate.
    #[arg(
        long,
        env = "MILLRACE_GATEWAY_CA",
        value_name = "FILE",
        conflicts_with = "gateway_fingerprint"
    )]
    pub(crate) gateway_ca: Option<PathBuf>,
    /// How many devices a page of the gateway's list is asked for, 1 to 100; for a gateway that caps its pages lower,
    /// whose list would otherwise look incomplete [default: 100].
    #[arg(long, env = "MILLRACE_GATEWAY_DEVICES_PER_PAGE", value_name = "N")]
    pub(crate) gateway_devices_per_page: Option<u32>,
    /// How often the gateway is polled [default: 1m].
    #[arg(long, env = "MILLRACE_POLL_INTERVAL", value_name = "TIME")]
    pub(crate) poll_interval: Option<SignedDuration>,
    /// How long a device must be missing before its channels are given up [default: 5m].
    #[arg(long, env = "MILLRACE_OFFLINE_GRACE", value_name = "TIME")]
    pub(crate) offline_grace: Option<SignedDuration>,
    /// Removals of more than this share of the known channels at once wait for a person [default: 30].
    #[arg(long, env = "MILLRACE_MASS_REMOVAL_PERCENT", value_name = "PERCENT")]
    pub(crate) mass_removal_percent: Option<u32>,
    /// Record door terminals too [default: false].
    #[arg(long, env = "MILLRACE_RECORD_ACCESS_CONTROL", value_name = "BOOL")]
    pub(crate) record_access_control: Option<bool>,
    /// How often recorders are looked after when nothing happens [default: 10s].
    #[arg(long, env = "MILLRACE_DISPATCH_INTERVAL", value_name = "TIME")]
    pub(crate) dispatch_interval: Option<SignedDuration>,
    /// How many channels one recorder process records at most [default: 100].
    #[arg(long, env = "MILLRACE_CHANNELS_PER_TASK", value_name = "N")]
    pub(crate) channels_per_task: Option<usize>,
    /// How often recorders read their assignments and report [default: 5s].
    #[arg(long, env = "MILLRACE_PULL_INTERVAL", value_name = "TIME")]
    pub(crate) pull_interval: Option<SignedDuration>,
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
    /// A URL that alerts are posted to as JSON, besides the log.
    #[arg(long, env = "MILLRACE_ALERT_WEBHOOK", value_name = "URL")]
    pub(crate) alert_webhook: Option<Url>,
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
    /// How long ago a hole must have ended: the device has closed its file by then, and recorders have stored what
    /// they had [default: 10m].
    #[arg(long, env = "MILLRACE_BACKFILL_AFTER", value_name = "TIME")]
    pub(crate) backfill_after: Option<SignedDuration>,
    /// How many devices play footage at once, each one playback [default: 4].
    #[arg(long, env = "MILLRACE_BACKFILL_PLAYBACKS", value_name = "N")]
    pub(crate) backfill_playbacks: Option<usize>,
}

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

/// The file: all options, and the settings of channels.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    recording: RecordingSettings,
    channel: BTreeMap<String, RecordingSettings>,
    #[serde(flatten)]
    wanted: WantedOptions,
    #[serde(flatten)]
    options: toml::Table,
}

/// The configuration in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) archive: String,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) poll_interval: Duration,
    pub(crate) poll: PollPolicy,
    pub(crate) dispatch_interval: Duration,
    pub(crate) dispatch: DispatchPolicy,
    pub(crate) recorder: Recorder,
    pub(crate) alert_webhook: Option<Url>,
    /// How alarms become episodes, if they do.
    pub(crate) alarms: Option<AlarmPolicy>,
    pub(crate) keep_interval: Duration,
    /// How the last full hour is measured.
    pub(crate) hour: HourPolicy,
    pub(crate) backfill_interval: Duration,
    pub(crate) backfill: BackfillPolicy,
    /// Settings the file gives to single channels.
    pub(crate) channels: BTreeMap<ChannelKey, RecordingSettings>,
    /// What the file says of the gateway's own configuration.
    pub(crate) wanted: WantedOptions,
}

/// How to reach the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) url: Url,
    pub(crate) username: String,
    pub(crate) password: SecretString,
    pub(crate) tls: isapi::Tls,
    pub(crate) devices_per_page: Option<u32>,
}

/// What recorders are told.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub(crate) pull_interval: SignedDuration,
    pub(crate) orphan_grace: SignedDuration,
    pub(crate) hand_over_within: SignedDuration,
    pub(crate) stop_deadline: SignedDuration,
    pub(crate) spool_max: String,
}

/// Where `millrace` looks for a configuration file when none is named.
const FILE_DEFAULT: &str = "millrace.toml";
/// The environment variable with the gateway's password.
pub(crate) const PASSWORD_ENV: &str = recorder::cli::PASSWORD_ENV;

impl Config {
    /// Reads the file, if there is one, and puts the options above it.
    pub(crate) fn load(options: Options) -> anyhow::Result<Self> {
        let (file, settings) = read_file(options.config.as_deref())?;
        Self::resolve(options.or(file), settings)
    }

    /// The options alone, for a gateway that is known.
    pub(crate) fn with_gateway(options: Options, gateway: Gateway) -> anyhow::Result<Self> {
        let config = Self::resolve(options, Settings::default())?;
        Ok(Self {
            gateway: Some(gateway),
            ..config
        })
    }

    /// The file with the tables.
    pub(crate) fn state_file(&self) -> PathBuf {
        self.data.join("state.sqlite")
    }

    /// The folder where fetched footage waits for the archive: not one of the recorders', who would take it for that of
    /// a dead one of theirs.
    pub(crate) fn footage_spool(&self) -> PathBuf {
        self.data.join("backfill")
    }

    /// The folder where segments wait for the archive.
    pub(crate) fn spool(&self) -> PathBuf {
        self.data.join("spool")
    }

    /// The gateway, which this command cannot do without.
    pub(crate) fn gateway(&self) -> anyhow::Result<&Gateway> {
        self.gateway
            .as_ref()
            .context("which gateway? say --gateway-url, or gateway-url in the configuration file")
    }

    /// How the archive is kept.
    pub(crate) fn keep(&self) -> KeepPolicy {
        KeepPolicy {
            settings: self.poll.settings.clone(),
            ..KeepPolicy::default()
        }
    }

    fn resolve(options: Options, settings: Settings) -> anyhow::Result<Self> {
        let poll = PollPolicy::default();
        let dispatch = DispatchPolicy::default();
        let data = options.data.clone().unwrap_or_else(|| "millrace-data".into());
        let pull_interval = options.pull_interval.unwrap_or(SignedDuration::from_secs(5));
        Ok(Self {
            archive: options
                .archive
                .clone()
                .unwrap_or_else(|| format!("file:{}", data.join("archive").display())),
            gateway: gateway(&options)?,
            poll_interval: positive("poll-interval", options.poll_interval, 60)?,
            poll: PollPolicy {
                offline_grace: options.offline_grace.unwrap_or(poll.offline_grace),
                mass_removal_percent: options.mass_removal_percent.unwrap_or(poll.mass_removal_percent),
                record_access_control: options
                    .record_access_control
                    .unwrap_or(poll.record_access_control),
                settings: settings.default,
                ..poll
            },
            dispatch_interval: positive("dispatch-interval", options.dispatch_interval, 10)?,
            dispatch: DispatchPolicy {
                channels_per_task: options.channels_per_task.unwrap_or(100),
                // This machine's process list is exact: a child is on it before its start is reported.
                launch_grace: SignedDuration::from_secs(2),
                heartbeat_stale: pull_interval.saturating_mul(6).max(SignedDuration::from_secs(30)),
                move_notice: pull_interval.saturating_add(SignedDuration::from_secs(2)),
                ..dispatch
            },
            recorder: Recorder {
                pull_interval,
                orphan_grace: options.orphan_grace.unwrap_or(SignedDuration::from_mins(2)),
                hand_over_within: options.hand_over_within.unwrap_or(SignedDuration::from_secs(30)),
                stop_deadline: options.stop_deadline.unwrap_or(SignedDuration::from_secs(60)),
                spool_max: options.spool_max.clone().unwrap_or_else(|| "10GiB".into()),
            },
            alarms: alarms(&options)?,
            keep_interval: positive("keep-interval", options.keep_interval, 60 * 60)?,
            hour: hour(options.coverage_objective)?,
            backfill_interval: positive("backfill-interval", options.backfill_interval, 60)?,
            backfill: backfill(&options)?,
            alert_webhook: options.alert_webhook,
            channels: settings.channels,
            wanted: settings.wanted,
            data,
        })
    }
}

/// What the file says of channels.
#[derive(Debug, Default)]
struct Settings {
    default: RecordingSettings,
    channels: BTreeMap<ChannelKey, RecordingSettings>,
    wanted: WantedOptions,
}

macro_rules! first_of {
    ($above:ident, $below:ident, $($field:ident),+) => {
        Options { config: $above.config, $($field: $above.$field.or($below.$field)),+ }
    };
}

impl Options {
    /// These options, and the others where these are silent.
    fn or(self, below: Self) -> Self {
        first_of!(
            self,
            below,
            data,
            archive,
            gateway_url,
            gateway_username,
            gateway_password_file,
            gateway_fingerprint,
            gateway_ca,
            gateway_devices_per_page,
            poll_interval,
            offline_grace,
            mass_removal_percent,
            record_access_control,
            dispatch_interval,
            channels_per_task,
            pull_interval,
            orphan_grace,
            hand_over_within,
            stop_deadline,
            spool_max,
            alert_webhook,
            alarm_keep,
            alarm_before,
            alarm_after,
            keep_interval,
            coverage_objective,
            backfill_interval,
            backfill_after,
            backfill_playbacks
        )
    }
}

fn read_file(named: Option<&Path>) -> anyhow::Result<(Options, Settings)> {
    let path = match named {
        Some(path) => path,
        None if Path::new(FILE_DEFAULT).exists() => Path::new(FILE_DEFAULT),
        None => return Ok(Default::default()),
    };
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse_file(&text).with_context(|| format!("reading {}", path.display()))
}

fn parse_file(text: &str) -> anyhow::Result<(Options, Settings)> {
    let file: File = toml::from_str(text)?;
    let options = Options::deserialize(file.options)?;
    let mut channels = BTreeMap::new();
    for (name, settings) in file.channel {
        channels.insert(name.parse::<ChannelKey>()?, settings);
    }
    Ok((
        options,
        Settings {
            default: file.recording,
            channels,
            wanted: file.wanted,
        },
    ))
}

fn gateway(options: &Options) -> anyhow::Result<Option<Gateway>> {
    let Some(url) = options.gateway_url.clone() else {
        return Ok(None);
    };
    let tls = match (&options.gateway_fingerprint, &options.gateway_ca) {
        (Some(_), Some(_)) => bail!("gateway-fingerprint and gateway-ca exclude each other"),
        (Some(hex), None) => {
            isapi::Tls::PinnedFingerprint(hex.parse().context("reading gateway-fingerprint")?)
        }
        (None, Some(file)) => {
            let pem = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            isapi::Tls::Ca(pem)
        }
        (None, None) => isapi::Tls::WebPki,
    };
    let password =
        read_password(PASSWORD_ENV, options.gateway_password_file.as_deref())?.with_context(|| {
            format!("the gateway's password? set {PASSWORD_ENV}, or name a file with --gateway-password-file")
        })?;
    let username = options.gateway_username.clone().unwrap_or_else(|| "admin".into());
    Ok(Some(Gateway {
        url,
        username,
        password,
        tls,
        devices_per_page: options.gateway_devices_per_page,
    }))
}

/// The password in the variable, or else in the file.
fn read_password(variable: &str, file: Option<&Path>) -> anyhow::Result<Option<SecretString>> {
    if let Ok(password) = std::env::var(variable) {
        return Ok(Some(password.into()));
    }
    let Some(file) = file else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned().into()))
}

fn alarms(options: &Options) -> anyhow::Result<Option<AlarmPolicy>> {
    let default = AlarmPolicy::default();
    let policy = AlarmPolicy {
        keep: options.alarm_keep.unwrap_or(default.keep),
        pre: options.alarm_before.unwrap_or(default.pre),
        post: options.alarm_after.unwrap_or(default.post),
        ..default
    };
    if policy.keep.is_negative() || policy.pre.is_negative() || policy.post.is_negative() {
        bail!("alarm-keep, alarm-before and alarm-after must not be negative");
    }
    if policy.pre.saturating_add(policy.post) > policy.length_max {
        bail!(
            "alarm-before and alarm-after together must not be above {:#}",
            policy.length_max
        );
    }
    Ok((!policy.keep.is_zero()).then_some(policy))
}

fn backfill(options: &Options) -> anyhow::Result<BackfillPolicy> {
    let default = BackfillPolicy::default();
    let policy = BackfillPolicy {
        ripe_after: options.backfill_after.unwrap_or(default.ripe_after),
        playbacks_max: options.backfill_playbacks.unwrap_or(default.playbacks_max),
        ..default
    };
    if policy.ripe_after.is_negative() || policy.playbacks_max == 0 {
        bail!("backfill-after must not be negative, and backfill-playbacks not 0");
    }
    Ok(policy)
}

fn hour(objective_percent: Option<f64>) -> anyhow::Result<HourPolicy> {
    let policy = HourPolicy::default();
    let objective_percent = objective_percent.unwrap_or(policy.objective_percent);
    if !(0.0..=100.0).contains(&objective_percent) {
        bail!("coverage-objective must be 0 to 100 percent");
    }
    Ok(HourPolicy {
        objective_percent,
        ..policy
    })
}

fn positive(name: &str, given: Option<SignedDuration>, default_seconds: i64) -> anyhow::Result<Duration> {
    let time = given.unwrap_or(SignedDuration::from_secs(default_seconds));
    match Duration::try_from(time) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) | Err(_) => bail!("{name} must be above zero"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            options: Options,
        }
        clap::Parser::try_parse_from([&["millrace"], arguments].concat())
            .map(|cli: Cli| cli.options)
            .unwrap()
    }

    fn resolve(arguments: &[&str], file: &str) -> anyhow::Result<Config> {
        let (below, settings) = parse_file(file)?;
        Config::resolve(options(arguments).or(below), settings)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = "poll-interval = '30s'\noffline-grace = '10m'";
        let config = resolve(&["--poll-interval", "7s"], file).unwrap();
        assert_eq!(config.poll_interval, Duration::from_secs(7));
        assert_eq!(config.poll.offline_grace, SignedDuration::from_mins(10));
        assert_eq!(config.dispatch_interval, Duration::from_secs(10));
    }

    #[test]
    fn alarms_are_kept_for_days_or_not_at_all() {
        let keep = |file: &str| resolve(&[], file).unwrap().alarms.map(|policy| policy.keep);
        assert_eq!(keep(""), Some(SignedDuration::from_hours(30 * 24)));
        assert_eq!(
            keep("alarm-keep = '7d'"),
            Some(SignedDuration::from_hours(7 * 24))
        );
        assert_eq!(keep("alarm-keep = '90m'"), Some(SignedDuration::from_mins(90)));
        assert_eq!(keep("alarm-keep = '0s'"), None);
    }

    #[test]
    fn channels_have_settings_of_their_own() {
        let file = "[recording]\nsegment-seconds = 60\n[channel.'ABC-1/5']\naudio = 'aac'";
        let config = resolve(&[], file).unwrap();
        assert_eq!(config.poll.settings.segment_seconds.get(), 60);
        assert!(config.channels[&ChannelKey::new("ABC-1", "5")].needs_transform());
    }

    #[test]
    fn a_misspelt_option_is_an_error_and_not_a_knob_that_does_nothing() {
        for file in [
            "pol-interval = '5s'",
            "[recording]\nsegment = 5",
            "poll-interval = '0s'",
            "alarm-keep = '-1d'",
            "coverage-objective = 101.0",
            "alarm-before = '2h'",
            "backfill-playbacks = 0",
            "password = 'x'",
            "gateway-nam = 'x'",
        ] {
            assert!(resolve(&[], file).is_err(), "{file}");
        }
    }

    #[test]
    fn no_password_has_a_flag() {
        use clap::CommandFactory;
        let mut commands = vec![crate::Cli::command()];
        let mut seen = 0;
        while let Some(command) = commands.pop() {
            seen += 1;
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                assert!(!name.ends_with("password"), "{} {name}", command.get_name());
            }
            commands.extend(command.get_subcommands().cloned());
        }
        assert!(seen > 15, "only {seen} commands were looked at");
    }
}
