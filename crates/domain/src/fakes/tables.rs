use super::Weather;
use crate::channel::{ChannelRow, Revision};
use crate::episode::Episode;
use crate::gap::Gap;
use crate::id::{ChannelKey, Generation, TaskArn};
use crate::ports::{
    ChannelsTable, ControlItem, ControlTable, EpisodesTable, GapsTable, PortError, Put, TasksTable,
};
use crate::task::{Assignment, AssignmentRow, Heartbeat};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many ticks an index lags at most in bad weather.
const INDEX_LAG_MAX: u64 = 3;

/// All tables in memory. Clones share them. As with a global index of DynamoDB, in bad weather a task's assignments are
/// what they were up to three [ticks](Self::tick) ago; the tables themselves are read consistently.
#[derive(Debug, Clone)]
pub struct FakeTables {
    weather: Weather,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    channels: BTreeMap<ChannelKey, ChannelRow>,
    assignments: BTreeMap<ChannelKey, AssignmentRow>,
    gaps: BTreeMap<(ChannelKey, Timestamp), Gap>,
    episodes: BTreeMap<(ChannelKey, Timestamp), Episode>,
    control: BTreeMap<String, ControlItem>,
    poisoned: BTreeSet<ChannelKey>,
    changes: VecDeque<Change>,
    ticks: u64,
    writes: u64,
}

/// An assignment as it was before the dispatcher wrote it.
#[derive(Debug)]
struct Change {
    tick: u64,
    key: ChannelKey,
    before: Option<AssignmentRow>,
}

impl State {
    fn assign(&mut self, key: &ChannelKey, after: Option<AssignmentRow>) {
        let before = match after {
            Some(row) => self.assignments.insert(key.clone(), row),
            None => self.assignments.remove(key),
        };
        self.changes.push_back(Change {
            tick: self.ticks,
            key: key.clone(),
            before,
        });
    }

    /// The assignments as they were `lag` ticks ago.
    fn index(&self, lag: u64) -> BTreeMap<&ChannelKey, &AssignmentRow> {
        let mut index: BTreeMap<_, _> = self.assignments.iter().collect();
        let undone = self.changes.iter().rev();
        for change in undone.take_while(|change| change.tick + lag > self.ticks) {
            match &change.before {
                Some(row) => _ = index.insert(&change.key, row),
                None => _ = index.remove(&change.key),
            }
        }
        index
    }
}

impl FakeTables {
    /// Empty tables.
    pub fn new(weather: Weather) -> Self {
        Self {
            weather,
            state: Arc::default(),
        }
    }

    /// The same tables in calm weather: the truth, for who checks on the loops.
    pub fn calm(&self) -> Self {
        Self {
            weather: Weather::calm(),
            state: Arc::clone(&self.state),
        }
    }

    /// Rows written or deleted so far; a refused condition counts, as it costs the same on DynamoDB.
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// Lets time pass, as far as tables know it: an index catches up with what was written before.
    pub fn tick(&self) {
        let mut state = self.state();
        state.ticks += 1;
        while state
            .changes
            .front()
            .is_some_and(|change| change.tick + INDEX_LAG_MAX < state.ticks)
        {
            state.changes.pop_front();
        }
    }

    /// From now on the dispatcher's writes to this channel's assignment are refused, or no longer.
    pub fn poison(&self, key: &ChannelKey, poisoned: bool) {
        let mut state = self.state();
        if poisoned {
            state.poisoned.insert(key.clone());
        } else {
            state.poisoned.remove(key);
        }
    }

    /// The channels as they really are.
    pub fn channels(&self) -> Vec<ChannelRow> {
        self.state().channels.values().cloned().collect()
    }

    /// The assignments as they really are.
    pub fn assignments(&self) -> Vec<AssignmentRow> {
        self.state().assignments.values().cloned().collect()
    }

    /// The episodes as they really are.
    pub fn episodes(&self) -> Vec<Episode> {
        self.state().episodes.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read<R>(&self, doing: &str, act: impl FnOnce(&State) -> R) -> Result<R, PortError> {
        self.weather.call(doing, || act(&self.state())).await
    }

    fn refuse_poisoned(&self, doing: &str, key: &ChannelKey) -> Result<(), PortError> {
        if self.state().poisoned.contains(key) {
            return Err(PortError::refused(doing, "the item is poisoned"));
        }
        Ok(())
    }

    async fn write<R>(&self, doing: &str, act: impl FnOnce(&mut State) -> R) -> Result<R, PortError> {
        let counted = || {
            let mut state = self.state();
            state.writes += 1;
            act(&mut state)
        };
        self.weather.call(doing, counted).await
    }
}

impl ChannelsTable for FakeTables {
    async fn list_channels(&self) -> Result<Vec<ChannelRow>, PortError> {
        self.read("listing channels", |state| {
            state.channels.values().cloned().collect()
        })
        .await
    }

    async fn put_channel(&self, row: &ChannelRow, expected: Option<Revision>) -> Result<Put, PortError> {
        let put = |state: &mut State| {
            if state.channels.get(&row.key).map(|row| row.revision) != expected {
                return Put::Stale;
            }
            state.channels.insert(row.key.clone(), row.clone());
            Put::Written
        };
        self.write("putting a channel", put).await
    }

    async fn delete_channel(&self, key: &ChannelKey, expected: Revision) -> Result<Put, PortError> {
        let delete = |state: &mut State| {
            if state
                .channels
                .get(key)
                .is_some_and(|row| row.revision != expected)
            {
                return Put::Stale;
            }
            state.channels.remove(key);
            Put::Written
        };
        self.write("deleting a channel", delete).await
    }
}

impl TasksTable for FakeTables {
    async fn list_assignments(&self) -> Result<Vec<AssignmentRow>, PortError> {
        self.read("listing assignments", |state| {
            state.assignments.values().cloned().collect()
        })
        .await
    }

