//! Configuration: flag, then environment, then file, then default; one name end to end.
//!
//! `--poll-interval` = `MILLRACE_POLL_INTERVAL` = `poll-interval` in the TOML file. The file also holds what has no
//! flag: `[recording]`, the settings of all channels, and `[channel."deviceIndex/channel"]`, those of one. Passwords
//! have neither flag nor key, for both are read by others: `MILLRACE_GATEWAY_PASSWORD`, or a file named by
//! `--gateway-password-file`. A command takes the options that it uses; the file has those of all.

mod file;
mod options;
mod wanted;

#[cfg(feature = "aws")]
pub(crate) use options::PLACE;
pub(crate) use options::{
    AlertOptions, ArchiveOptions, BackfillOptions, DataOptions, GatewayOptions, LoopOptions, Options,
    PollOptions,
};
pub(crate) use wanted::WantedOptions;

use anyhow::{Context, bail, ensure};
use domain::ChannelKey;
use domain::backfill::BackfillPolicy;
use domain::coverage::HourPolicy;
use domain::dispatch::DispatchPolicy;
use domain::episode::AlarmPolicy;
use domain::keep::KeepPolicy;
use domain::poll::PollPolicy;
use domain::settings::{OwnSettings, RecordingSettings};
use file::Settings;
use jiff::SignedDuration;
use recorder::cli::{ArchiveUrl, Size};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// The configuration in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) archive: ArchiveUrl,
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
    /// What the file says of single channels.
    pub(crate) channels: BTreeMap<ChannelKey, OwnSettings>,
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
    pub(crate) spool_max: Size,
}

/// The environment variable with the gateway's password.
pub(crate) const PASSWORD_ENV: &str = recorder::cli::PASSWORD_ENV;

impl Config {
    /// Reads the file, if there is one, and puts the options above it.
    pub(crate) fn load(options: Options) -> anyhow::Result<Self> {
        let (file, settings) = file::read(options.data.config.as_deref())?;
        Self::resolve(options.or(file), settings)
    }

    /// The same for a command that has nothing to do with the gateway, and is not asked for its password.
    pub(crate) fn load_without_gateway(options: Options) -> anyhow::Result<Self> {
        let (file, settings) = file::read(options.data.config.as_deref())?;
        let options = Options {
            gateway: GatewayOptions::default(),
            ..options.or(file)
        };
        Self::resolve(options, settings)
    }

    /// The options alone, for a gateway that is known.
    pub(crate) fn with_gateway(options: Options, gateway: Gateway) -> anyhow::Result<Self> {
        let config = Self::resolve(options, Settings::default())?;
        Ok(Self {
            gateway: Some(gateway),
            ..config
        })
    }

    /// What is in force in a stack on AWS: its archive, its retention, and after how long its dispatcher calls a
    /// recorder silent; else the options alone.
    #[cfg(feature = "aws")]
    pub(crate) fn of_stack(
        mut options: Options,
        archive: String,
        retention_days: u32,
    ) -> anyhow::Result<Self> {
        options.archive.archive = Some(archive);
        let mut config = Self::resolve(options, Settings::default())?;
        config.poll.settings.retention_days = retention_days;
        config.dispatch.heartbeat_stale = domain::dispatch::HEARTBEAT_STALE;
        Ok(config)
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
        let loops = options.loops;
        let data = options.data.data.unwrap_or_else(|| "millrace-data".into());
        let pull_interval = above_zero("pull-interval", loops.pull_interval, 5)?;
        Ok(Self {
            archive: resolve_archive(options.archive, &data)?,
            data,
            gateway: resolve_gateway(options.gateway)?,
            poll_interval: positive("poll-interval", loops.poll_interval, 60)?,
            poll: resolve_poll(&options.poll, settings.default)?,
            dispatch_interval: positive("dispatch-interval", loops.dispatch_interval, 10)?,
            dispatch: resolve_dispatch(&loops, pull_interval)?,
            alarms: resolve_alarms(&loops)?,
            keep_interval: positive("keep-interval", loops.keep_interval, 60 * 60)?,
            hour: resolve_hour(loops.coverage_objective)?,
            backfill_interval: positive("backfill-interval", loops.backfill_interval, 60)?,
            backfill: resolve_backfill(&options.backfill)?,
            recorder: resolve_recorder(&loops, pull_interval)?,
            alert_webhook: options.alerts.alert_webhook,
            channels: settings.channels,
            wanted: settings.wanted,
        })
    }
}

fn resolve_archive(options: ArchiveOptions, data: &Path) -> anyhow::Result<ArchiveUrl> {
    let address = options.archive;
    let address = address.unwrap_or_else(|| format!("file:{}", data.join("archive").display()));
    let url = address.parse().map_err(anyhow::Error::msg);
    url.with_context(|| format!("reading the archive's address `{address}`"))
}

/// What recorders are told, by the rules by which they read it.
fn resolve_recorder(options: &LoopOptions, pull_interval: SignedDuration) -> anyhow::Result<Recorder> {
    let spool_max = options.spool_max.as_deref().unwrap_or("10GiB");
    Ok(Recorder {
        pull_interval,
        orphan_grace: above_zero("orphan-grace", options.orphan_grace, 2 * 60)?,
        hand_over_within: not_negative("hand-over-within", options.hand_over_within, 30)?,
        stop_deadline: above_zero("stop-deadline", options.stop_deadline, 60)?,
        spool_max: spool_max
            .parse()
            .map_err(anyhow::Error::msg)
            .context("reading spool-max")?,
    })
}

