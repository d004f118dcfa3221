//! What the storm's runs meet.

use super::channel;
use super::storm::{CHANNELS, MEMORY, Sim};
use super::truth::Listed;
use domain::ChannelKey;
use domain::keep::{Mode, Report};
use domain::ports::ControlTable;
use futures::executor::block_on;

impl Sim {
    /// A cursor in a channel that keeps all by now leads to the next.
    pub(crate) fn count_skipped(&mut self) {
        let item = block_on(self.world.tables.calm().get_control(MEMORY)).unwrap();
        let Some(item) = item else { return };
        let cursor = serde_json::from_value(item.value["cursor"]["channel"].clone());
        if cursor.is_ok_and(|channel| self.truth.retention(&channel) == 0) {
            self.reach("goes on after a channel that keeps all");
        }
    }

    /// What a run says of itself.
    pub(crate) fn count(&mut self, report: &Report, mode: Mode) {
        assert!(report.held.is_none() || report.deleted == 0, "{report:?}");
        let listed_others = report.deleted + report.kept_by_episodes + report.not_ours;
        let is_whole = report.failed.is_empty() && report.failure.is_none();
        let held = |why: &str| report.held.as_ref().is_some_and(|held| held.contains(why));
        let failed = |why: &str| report.failed.values().any(|failed| failed.contains(why));
        let reached = [
            ("free", report.deleted > 0 && mode == Mode::Delete),
            ("kept by an episode", report.kept_by_episodes > 0),
            ("not ours", report.not_ours > 0),
            ("young", is_whole && report.listed > listed_others),
            ("an expired episode", report.episodes_expired > 0),
            ("held: the first run", held("the first run")),
            ("held: the clock is ahead", held("ahead of the last run")),
            ("failure", report.failure.is_some()),
            ("failed: a page", failed("listing a page")),
            ("failed: the episodes", failed("listing episodes")),
            (
                "failed: the delete",
                failed("deleting: ") || failed("deleting was"),
            ),
            ("failed: some objects", failed("deleting CAM/")),
            ("failed: the episodes are old", failed("too old to delete by")),
            ("failed: alerts", report.failed.contains_key("alerts")),
        ];
        reached
            .iter()
            .filter(|(_, is)| *is)
            .for_each(|(what, _)| self.reach(what));
        if !self.world.alerts.told().is_empty() {
            self.reach("told");
        }
    }

    /// What a run's own listings say of where it began and why it ended.
    pub(crate) fn count_pages(&mut self, report: &Report, pages: &[Listed]) {
        let Some(first) = pages.first() else { return };
        if !first.is_first {
            self.reach("goes on within a channel");
        } else if self.wanted().next() != Some(first.channel.clone()) {
            self.reach("goes on at a channel");
        }
        if pages.windows(2).any(|pair| pair[0].channel == pair[1].channel) {
            self.reach("page by page");
        }
        if report.unfinished {
            let by_pages = pages.len() == self.policy.pages_max;
            self.reach(if by_pages {
                "unfinished: pages"
            } else {
                "unfinished: time"
            });
        } else if report.failed.is_empty() && report.failure.is_none() {
            let ends = |pair: &[Listed]| pair[0].has_next && pair[0].channel != pair[1].channel;
            let is_over = pages.last().is_some_and(|page| page.has_next);
            if is_over || pages.windows(2).any(ends) {
                self.reach("the rest of a channel is young");
            }
        }
    }

    /// The channels that have a retention, in order.
    fn wanted(&self) -> impl Iterator<Item = ChannelKey> {
        (1..=CHANNELS)
            .map(channel)
            .filter(|channel| self.truth.retention(channel) > 0)
    }
}

/// What the runs meet, by their own reports and by what they ask of the archive.
pub(crate) const BRANCHES: &[&str] = &[
    "free",
    "kept by an episode",
    "not ours",
    "young",
    "all is kept",
    "the rest of a channel is young",
    "page by page",
    "unfinished: pages",
    "unfinished: time",
    "goes on at a channel",
    "goes on within a channel",
    "goes on after a channel that keeps all",
    "an expired episode",
    "held: the first run",
    "held: the clock is ahead",
    "failure",
    "failed: a page",
    "failed: the episodes",
    "failed: the delete",
    "failed: some objects",
    "failed: the episodes are old",
    "failed: alerts",
    "told",
    "another run was faster",
    "memory unreadable",
    "dry run",
    "two at once",
    "crash",
    "frozen",
    "people in a run",
    "clock steps in a run",
    "clock ahead",
    "clock behind",
];
