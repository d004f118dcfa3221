//! One machine's backfill: the gateway's client, a player, a spool and the archive around the loop of `domain`.

use crate::alerts::Outbox;
use crate::archive::AnyArchive;
use crate::config::{Config, Gateway};
use anyhow::Context;
use domain::backfill::{Ports, Report, backfill};
use jiff::Timestamp;
use local::Sqlite;
use recorder::backfill::{Fetcher, Player};

/// The name of the spool. Its lock is what makes this machine's backfill one: whoever has it may take the lease anew.
const NAME: &str = "millrace";

/// What one process needs for round after round.
#[derive(Debug)]
pub(crate) struct Backfill {
    gateway: isapi::Client,
    player: Player,
}

impl Backfill {
    /// With a client of the gateway, which the program has one of: what it is refused, all of the program know.
    pub(crate) fn new(client: isapi::Client, access: &Gateway) -> Self {
        Self {
            gateway: client,
            player: Player::new(&access.username, access.password.clone()),
        }
    }

    /// One round.
    ///
    /// # Errors
    /// It could not begin: the archive or the spool cannot be opened, or another process is at it.
    pub(crate) async fn round(
        &self,
        config: &Config,
        table: &Sqlite,
        alerts: &Outbox,
    ) -> anyhow::Result<Report> {
        let archive = AnyArchive::at(&config.archive).await;
        let fetch = Fetcher::open(&config.footage_spool(), NAME, &self.player, &archive)
            .await
            .context("opening the backfill's spool; does `millrace run` fill a hole just now?")?;
        let ports = Ports {
            footage: &self.gateway,
            fetch: &fetch,
            archive: &archive,
            table,
            alerts,
        };
        Ok(backfill(&config.backfill, &ports, NAME, Timestamp::now).await)
    }
}
