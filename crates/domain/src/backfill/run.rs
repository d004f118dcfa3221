//! One round of the backfill over the ports.

use super::look::look;
use super::memory::{MEMORY, Memory};
use super::missing::Missing;
use super::plan::{Piece, Plan, plan};
use super::policy::BackfillPolicy;
use super::work::{Done, Lease, Ports, keep, work};
use crate::alert::{Severity, Trouble};
use crate::coverage::seconds;
use crate::id::ChannelKey;
use crate::memory::Memory as Stored;
use crate::ports::{Alerts, Archive, ChannelsTable, ControlTable, Fetch, Footage, GapsTable, PortError, Put};
use crate::watch::tell;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What one round saw and did: its wide event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Channels whose settings ask for it.
    pub channels: usize,
    /// How much of them is missing, ripe and not settled.
    #[serde(rename = "missingSeconds", serialize_with = "seconds")]
    pub missing: SignedDuration,
    /// What was asked for, or would be.
    pub pieces: Vec<Piece>,
    /// Devices left alone for now, because they failed lately.
    pub devices_waiting: usize,
    /// Playbacks begun.
    pub playbacks: usize,
    /// Pieces, or rests of pieces, that are left for the next round: the lease was too short for their playback.
    pub postponed: usize,
    /// Segments stored.
    pub stored: usize,
    /// How long they are.
    #[serde(rename = "filledSeconds", serialize_with = "seconds")]
    pub filled: SignedDuration,
    /// Segments fetched whose time the archive had by then.
    pub discarded: usize,
    /// How much the devices say they do not have.
    #[serde(rename = "notOnDeviceSeconds", serialize_with = "seconds")]
    pub not_on_device: SignedDuration,
    /// Channels of which something failed, with the reason; it is tried again.
    pub failed: BTreeMap<String, String>,
    /// Why nothing was done, by design: somebody else is at work.
    pub held: Option<String>,
    /// Why nothing was done, by accident.
    pub failure: Option<String>,
}

impl Report {
    /// Whether the next round is likely to have more to do at once; what failed is better left for a while.
    pub fn has_more(&self) -> bool {
        let went_well = self.failure.is_none() && self.held.is_none() && self.failed.is_empty();
        went_well && !self.pieces.is_empty()
    }
}

/// The watch's control item.
const WATCH: &str = "backfill-watch";

/// A device that failed so often in a row, over an hour by default, is worth telling of.
const FAILURES_PATIENCE: u32 = 6;

/// What is missing, and what a round would ask for now. Asks no device and changes nothing.
///
/// # Errors
/// The memory or the channels cannot be read; a channel that cannot be looked at is in the report.
pub async fn survey<A, T>(
    policy: &BackfillPolicy,
    archive: &A,
    table: &T,
    now: Timestamp,
) -> Result<Report, PortError>
where
    A: Archive,
    T: ChannelsTable + GapsTable + ControlTable,
{
    let memory = Stored::<Memory>::load(table, MEMORY).await?;
    let mut report = Report::default();
    observe(policy, archive, table, &memory.value, now, &mut report).await?;
    Ok(report)
}

/// One round: at most one piece of each of a few devices. `holder` names this worker among all of one gateway;
/// `clock` is asked again before each store. Failures are in the report, and people are told of those that last.
pub async fn backfill<F, P, A, T, L>(
    policy: &BackfillPolicy,
    ports: &Ports<'_, F, P, A, T, L>,
    holder: &str,
    clock: impl Fn() -> Timestamp + Send + Sync,
) -> Report
where
    F: Footage,
    P: Fetch,
    A: Archive,
    T: ChannelsTable + GapsTable + ControlTable,
    L: Alerts,
{
    let mut report = Report::default();
    let round = Round {
        policy,
        ports,
        holder,
        clock: &clock,
        now: clock(),
    };
    let troubles = match round.run(&mut report).await {
        Ok(troubles) => troubles,
        Err(error) => {
            report.failure = Some(error.chain());
            Vec::new()
        }
    };
    if report.failure.is_none()
        && report.held.is_none()
        && let Err(error) = tell(ports.table, ports.alerts, WATCH, &troubles, round.now).await
    {
        report.failed.insert("alerts".to_owned(), error.chain());
    }
    report
}

/// Shortens the lease of a worker whose round was cut off, for example by a signal, so that nobody has to wait for its
/// end. It is not given back at once: a store that was under way may still be carried out, for as long as
/// [`BackfillPolicy::lease_reserve`].
///
/// # Errors
/// The memory cannot be read or written; the lease then lasts as long as it was taken for.
pub async fn cut_off<T: ControlTable>(
    policy: &BackfillPolicy,
    table: &T,
    holder: &str,
    now: Timestamp,
) -> Result<(), PortError> {
    let mut memory = Stored::<Memory>::load(table, MEMORY).await?;
    let until = now.saturating_add(policy.lease_reserve);
    memory
        .value
        .shorten_lease(holder, until.unwrap_or(Timestamp::MAX));
    match memory.save(table).await? {
        // Who was faster than us has a lease of its own.
        Put::Written | Put::Stale => Ok(()),
    }
}

