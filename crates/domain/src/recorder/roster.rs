//! The channels of one recorder, and how long it lives.

use super::plan::{Action, Running, plan};
use crate::id::{ChannelKey, Generation, TaskArn};
use crate::succession::{Standing, Succession, standing};
use crate::task::{Assignment, AssignmentRow};
use std::collections::BTreeMap;
use std::time::Duration;

/// What one recorder records, and whether it is to end. Ticks are the time since any one moment, by a clock that nobody sets.
#[derive(Debug)]
pub struct Roster {
    task: TaskArn,
    running: BTreeMap<ChannelKey, Running>,
    /// When something was last assigned to this recorder, or it could not learn whether.
    assigned_at: Duration,
    leaving: Option<Leaving>,
}

/// It hands its channels over, and ends when it has none.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    /// It ends then in any case.
    by: Option<Duration>,
}

/// What a channel's own row says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is recorded as before: the list lagged, or there is no successor yet.
    GoOn,
    /// It is recorded on until its successor has a picture.
    HandOver {
        /// What is known of the successor.
        succession: Succession,
        /// Nothing was known of one before.
        begins: bool,
    },
    /// It is not ours any more, or ours in another generation.
    Stop,
}

/// Why a recorder ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was to leave, and has handed everything over or may wait no longer.
    Left,
    /// Nobody has given it anything for the whole grace, as far as it could ask.
    Orphaned,
}

impl Roster {
    /// A recorder that begins.
    pub fn new(task: TaskArn, tick: Duration) -> Self {
        Self {
            task,
            running: BTreeMap::new(),
            assigned_at: tick,
            leaving: None,
        }
    }

    /// What to do about the rows of this task. Whoever leaves begins nothing.
    pub fn pulled(&mut self, rows: &[AssignmentRow], tick: Duration) -> Vec<Action> {
        if !rows.is_empty() {
            self.assigned_at = tick;
        }
        let mut actions = plan(&self.running, rows);
        if self.leaving.is_some() {
            actions.retain(|action| !matches!(action, Action::Start(_)));
        }
        actions
    }

    /// The rows could not be had: recording goes on, and not knowing is no reason to end either.
    pub fn not_pulled(&mut self, tick: Duration) {
        self.assigned_at = tick;
    }

    /// A channel is being recorded from now on.
    pub fn started(&mut self, assignment: Assignment) {
        let key = assignment.key.clone();
        let channel = Running {
            assignment,
            succeeded: false,
            stopping: false,
        };
        self.running.insert(key, channel);
    }

    /// A channel knows its newest assignment.
    pub fn told(&mut self, assignment: Assignment) {
        if let Some(channel) = self.running.get_mut(&assignment.key) {
            channel.assignment = assignment;
        }
    }

    /// A channel has ended.
    pub fn ended(&mut self, key: &ChannelKey) {
        self.running.remove(key);
    }

    /// Judges a channel that may be somebody else's by its own row. A list may miss a row for a moment (an index lags, one of
    /// its replicas more than another); the row itself tells.
    pub fn judge(
        &mut self,
        key: &ChannelKey,
        generation: Generation,
        row: Option<&AssignmentRow>,
    ) -> Verdict {
        let running = self.running.get_mut(key);
        let is_meant =
            |channel: &&mut Running| channel.assignment.generation == generation && !channel.stopping;
        let Some(channel) = running.filter(is_meant) else {
            return Verdict::GoOn;
        };
        match standing(row, &self.task, generation) {
            Standing::Ours => Verdict::GoOn,
            Standing::Succeeded(succession) => {
                let begins = !channel.succeeded;
                channel.succeeded = true;
                Verdict::HandOver { succession, begins }
            }
            Standing::Lost => {
                channel.stopping = true;
                Verdict::Stop
            }
        }
    }

    /// From now on this recorder hands its channels over. Without `by` it records on for as long as they have no successors:
    /// nobody is about to kill it. The earliest `by` counts.
    pub fn leave(&mut self, by: Option<Duration>) {
        let before = self.leaving.and_then(|leaving| leaving.by);
        let by = before.into_iter().chain(by).min();
        self.leaving = Some(Leaving { by });
    }

    /// Whether it hands its channels over.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// When it ends in any case.
    pub fn leaves_by(&self) -> Option<Duration> {
        self.leaving?.by
    }

