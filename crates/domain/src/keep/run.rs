//! The keep loop over the ports.

use super::memory::{Cursor, Memory};
use super::plan::{BytesByClass, PagePlan, plan, retention};
use super::policy::KeepPolicy;
use crate::alert::{Severity, Trouble};
use crate::episode::{Episode, MARGIN};
use crate::id::ChannelKey;
use crate::ports::{Alerts, ArchiveSweep, ControlTable, EpisodesTable, PortError, Put, StoredObject};
use crate::segment::ObjectKey;
use crate::settings::Overrides;
use crate::watch::tell;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// Whether a run deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What is free goes.
    Delete,
    /// Nothing changes, and the report says what would.
    DryRun,
}

/// What one run saw and did: the wide event of its invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Channels with a retention that were looked at.
    pub channels: usize,
    /// Objects listed.
    pub listed: usize,
    /// Objects deleted, or that would be.
    pub deleted: usize,
    /// How many bytes they had.
    pub deleted_bytes: u64,
    /// Of them, by the class they lay in where there are classes.
    #[serde(skip_serializing_if = "BytesByClass::is_empty")]
    pub deleted_bytes_by_class: BytesByClass,
    /// Objects past their retention that episodes keep.
    pub kept_by_episodes: usize,
    /// How many bytes they have.
    pub kept_bytes: u64,
    /// Of them, by class.
    #[serde(skip_serializing_if = "BytesByClass::is_empty")]
    pub kept_bytes_by_class: BytesByClass,
    /// Objects whose names are not ours; they are left alone.
    pub not_ours: usize,
    /// Episodes that expired long ago and were deleted.
    pub episodes_expired: usize,
    /// Channels of which nothing (more) was deleted, with the reason; the next run tries again.
    pub failed: BTreeMap<String, String>,
    /// The run reached its bound; the next goes on there.
    pub unfinished: bool,
    /// Why nothing was deleted at all, by design: the clock is not believed yet.
    pub held: Option<String>,
    /// Why nothing was deleted at all, by accident.
    pub failure: Option<String>,
}

/// An expired episode stays to be seen for so long before its row goes.
const EXPIRED_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Runs once. `clock` is asked again before every delete: what was read long ago by then is read anew. Failures are
/// in the report, and people are told of what two runs in a row could not do.
pub async fn keep<A, T, L>(
    policy: &KeepPolicy,
    archive: &A,
    table: &T,
    alerts: &L,
    clock: impl Fn() -> Timestamp + Send + Sync,
    mode: Mode,
) -> Report
where
    A: ArchiveSweep,
    T: EpisodesTable + ControlTable,
    L: Alerts,
{
    let mut report = Report::default();
    let run = Run {
        policy,
        archive,
        table,
        clock: &clock,
        mode,
        now: clock(),
    };
    if let Err(error) = run.run(&mut report).await {
        report.failure = Some(error.chain());
    }
    if mode == Mode::Delete
        && let Err(error) = tell(table, alerts, "keep", &troubles(&report), run.now).await
    {
        report.failed.insert("alerts".to_owned(), error.chain());
    }
    report
}

fn troubles(report: &Report) -> Vec<Trouble> {
    let first_failed = report.failed.iter().next();
    let what = match (&report.failure, first_failed) {
        (Some(failure), _) => format!("nothing can be deleted from the archive: {failure}"),
        (None, Some((channel, why))) => format!(
            "of {} channels nothing is deleted, the first {channel}: {why}",
            report.failed.len()
        ),
        (None, None) => return Vec::new(),
    };
    vec![Trouble {
        subject: "keep".to_owned(),
        severity: Severity::Warning,
        text: format!("{what}. The archive grows until this is mended; no video is lost"),
        patience_looks: 2,
    }]
}

struct Run<'a, A, T, C> {
    policy: &'a KeepPolicy,
    archive: &'a A,
    table: &'a T,
    clock: &'a C,
    mode: Mode,
    /// What is old is judged by one time, the run's beginning.
    now: Timestamp,
}