/// Looks at every channel that is to be filled, and plans. A channel that cannot be looked at is left out.
async fn observe<A, T>(
    policy: &BackfillPolicy,
    archive: &A,
    table: &T,
    memory: &Memory,
    now: Timestamp,
    report: &mut Report,
) -> Result<Vec<Piece>, PortError>
where
    A: Archive,
    T: ChannelsTable + GapsTable,
{
    let rows = table.list_channels().await?;
    let mut looks = Vec::new();
    for row in rows.iter().filter(|row| row.settings.backfill) {
        report.channels += 1;
        match look(policy, archive, table, memory, row, now).await {
            Ok(look) => {
                let missing = look.missing.iter().map(Missing::duration);
                report.missing = missing.fold(report.missing, SignedDuration::saturating_add);
                looks.push(look);
            }
            Err(error) => _ = report.failed.insert(row.key.to_string(), error.chain()),
        }
    }
    let Plan {
        pieces,
        devices_waiting,
    } = plan(policy, &looks, memory, now);
    report.devices_waiting = devices_waiting;
    report.pieces.clone_from(&pieces);
    Ok(pieces)
}

struct Round<'a, 'p, F, P, A, T, L, C> {
    policy: &'a BackfillPolicy,
    ports: &'a Ports<'p, F, P, A, T, L>,
    holder: &'a str,
    clock: &'a C,
    now: Timestamp,
}

impl<F, P, A, T, L, C> Round<'_, '_, F, P, A, T, L, C>
where
    F: Footage,
    P: Fetch,
    A: Archive,
    T: ChannelsTable + GapsTable + ControlTable,
    L: Alerts,
    C: Fn() -> Timestamp + Send + Sync,
{
    async fn run(&self, report: &mut Report) -> Result<Vec<Trouble>, PortError> {
        let Ports { archive, table, .. } = *self.ports;
        let mut memory = Stored::<Memory>::load(table, MEMORY).await?;
        let waiting = self.waiting().await?;
        let pieces = observe(self.policy, archive, table, &memory.value, self.now, report).await?;
        if pieces.is_empty() && waiting.is_empty() {
            return Ok(troubles(&memory.value));
        }
        let until = self
            .now
            .saturating_add(self.policy.lease)
            .unwrap_or(Timestamp::MAX);
        if let Err(why) = memory.value.take_lease(self.holder, until, self.now) {
            report.held = Some(why);
            return Ok(Vec::new());
        }
        if memory.save(table).await? == Put::Stale {
            report.held = Some("another worker was faster".to_owned());
            return Ok(Vec::new());
        }
        self.fill(&pieces, waiting, until, &mut memory.value, report)
            .await;
        memory.value.end_lease();
        let horizon = self.now.saturating_sub(self.policy.horizon);
        memory.value.prune(horizon.unwrap_or(Timestamp::MIN));
        if memory.save(table).await? == Put::Stale {
            let why = "the lease ended before the work; what was learned is learned again";
            report.failed.insert("memory".to_owned(), why.to_owned());
        }
        Ok(troubles(&memory.value))
    }

    async fn waiting(&self) -> Result<BTreeSet<ChannelKey>, PortError> {
        let waiting = self.ports.fetch.waiting().await?;
        Ok(waiting.into_iter().map(|segment| segment.channel).collect())
    }

    /// First what earlier rounds fetched and could not store; while that waits, nothing more is fetched of anything:
    /// the disk is bounded.
    async fn fill(
        &self,
        pieces: &[Piece],
        waiting: BTreeSet<ChannelKey>,
        until: Timestamp,
        memory: &mut Memory,
        report: &mut Report,
    ) {
        let lease = &Lease {
            policy: self.policy,
            clock: self.clock,
            until,
        };
        let mut stores_fail = false;
        for key in &waiting {
            let mut done = Done::default();
            keep(self.ports, key, lease, &mut done).await;
            stores_fail |= done.store_failed();
            done.tell(self.policy, key, memory, report, self.now);
        }
        if stores_fail {
            return;
        }
        // What was just stored may be what these pieces were about: the next round looks anew.
        let work = pieces
            .iter()
            .filter(|piece| !waiting.contains(&piece.key))
            .map(|piece| async move { (piece, work(self.ports, piece, lease).await) });
        for (piece, done) in join_all(work).await {
            done.tell(self.policy, &piece.key, memory, report, (self.clock)());
        }
    }
}

fn troubles(memory: &Memory) -> Vec<Trouble> {
    let lasting: Vec<_> = memory
        .troubles()
        .filter(|(_, failures, _)| *failures >= FAILURES_PATIENCE)
        .collect();
    let Some((device, failures, why)) = lasting.first() else {
        return Vec::new();
    };
    vec![Trouble {
        subject: "backfill".to_owned(),
        severity: Severity::Warning,
        text: format!(
            "holes of {} devices cannot be filled from their own storage, the first {device} after {failures} tries: \
             {why}. They are tried on, ever more rarely, until the holes are too old",
            lasting.len()
        ),
        patience_looks: 1,
    }]
}
