//! `millrace why`: which rule keeps or frees an object.

use crate::source::SourceArgs;
use anyhow::Context;
use domain::keep::verdict;
use domain::ports::EpisodesTable;
use domain::settings::Overrides;
use domain::{Archived, ObjectKey};
use jiff::Timestamp;
use std::io::Write;

/// Arguments of `millrace why`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The object's key, as `millrace segments --json` and listings of the archive show it.
    key: String,
}

/// Says what the keep loop would say of the object now.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let source = args.source.open().await?;
    let table = &source.tables;
    let key = ObjectKey(args.key);
    let now = Timestamp::now();
    let policy = source.config.keep();
    let (retention_days, episodes) = match Archived::parse(&key) {
        None => (policy.settings.retention_days, Vec::new()),
        Some(archived) => {
            let channel = archived.channel();
            let (overrides, _) = Overrides::load(table).await.context("reading the settings")?;
            let settings = overrides.settings(channel, &policy.settings);
            let episodes = table
                .list_episodes(channel, Timestamp::MIN, Timestamp::MAX)
                .await
                .context("reading the episodes")?;
            (settings.retention_days, episodes)
        }
    };
    writeln!(
        std::io::stdout(),
        "{}",
        verdict(&key, retention_days, &episodes, now)
    )?;
    Ok(())
}