impl<A, T, C> Run<'_, A, T, C>
where
    A: ArchiveSweep,
    T: EpisodesTable + ControlTable,
    C: Fn() -> Timestamp + Send + Sync,
{
    async fn run(&self, report: &mut Report) -> Result<(), PortError> {
        let (before, version) = Memory::load(self.table).await?;
        if self.mode == Mode::Delete
            && let Some(why) = distrust(self.policy, before.looked_at, self.now)
        {
            report.held = Some(why);
            let after = Memory {
                looked_at: Some(self.now),
                ..before
            };
            return self.remember(&after, version).await;
        }
        let cursor = self.sweep(before.cursor, report).await?;
        report.unfinished = cursor.is_some();
        let after = Memory {
            looked_at: Some(self.now),
            cursor,
        };
        self.remember(&after, version).await
    }

    async fn remember(&self, memory: &Memory, version: Option<u64>) -> Result<(), PortError> {
        match self.mode {
            Mode::DryRun => Ok(()),
            // Another run was faster. What it remembers is as true.
            Mode::Delete => match memory.store(self.table, version).await? {
                Put::Written | Put::Stale => Ok(()),
            },
        }
    }

    /// Goes through the channels from the cursor on, round to where it began; a new cursor when the bound is reached.
    async fn sweep(&self, cursor: Option<Cursor>, report: &mut Report) -> Result<Option<Cursor>, PortError> {
        let (overrides, _) = Overrides::load(self.table).await?;
        let mut channels = self.archive.list_channels().await?;
        channels.sort();
        let begin = cursor.as_ref().map_or(0, |cursor| {
            channels.partition_point(|channel| *channel < cursor.channel)
        });
        channels.rotate_left(begin);
        let mut resumed = cursor;
        let mut pages_left = self.policy.pages_max;
        for channel in channels {
            let settings = overrides.settings(&channel, &self.policy.settings);
            if settings.retention_days == 0 {
                continue;
            }
            report.channels += 1;
            let after = resumed
                .take()
                .filter(|cursor| cursor.channel == channel)
                .and_then(|cursor| cursor.after);
            let mut sweep = Sweep {
                channel: &channel,
                retention_days: settings.retention_days,
                after,
                pages_left,
            };
            match self.channel(&mut sweep, report).await {
                Ok(Done::Yes) => {}
                Ok(Done::OutOfBounds) => {
                    let after = sweep.after;
                    return Ok(Some(Cursor { channel, after }));
                }
                Err(error) => _ = report.failed.insert(channel.to_string(), error.chain()),
            }
            pages_left = sweep.pages_left;
        }
        Ok(None)
    }

    async fn channel(&self, sweep: &mut Sweep<'_>, report: &mut Report) -> Result<Done, PortError> {
        loop {
            let lasted = (self.clock)().duration_since(self.now);
            if sweep.pages_left == 0 || lasted > self.policy.run_max {
                return Ok(Done::OutOfBounds);
            }
            sweep.pages_left -= 1;
            let page = self
                .archive
                .list_page(sweep.channel, sweep.after.as_ref())
                .await?;
            let (plan, read_at) = self.judge(sweep, &page.objects, report).await?;
            report.listed += page.objects.len();
            report.kept_by_episodes += plan.kept_by_episodes;
            report.kept_bytes = report.kept_bytes.saturating_add(plan.kept_bytes);
            report.kept_bytes_by_class.add_all(&plan.kept_bytes_by_class);
            report.not_ours += plan.not_ours;
            self.delete(&plan, read_at, report).await?;
            match page.next {
                Some(next) if !plan.reached_the_young => sweep.after = Some(next),
                Some(_) | None => return Ok(Done::Yes),
            }
        }
    }

    /// Reads the episodes, now that the objects are known, and judges.
    async fn judge(
        &self,
        sweep: &Sweep<'_>,
        objects: &[StoredObject],
        report: &mut Report,
    ) -> Result<(PagePlan, Timestamp), PortError> {
        let read_at = (self.clock)();
        let horizon = self.now.saturating_sub(retention(sweep.retention_days));
        let until = horizon.and_then(|horizon| horizon.saturating_add(MARGIN + MARGIN));
        let until = until.unwrap_or(Timestamp::MAX);
        let episodes = self
            .table
            .list_episodes(sweep.channel, Timestamp::MIN, until)
            .await?;
        let plan = plan(objects, sweep.retention_days, &episodes, self.now);
        self.forget_expired(&episodes, report).await;
        Ok((plan, read_at))
    }

    async fn delete(
        &self,
        plan: &PagePlan,
        read_at: Timestamp,
        report: &mut Report,
    ) -> Result<(), PortError> {
        if plan.delete.is_empty() {
            return Ok(());
        }
        let mut failed = Vec::new();
        if self.mode == Mode::Delete {
            let age = (self.clock)().duration_since(read_at);
            if age < SignedDuration::ZERO || age > self.policy.episodes_fresh {
                let why = format!("episodes read {age:#} ago are too old to delete by");
                return Err(PortError::throttled("deleting from the archive", why));
            }
            failed = self.archive.delete_objects(&plan.delete).await?;
        }
        report.deleted += plan.delete.len() - failed.len();
        // Of a page of which some stay, the bytes of these are counted too: the report errs on the side of more.
        report.deleted_bytes = report.deleted_bytes.saturating_add(plan.delete_bytes);
        report.deleted_bytes_by_class.add_all(&plan.delete_bytes_by_class);
        match failed.into_iter().next() {
            None => Ok(()),
            Some((key, why)) => Err(PortError::unknown(format!("deleting {key}"), why)),
        }
    }

    /// Rows nobody needs any more; one that stays is tried again at the next run.
    async fn forget_expired(&self, episodes: &[Episode], report: &mut Report) {
        if self.mode == Mode::DryRun {
            return;
        }
        let is_over = |episode: &&Episode| {
            episode
                .expires_at
                .is_some_and(|expired_at| self.now.duration_since(expired_at) > EXPIRED_KEPT)
        };
        for episode in episodes.iter().filter(is_over) {
            let deleted = self
                .table
                .delete_episode(&episode.key, episode.start, episode.revision);
            if let Ok(Put::Written) = deleted.await {
                report.episodes_expired += 1;
            }
        }
    }
}

/// One channel's part of a run.
struct Sweep<'a> {
    channel: &'a ChannelKey,
    retention_days: u32,
    after: Option<ObjectKey>,
    pages_left: usize,
}

enum Done {
    Yes,
    OutOfBounds,
}

/// A clock far ahead of the last run's may have jumped, and everything would be old: it takes two looks.
fn distrust(policy: &KeepPolicy, last: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let Some(last) = last else {
        return Some(
            "this is the first run; the next one deletes if the clock still says the same".to_owned(),
        );
    };
    let ahead = now.duration_since(last);
    (ahead > policy.clock_step_max).then(|| {
        format!("the clock is {ahead:#} ahead of the last run; the next one deletes if that is still so")
    })
}
