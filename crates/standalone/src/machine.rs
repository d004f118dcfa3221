//! Everything that runs on one machine: the poll, the dispatcher and the recorders' host, over one state file.

use crate::alerts::Outbox;
use crate::archive::{self, AnyArchive};
use crate::backfill::Backfill;
use crate::config::Config;
use crate::events;
use crate::gateway;
use crate::previews::{self, Previews};
use crate::processes::Processes;
use crate::silence;
use anyhow::Context;
use domain::ChannelKey;
use domain::backfill;
use domain::coverage::{HourReport, measure_hour};
use domain::dispatch::{self, dispatch};
use domain::keep::{self, Mode, keep};
use domain::poll::{self, poll};
use domain::ports::{Put, Tasks, TasksTable};
use domain::settings::Overrides;
use jiff::Timestamp;
use local::Sqlite;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// The loops of one machine.
#[derive(Debug)]
pub(crate) struct Machine {
    config: Config,
    gateway: isapi::Client,
    table: Sqlite,
    processes: Processes,
    alerts: Outbox,
    backfill: Backfill,
    look: Notify,
    poll_now: Notify,
}

impl Machine {
    /// Opens the state, prepares the clients and, the first time, makes the archive; nothing runs yet.
    pub(crate) async fn open(config: Config) -> anyhow::Result<Self> {
        let access = config.gateway()?;
        let gateway = gateway::client(access)?;
        let program = std::env::current_exe().context("finding this program")?;
        let table = Sqlite::open(&config.state_file())
            .await
            .context("opening the tables")?;
        archive::make_once(&config.archive, &table).await?;
        Ok(Self {
            processes: Processes::new(program, &config, access)?,
            alerts: Outbox::new(config.alert_webhook.clone())?,
            backfill: Backfill::new(gateway.clone(), access),
            gateway,
            look: Notify::new(),
            poll_now: Notify::new(),
            table,
            config,
        })
    }

    /// The tables.
    pub(crate) fn table(&self) -> &Sqlite {
        &self.table
    }

    /// Kills the recorder of a channel as `kill -9` does; `false` when it has none.
    pub(crate) async fn kill_recorder_of(&self, key: &ChannelKey) -> anyhow::Result<bool> {
        let Some(row) = self.table.assignment(key).await? else {
            return Ok(false);
        };
        let Some(task) = row.assignment.task else {
            return Ok(false);
        };
        self.processes.kill(&task)?;
        Ok(true)
    }

    /// Writes down for others by what this machine goes, and of channels what the configuration file says of them, and
    /// of no others.
    pub(crate) async fn apply_settings(&self) -> anyhow::Result<()> {
        silence::write(&self.table, self.config.dispatch.heartbeat_stale).await?;
        let (mut overrides, version) = Overrides::load(&self.table).await?;
        let before = overrides.clone();
        for (key, own) in &self.config.channels {
            overrides.set(key, own.clone());
        }
        if overrides != before && overrides.store(&self.table, version).await? == Put::Stale {
            anyhow::bail!("another program changed the channel settings at the same time; start again");
        }
        Ok(())
    }

    /// Polls for ever; each change makes the dispatcher look at once.
    pub(crate) async fn poll_for_ever(&self, told: impl Fn(&poll::Report)) {
        loop {
            let report = poll(
                &self.config.poll,
                &self.gateway,
                &self.table,
                &self.alerts,
                Timestamp::now(),
            )
            .await;
            told(&report);
            if !report.changed.is_empty() {
                self.look.notify_one();
            }
            tokio::select! {
                () = sleep(self.config.poll_interval) => {}
                // Events come in flocks: one look sees what all of them were about.
                () = async { self.poll_now.notified().await; sleep(EVENTS_SETTLE).await; } => {}
            }
        }
    }

    /// Follows the gateway's events for ever: a device's coming and going makes the poll look at once, alarms
    /// become episodes.
    pub(crate) async fn follow_events_for_ever(&self) {
        let look = || self.poll_now.notify_one();
        events::follow_for_ever(&self.gateway, &self.table, self.config.alarms.as_ref(), look).await;
    }

    /// Measures the last full hour at twenty past every hour, for ever.
    pub(crate) async fn measure_for_ever(&self, told: impl Fn(&HourReport)) {
        let archive = AnyArchive::at(&self.config.archive).await;
        loop {
            sleep(until_twenty_past(Timestamp::now())).await;
            let (policy, table, alerts) = (&self.config.hour, &self.table, &self.alerts);
            told(&measure_hour(policy, &archive, table, alerts, Timestamp::now).await);
        }
    }