fn resolve_gateway(options: GatewayOptions) -> anyhow::Result<Option<Gateway>> {
    let Some(url) = options.gateway_url else {
        return Ok(None);
    };
    let tls = match (options.gateway_fingerprint, options.gateway_ca) {
        (Some(_), Some(_)) => bail!("gateway-fingerprint and gateway-ca exclude each other"),
        (Some(hex), None) => {
            isapi::Tls::PinnedFingerprint(hex.parse().context("reading gateway-fingerprint")?)
        }
        (None, Some(file)) => {
            let pem =
                std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            isapi::Tls::Ca(pem)
        }
        (None, None) => isapi::Tls::WebPki,
    };
    let password =
        read_password(PASSWORD_ENV, options.gateway_password_file.as_deref())?.with_context(|| {
            format!("the gateway's password? set {PASSWORD_ENV}, or name a file with --gateway-password-file")
        })?;
    Ok(Some(Gateway {
        url,
        username: options.gateway_username.unwrap_or_else(|| "admin".into()),
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

fn resolve_poll(options: &PollOptions, settings: RecordingSettings) -> anyhow::Result<PollPolicy> {
    let default = PollPolicy::default();
    let mass_removal_percent = options
        .mass_removal_percent
        .unwrap_or(default.mass_removal_percent);
    ensure!(
        mass_removal_percent <= 100,
        "mass-removal-percent must be 0 to 100"
    );
    let grace_seconds = default.offline_grace.as_secs();
    Ok(PollPolicy {
        offline_grace: not_negative("offline-grace", options.offline_grace, grace_seconds)?,
        mass_removal_percent,
        record_access_control: options
            .record_access_control
            .unwrap_or(default.record_access_control),
        settings,
        ..default
    })
}

fn resolve_dispatch(options: &LoopOptions, pull_interval: SignedDuration) -> anyhow::Result<DispatchPolicy> {
    let default = DispatchPolicy::default();
    let per_task = options.channels_per_task.unwrap_or(100);
    ensure!(per_task > 0, "channels-per-task must be above zero");
    Ok(DispatchPolicy {
        repack_after: above_zero(
            "repack-after",
            options.repack_after,
            default.repack_after.as_secs(),
        )?,
        channels_per_task: per_task,
        transforms_per_task: per_task,
        // This machine's process list is exact: a child is on it before its start is reported.
        launch_grace: SignedDuration::from_secs(2),
        heartbeat_stale: pull_interval.saturating_mul(6).max(SignedDuration::from_secs(30)),
        move_notice: pull_interval.saturating_add(SignedDuration::from_secs(2)),
        ..default
    })
}

fn resolve_alarms(options: &LoopOptions) -> anyhow::Result<Option<AlarmPolicy>> {
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

fn resolve_backfill(options: &BackfillOptions) -> anyhow::Result<BackfillPolicy> {
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

fn resolve_hour(objective_percent: Option<f64>) -> anyhow::Result<HourPolicy> {
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
    Ok(above_zero(name, given, default_seconds)?.unsigned_abs())
}

fn above_zero(
    name: &str,
    given: Option<SignedDuration>,
    default_seconds: i64,
) -> anyhow::Result<SignedDuration> {
    let time = given.unwrap_or(SignedDuration::from_secs(default_seconds));
    ensure!(time.is_positive(), "{name} must be above zero");
    Ok(time)
}

fn not_negative(
    name: &str,
    given: Option<SignedDuration>,
    default_seconds: i64,
) -> anyhow::Result<SignedDuration> {
    let time = given.unwrap_or(SignedDuration::from_secs(default_seconds));
    ensure!(!time.is_negative(), "{name} must not be negative");
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::settings::{Audio, Video};

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
        let (below, settings) = file::parse(file)?;
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
        let own = &config.channels[&ChannelKey::new("ABC-1", "5")];
        let in_force = own.over(&config.poll.settings);
        assert_eq!((in_force.segment_seconds.get(), in_force.audio), (60, Audio::Aac));
    }

    #[test]
    fn the_readme_says_how_its_channel_is_recorded() {
        let readme = include_str!("../../../README.md");
        let example = readme
            .split("```toml")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .unwrap();
        let (_, settings) = file::parse(example).unwrap();
        let (_, own) = settings.channels.first_key_value().unwrap();
        let in_force = own.over(&settings.default);
        assert_eq!((in_force.segment_seconds.get(), in_force.audio), (60, Audio::Aac));
        assert!(matches!(in_force.video, Video::Transcode(_)));
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
            "spool-max = '10 gallons'",
            "archive = '/srv/archive'",
            "pull-interval = '0s'",
            "orphan-grace = '0s'",
            "orphan-grace = '-1m'",
            "hand-over-within = '-1s'",
            "stop-deadline = '0s'",
            "offline-grace = '-5m'",
            "mass-removal-percent = 101",
            "channels-per-task = 0",
            "repack-after = '0s'",
            "password = 'x'",
            "gateway-nam = 'x'",
        ] {
            assert!(resolve(&[], file).is_err(), "{file}");
        }
    }

    #[test]
    fn a_command_that_only_looks_has_no_options_of_the_gateway_or_the_loops() {
        use clap::CommandFactory;
        let millrace = crate::Cli::command();
        for name in [
            "timeline", "playlist", "export", "why", "segments", "episodes", "status",
        ] {
            let command = millrace.find_subcommand(name).unwrap();
            let options: Vec<&str> = command
                .get_arguments()
                .map(|option| option.get_id().as_str())
                .collect();
            assert!(options.contains(&"data"), "{name}: {options:?}");
            for foreign in [
                "gateway_url",
                "poll_interval",
                "pull_interval",
                "spool_max",
                "alert_webhook",
            ] {
                assert!(!options.contains(&foreign), "{name}: {options:?}");
            }
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
