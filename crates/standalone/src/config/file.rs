//! The configuration file: the options of all commands, and the settings of channels.

use super::options::{
    AlertOptions, ArchiveOptions, BackfillOptions, DataOptions, GatewayOptions, LoopOptions, Options,
    PollOptions,
};
use super::wanted::WantedOptions;
use anyhow::{Context, bail};
use domain::ChannelKey;
use domain::settings::{OwnSettings, RecordingSettings};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Where `millrace` looks for a configuration file when none is named.
const FILE_DEFAULT: &str = "millrace.toml";

/// What the file says of channels and of the gateway's own configuration.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) default: RecordingSettings,
    pub(super) channels: BTreeMap<ChannelKey, OwnSettings>,
    pub(super) wanted: WantedOptions,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    recording: RecordingSettings,
    channel: BTreeMap<String, OwnSettings>,
    #[serde(flatten)]
    wanted: WantedOptions,
    #[serde(flatten)]
    data: DataOptions,
    #[serde(flatten)]
    archive: ArchiveOptions,
    #[serde(flatten)]
    gateway: GatewayOptions,
    #[serde(flatten)]
    poll: PollOptions,
    #[serde(flatten)]
    alerts: AlertOptions,
    #[serde(flatten)]
    backfill: BackfillOptions,
    #[serde(flatten)]
    loops: LoopOptions,
    /// What is none of these.
    #[serde(flatten)]
    unknown: toml::Table,
}

/// Reads the file that is named, or the one that lies here, if there is one.
pub(super) fn read(named: Option<&Path>) -> anyhow::Result<(Options, Settings)> {
    let path = match named {
        Some(path) => path,
        None if Path::new(FILE_DEFAULT).exists() => Path::new(FILE_DEFAULT),
        None => return Ok(Default::default()),
    };
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&text).with_context(|| format!("reading {}", path.display()))
}

/// Reads a file's text.
pub(super) fn parse(text: &str) -> anyhow::Result<(Options, Settings)> {
    let file: File = toml::from_str(text)?;
    if let Some(key) = file.unknown.keys().next() {
        bail!("unknown key `{key}`");
    }
    let mut channels = BTreeMap::new();
    for (name, settings) in file.channel {
        channels.insert(name.parse::<ChannelKey>()?, settings);
    }
    let options = Options {
        data: file.data,
        archive: file.archive,
        gateway: file.gateway,
        poll: file.poll,
        alerts: file.alerts,
        backfill: file.backfill,
        loops: file.loops,
    };
    let settings = Settings {
        default: file.recording,
        channels,
        wanted: file.wanted,
    };
    Ok((options, settings))
}