    /// The channels whose rows are to be read again and again, for the word of a successor: those that have one, and when
    /// leaving all.
    pub fn looked_after(&self) -> impl Iterator<Item = (&ChannelKey, Generation)> {
        let all = self.is_leaving();
        let looked_after = self
            .running
            .iter()
            .filter(move |(_, channel)| !channel.stopping && (all || channel.succeeded));
        looked_after.map(|(key, channel)| (key, channel.assignment.generation))
    }

    /// Whether this recorder is to end now.
    pub fn end(&self, orphan_grace: Duration, tick: Duration) -> Option<End> {
        let idle = self.running.is_empty();
        let is_due = |leaving: Leaving| idle || leaving.by.is_some_and(|by| tick >= by);
        if self.leaving.is_some_and(is_due) {
            return Some(End::Left);
        }
        let unassigned_for = tick.saturating_sub(self.assigned_at);
        (idle && unassigned_for >= orphan_grace).then_some(End::Orphaned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::rows;
    use crate::task::Heartbeat;

    const GRACE: Duration = Duration::from_secs(120);

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn row(task: &str, generation: u64) -> AssignmentRow {
        let at = "2026-11-21T09:00:00Z".parse().unwrap();
        AssignmentRow {
            assignment: Assignment {
                generation: Generation(generation),
                ..rows::assignment(ChannelKey::new("A", "1"), task, at)
            },
            heartbeat: Heartbeat::default(),
        }
    }

    fn recording() -> (Roster, ChannelKey) {
        let mut roster = Roster::new(TaskArn::new("a"), second(0));
        let ours = row("a", 1).assignment;
        roster.started(ours.clone());
        (roster, ours.key)
    }

    #[test]
    fn an_orphan_ends_after_the_grace_and_one_that_cannot_ask_never() {
        let mut roster = Roster::new(TaskArn::new("a"), second(0));
        assert_eq!(roster.end(GRACE, second(119)), None);
        assert_eq!(roster.end(GRACE, second(120)), Some(End::Orphaned));
        roster.not_pulled(second(600));
        assert_eq!(roster.pulled(&[], second(610)), []);
        assert_eq!(roster.end(GRACE, second(719)), None, "the grace begins anew");
        assert_eq!(roster.end(GRACE, second(720)), Some(End::Orphaned));
    }

    #[test]
    fn whoever_records_is_no_orphan_though_nothing_is_assigned() {
        let (roster, _) = recording();
        assert_eq!(roster.end(GRACE, second(9_000)), None);
    }

    #[test]
    fn whoever_leaves_begins_nothing_and_ends_with_its_last_channel_or_when_it_must() {
        let (mut roster, key) = recording();
        roster.leave(Some(second(70)));
        let another = AssignmentRow {
            assignment: Assignment {
                key: ChannelKey::new("B", "1"),
                ..row("a", 1).assignment
            },
            ..row("a", 1)
        };
        assert_eq!(roster.pulled(&[row("a", 1), another], second(1)), []);
        assert_eq!(roster.end(GRACE, second(69)), None);
        assert_eq!(roster.end(GRACE, second(70)), Some(End::Left));
        roster.ended(&key);
        assert_eq!(roster.end(GRACE, second(2)), Some(End::Left));
    }

    #[test]
    fn who_leaves_by_itself_has_no_hurry_until_it_is_told() {
        let (mut roster, _) = recording();
        roster.leave(None);
        assert_eq!(roster.end(GRACE, second(9_000)), None);
        roster.leave(Some(second(9_070)));
        roster.leave(None);
        assert_eq!(roster.leaves_by(), Some(second(9_070)));
    }

    #[test]
    fn a_channel_goes_by_its_own_row() {
        let (mut roster, key) = recording();
        let judge = |roster: &mut Roster, row: Option<&AssignmentRow>| roster.judge(&key, Generation(1), row);
        assert_eq!(judge(&mut roster, Some(&row("a", 1))), Verdict::GoOn);
        assert_eq!(roster.looked_after().count(), 0);
        for begins in [true, false] {
            let verdict = judge(&mut roster, Some(&row("b", 2)));
            assert!(matches!(verdict, Verdict::HandOver { begins: said, .. } if said == begins));
        }
        assert_eq!(roster.looked_after().count(), 1);
        assert_eq!(judge(&mut roster, None), Verdict::Stop);
        assert_eq!(judge(&mut roster, None), Verdict::GoOn, "it is stopping already");
        assert_eq!(roster.looked_after().count(), 0);
    }

    #[test]
    fn an_answer_about_another_generation_stops_nothing() {
        let (mut roster, key) = recording();
        assert_eq!(roster.judge(&key, Generation(0), None), Verdict::GoOn);
    }
}