    async fn assignment(&self, key: &ChannelKey) -> Result<Option<AssignmentRow>, PortError> {
        self.read("reading an assignment", |state| {
            state.assignments.get(key).cloned()
        })
        .await
    }

    async fn assignments_of(&self, task: &TaskArn) -> Result<Vec<AssignmentRow>, PortError> {
        let lag = if self.weather.mishap() {
            self.weather.below(INDEX_LAG_MAX + 1)
        } else {
            0
        };
        let list = |state: &State| {
            let of_task = |row: &&AssignmentRow| row.assignment.task.as_ref() == Some(task);
            match lag {
                0 => state.assignments.values().filter(of_task).cloned().collect(),
                lag => state.index(lag).into_values().filter(of_task).cloned().collect(),
            }
        };
        self.read("listing a task's assignments", list).await
    }

    async fn put_assignment(
        &self,
        assignment: &Assignment,
        expected: Option<Generation>,
    ) -> Result<Put, PortError> {
        self.refuse_poisoned("putting an assignment", &assignment.key)?;
        let put = |state: &mut State| {
            let stored = state.assignments.get(&assignment.key);
            if stored.map(|row| row.assignment.generation) != expected {
                return Put::Stale;
            }
            let heartbeat = match stored {
                Some(row) if row.assignment.generation == assignment.generation => row.heartbeat.clone(),
                Some(row) => Heartbeat {
                    last_segment_at: row.heartbeat.last_segment_at,
                    ..Heartbeat::default()
                },
                None => Heartbeat::default(),
            };
            let row = AssignmentRow {
                assignment: assignment.clone(),
                heartbeat,
            };
            state.assign(&assignment.key, Some(row));
            Put::Written
        };
        self.write("putting an assignment", put).await
    }

    async fn delete_assignment(&self, key: &ChannelKey, expected: Generation) -> Result<Put, PortError> {
        let delete = |state: &mut State| {
            if state
                .assignments
                .get(key)
                .is_some_and(|row| row.assignment.generation != expected)
            {
                return Put::Stale;
            }
            state.assign(key, None);
            Put::Written
        };
        self.write("deleting an assignment", delete).await
    }

    async fn heartbeat(
        &self,
        key: &ChannelKey,
        task: &TaskArn,
        generation: Generation,
        heartbeat: &Heartbeat,
    ) -> Result<Put, PortError> {
        let beat = |state: &mut State| {
            let current = |row: &&mut AssignmentRow| {
                row.assignment.task.as_ref() == Some(task) && row.assignment.generation == generation
            };
            match state.assignments.get_mut(key).filter(current) {
                Some(row) => {
                    row.heartbeat = heartbeat.clone();
                    Put::Written
                }
                None => Put::Stale,
            }
        };
        self.write("reporting a heartbeat", beat).await
    }
}

impl GapsTable for FakeTables {
    async fn put_gap(&self, gap: &Gap) -> Result<(), PortError> {
        let put = |state: &mut State| _ = state.gaps.insert((gap.key.clone(), gap.start), gap.clone());
        self.write("putting a gap", put).await
    }

    async fn list_gaps(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Gap>, PortError> {
        let overlaps = |gap: &&Gap| gap.key == *key && gap.start < to && gap.end.is_none_or(|end| end > from);
        self.read("listing gaps", |state| {
            state.gaps.values().filter(overlaps).cloned().collect()
        })
        .await
    }
}

impl EpisodesTable for FakeTables {
    async fn list_episodes(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Episode>, PortError> {
        let overlaps =
            |row: &&Episode| row.key == *key && row.start < to && row.end.is_none_or(|end| end > from);
        self.read("listing episodes", |state| {
            state.episodes.values().filter(overlaps).cloned().collect()
        })
        .await
    }

    async fn put_episode(&self, episode: &Episode, expected: Option<Revision>) -> Result<Put, PortError> {
        let put = |state: &mut State| {
            let key = (episode.key.clone(), episode.start);
            if state.episodes.get(&key).map(|row| row.revision) != expected {
                return Put::Stale;
            }
            state.episodes.insert(key, episode.clone());
            Put::Written
        };
        self.write("putting an episode", put).await
    }

    async fn delete_episode(
        &self,
        key: &ChannelKey,
        start: Timestamp,
        expected: Revision,
    ) -> Result<Put, PortError> {
        let delete = |state: &mut State| {
            let key = (key.clone(), start);
            if state
                .episodes
                .get(&key)
                .is_some_and(|row| row.revision != expected)
            {
                return Put::Stale;
            }
            state.episodes.remove(&key);
            Put::Written
        };
        self.write("deleting an episode", delete).await
    }
}

impl ControlTable for FakeTables {
    async fn get_control(&self, name: &str) -> Result<Option<ControlItem>, PortError> {
        self.read("reading a control item", |state| state.control.get(name).cloned())
            .await
    }

    async fn put_control(
        &self,
        name: &str,
        value: &serde_json::Value,
        expected: Option<u64>,
    ) -> Result<Put, PortError> {
        let put = |state: &mut State| {
            if state.control.get(name).map(|item| item.version) != expected {
                return Put::Stale;
            }
            let version = expected.unwrap_or(0) + 1;
            state.control.insert(
                name.to_owned(),
                ControlItem {
                    version,
                    value: value.clone(),
                },
            );
            Put::Written
        };
        self.write("writing a control item", put).await
    }
}
