//! `millrace channels`: the known channels, and settings of their own.

use crate::archive::is_listed;
use crate::fleet::{Channel, observe};
use crate::show;
use crate::source::{Source, SourceArgs};
use crate::tables::AnyTables;
use anyhow::{Context, bail, ensure};
use domain::ports::Put;
use domain::settings::{Overrides, OwnSettings};
use domain::{ChannelKey, DeviceIndex};
use jiff::Timestamp;
use std::io::Write;

/// Arguments of `millrace channels`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(subcommand)]
    action: Option<Action>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Give a channel settings of its own, as TOML: `millrace channels set DEVICE CHANNEL audio='"aac"'
    /// segment-seconds=60`. What is not named stays as it is. The running millrace takes them over at its next poll.
    Set {
        /// The device's index at the gateway.
        device: String,
        /// The channel's id.
        channel: String,
        /// `key=value`, the value in TOML.
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// Take settings of its own back from a channel: those of all channels hold for it again.
    Unset {
        /// The device's index at the gateway.
        device: String,
        /// The channel's id.
        channel: String,
        /// Which ones, such as `audio`; without any, all.
        #[arg(value_name = "KEY")]
        names: Vec<String>,
    },
}

/// Lists the channels, or changes the settings of one.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let source = args.source.open().await?;
    match args.action {
        None => list(&source, args.json).await,
        Some(Action::Set {
            device,
            channel,
            settings,
        }) => {
            let key = ChannelKey::new(DeviceIndex::new(device), channel.as_str());
            let now = parse(&settings)?;
            change(&source.tables, &key, |said| Ok(said.and(now))).await?;
            if !is_listed(&source.tables, &key).await? {
                writeln!(
                    std::io::stdout(),
                    "{key} is not known yet; kept for when it comes"
                )?;
            }
            Ok(())
        }
        Some(Action::Unset {
            device,
            channel,
            names,
        }) => {
            let key = ChannelKey::new(DeviceIndex::new(device), channel.as_str());
            change(&source.tables, &key, |said| without(said, &names)).await
        }
    }
}

async fn list(source: &Source, json: bool) -> anyhow::Result<()> {
    let fleet = observe(&source.tables, Timestamp::now(), source.silent_after).await?;
    let mut out = std::io::stdout();
    if json {
        serde_json::to_writer_pretty(&mut out, &fleet)?;
        writeln!(out)?;
        return Ok(());
    }
    let header = ["CHANNEL", "DEVICE", "NAME", "SETTINGS", "STREAM"];
    writeln!(out, "{}", show::table(&header, fleet.into_iter().map(line)))?;
    Ok(())
}

fn line(channel: Channel) -> Vec<String> {
    let settings = toml::to_string(&channel.settings)
        .unwrap_or_default()
        .trim()
        .replace('\n', ", ");
    vec![
        channel.key.to_string(),
        channel.device_name,
        channel.channel_name,
        settings,
        channel.media_url,
    ]
}

fn parse(pairs: &[String]) -> anyhow::Result<OwnSettings> {
    toml::from_str(&pairs.join("\n")).context("reading the settings (strings need quotes: audio='\"aac\"')")
}

fn without(mut said: OwnSettings, names: &[String]) -> anyhow::Result<OwnSettings> {
    if names.is_empty() {
        return Ok(OwnSettings::default());
    }
    for name in names {
        ensure!(said.forget(name), "no setting is called `{name}`");
    }
    Ok(said)
}

async fn change(
    table: &AnyTables,
    key: &ChannelKey,
    edit: impl FnOnce(OwnSettings) -> anyhow::Result<OwnSettings>,
) -> anyhow::Result<()> {
    let (mut overrides, version) = Overrides::load(table).await?;
    overrides.set(key, edit(overrides.said(key))?);
    match overrides.store(table, version).await? {
        Put::Written => Ok(()),
        Put::Stale => bail!("another program changed the settings at the same time; try again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::settings::Audio;
    use std::num::NonZeroU32;

    #[test]
    fn settings_are_read_as_toml_and_misspelt_ones_refused() {
        let pairs = ["audio=\"aac\"".to_owned(), "segment-seconds=60".to_owned()];
        let own = parse(&pairs).unwrap();
        assert_eq!(
            (own.audio, own.segment_seconds.map(NonZeroU32::get)),
            (Some(Audio::Aac), Some(60))
        );
        assert_eq!(own.retention_days, None, "what is not named is not said");
        assert!(parse(&["segments=60".to_owned()]).is_err());
        assert!(without(own, &["segments".to_owned()]).is_err());
    }
}