    /// Deletes what is past its retention, for ever.
    pub(crate) async fn keep_for_ever(&self, told: impl Fn(&keep::Report)) {
        let policy = self.config.keep();
        let archive = AnyArchive::at(&self.config.archive).await;
        loop {
            let (table, alerts) = (&self.table, &self.alerts);
            told(&keep(&policy, &archive, table, alerts, Timestamp::now, Mode::Delete).await);
            sleep(self.config.keep_interval).await;
        }
    }

    /// Takes the pictures of episodes, for ever; `told` hears how many. Without `ffmpeg` it only waits.
    pub(crate) async fn preview_for_ever(&self, told: impl Fn(usize)) {
        if !previews::can_be_taken().await {
            tracing::info!("episodes get no pictures: there is no ffmpeg");
            return std::future::pending().await;
        }
        let mut previews = Previews::new(&self.config.data);
        let archive = AnyArchive::at(&self.config.archive).await;
        loop {
            let round = async {
                // What is tried in vain is tried a few times only.
                archive.look().await?;
                previews.round(&archive, &self.table, Timestamp::now()).await
            };
            match round.await {
                Ok(taken) => told(taken),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "no pictures of episodes"),
            }
            sleep(previews::EVERY).await;
        }
    }

    /// Fills holes from the devices' own storage, for ever.
    pub(crate) async fn backfill_for_ever(&self, told: impl Fn(&backfill::Report)) {
        loop {
            match self.backfill.round(&self.config, &self.table, &self.alerts).await {
                Ok(report) => {
                    told(&report);
                    if report.has_more() {
                        continue;
                    }
                }
                Err(error) => tracing::warn!(error = format!("{error:#}"), "holes cannot be filled"),
            }
            sleep(self.config.backfill_interval).await;
        }
    }

    /// Dispatches for ever: on its interval, on a change, when a recorder ends, when a waiting channel is due.
    pub(crate) async fn dispatch_for_ever(&self, told: impl Fn(&dispatch::Report)) {
        loop {
            let now = Timestamp::now();
            let report = dispatch(
                &self.config.dispatch,
                &self.table,
                &self.processes,
                &self.alerts,
                now,
            )
            .await;
            told(&report);
            let next = Instant::now() + next_look(self.config.dispatch_interval, &report, now);
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.look.notified() => {}
                () = self.processes.ended() => {}
            }
        }
    }

    /// Kills every recorder; what they had not uploaded stays in the spool.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        for task in self.processes.list_tasks().await? {
            self.processes.kill(&task.arn)?;
        }
        Ok(())
    }

    /// Asks every recorder to stop and waits until all have; `told` hears how many still run. Those that take
    /// longer than they may are killed: what they had not uploaded stays in the spool.
    pub(crate) async fn drain(&self, told: impl Fn(usize)) -> anyhow::Result<()> {
        let patience = Duration::try_from(self.config.recorder.stop_deadline).unwrap_or_default();
        let deadline = Instant::now() + patience + Duration::from_secs(5);
        for task in self.processes.list_tasks().await? {
            self.processes.drain(&task.arn)?;
        }
        loop {
            let live = self.processes.list_tasks().await?;
            if live.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                for task in &live {
                    tracing::warn!(task = %task.arn, "recorder did not stop in time and is killed");
                    self.processes.kill(&task.arn)?;
                }
            }
            told(live.len());
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// To the next time that it is twenty past the hour: the hour before has settled then.
fn until_twenty_past(now: Timestamp) -> Duration {
    const HOUR_SECONDS: i64 = 60 * 60;
    let past = (now.as_second() - 20 * 60).rem_euclid(HOUR_SECONDS);
    Duration::from_secs((HOUR_SECONDS - past).unsigned_abs())
}

/// Between an event and the poll it asks for.
const EVENTS_SETTLE: Duration = Duration::from_millis(500);

/// A waiting channel may be due before the interval is over; never sooner than a second, whatever the clock says.
fn next_look(interval: Duration, report: &dispatch::Report, now: Timestamp) -> Duration {
    let due = report
        .next_due
        .map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
    due.map_or(interval, |due| due.max(Duration::from_secs(1)).min(interval))
}
