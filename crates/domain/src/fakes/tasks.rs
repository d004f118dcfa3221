use super::Weather;
use crate::id::TaskArn;
use crate::ports::{PortError, Tasks};
use crate::task::{Launch, LiveTask};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tasks younger than this are taken for running when a token names them: as the adapter of ECS does, which looks into
/// older ones.
const LOOKED_INTO_FROM: SignedDuration = SignedDuration::from_mins(1);

/// A host that runs recorders in name only. As on ECS, a launch token names one task until that is known to have ended,
/// launches come out of a bucket, a task may be told to end soon, and in bad weather the list lags: new tasks are missing from
/// it and ended ones still on it. Clones share it.
#[derive(Debug, Clone)]
pub struct FakeTasks {
    weather: Weather,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    tokens: BTreeMap<String, TaskArn>,
    tasks: BTreeMap<TaskArn, Task>,
    started: u64,
    refusing: bool,
    /// The host has no room for another task.
    full: bool,
    bucket: Option<Bucket>,
    stop_timeout: SignedDuration,
}

/// The launches that may be made at once, and how soon there is another.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    size: u32,
    left: u32,
    refill: SignedDuration,
    filled_at: Timestamp,
}

impl Bucket {
    fn refill(&mut self, now: Timestamp) {
        while self.left < self.size && now.duration_since(self.filled_at) >= self.refill {
            self.left += 1;
            self.filled_at = self.filled_at.saturating_add(self.refill).unwrap_or(now);
        }
        if self.left == self.size {
            self.filled_at = now;
        }
    }
}

#[derive(Debug)]
struct Task {
    live: LiveTask,
    ended_at: Option<Timestamp>,
    /// When the host ends it, if it has said so.
    ends_at: Option<Timestamp>,
    /// Somebody asked it to stop.
    told: bool,
}

/// A lagging list shows the world as it was this long ago.
const LAG: SignedDuration = SignedDuration::from_secs(20);

impl State {
    /// The task that the token names, unless that is known to have ended.
    fn named(&self, token: &str) -> Option<&TaskArn> {
        let may_run = |task: &Task| {
            task.ended_at.is_none() || self.now.duration_since(task.live.started_at) < LOOKED_INTO_FROM
        };
        let named = self.tokens.get(token)?;
        self.tasks.get(named).is_some_and(may_run).then_some(named)
    }

    /// Takes a launch out of the bucket, if there is one and room for its task.
    fn take_a_launch(&mut self) -> Result<(), PortError> {
        if self.full {
            return Err(PortError::throttled("starting a task", "no capacity"));
        }
        match &mut self.bucket {
            None => Ok(()),
            Some(Bucket { left: 0, .. }) => {
                Err(PortError::throttled("starting a task", "the rate of launches"))
            }
            Some(bucket) => {
                bucket.left -= 1;
                Ok(())
            }
        }
    }
}

impl FakeTasks {
    /// A host without tasks, at time zero.
    pub fn new(weather: Weather) -> Self {
        let state = State {
            now: Timestamp::UNIX_EPOCH,
            tokens: BTreeMap::new(),
            tasks: BTreeMap::new(),
            started: 0,
            refusing: false,
            full: false,
            bucket: None,
            stop_timeout: SignedDuration::ZERO,
        };
        Self {
            weather,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Tells the host the time. It ends the tasks it has warned, and forgets those that ended long ago.
    pub fn set_now(&self, now: Timestamp) {
        let mut state = self.state();
        state.now = now;
        if let Some(bucket) = &mut state.bucket {
            bucket.refill(now);
        }
        for task in state.tasks.values_mut().filter(|task| task.ended_at.is_none()) {
            task.ended_at = task.ends_at.filter(|ends_at| *ends_at <= now);
        }
        let shows = |ended_at| now.duration_since(ended_at) <= LAG;
        state.tasks.retain(|_, task| task.ended_at.is_none_or(shows));
    }

    /// From now on at most `size` launches at once, and another one each `refill`; the rest is throttled.
    pub fn limit_launches(&self, size: u32, refill: SignedDuration) {
        let mut state = self.state();
        let filled_at = state.now;
        state.bucket = Some(Bucket {
            size,
            left: size,
            refill,
            filled_at,
        });
    }

    /// From now on a task that is asked to stop is ended only after so long: until then it may end by itself.
    pub fn set_stop_timeout(&self, timeout: SignedDuration) {
        self.state().stop_timeout = timeout;
    }

    /// From now on starts start something else: what runs is outdated.
    pub fn deploy(&self) {
        let mut state = self.state();
        state
            .tasks
            .values_mut()
            .for_each(|task| task.live.outdated = true);
    }

    /// The tasks that run and were asked to stop.
    pub fn told_to_end(&self) -> Vec<TaskArn> {
        let state = self.state();
        let told = state
            .tasks
            .values()
            .filter(|task| task.told && task.ended_at.is_none());
        told.map(|task| task.live.arn.clone()).collect()
    }

    /// Has no room for another task, as when Fargate or Spot is out of capacity.
    pub fn fill(&self, full: bool) {
        self.state().full = full;
    }

    /// Says that it will end a task after `notice`: an interruption of Spot, or a retirement.
    pub fn warn(&self, task: &TaskArn, notice: SignedDuration) {
        let mut state = self.state();
        let ends_at = state.now.saturating_add(notice).ok();
        if let Some(task) = state.tasks.get_mut(task) {
            task.live.stopping = true;
            task.ends_at = task.ends_at.or(ends_at);
        }
    }

    /// Refuses every start, as a host without permission would.
    pub fn refuse(&self, refusing: bool) {
        self.state().refusing = refusing;
    }

    /// The tasks that really run.
    pub fn truth(&self) -> Vec<LiveTask> {
        self.state()
            .tasks
            .values()
            .filter(|task| task.ended_at.is_none())
            .map(|task| task.live.clone())
            .collect()
    }

    /// Ends a task, as a crash or its own exit does.
    pub fn end(&self, task: &TaskArn) {
        let mut state = self.state();
        let now = state.now;
        if let Some(task) = state.tasks.get_mut(task).filter(|task| task.ended_at.is_none()) {
            task.ended_at = Some(now);
        }
    }

    fn stop(&self, task: &TaskArn) {
        let timeout = self.state().stop_timeout;
        if timeout.is_zero() {
            return self.end(task);
        }
        self.warn(task, timeout);
        if let Some(task) = self.state().tasks.get_mut(task) {
            task.told = true;
        }
    }

    /// Tasks started so far.
    pub fn started(&self) -> u64 {
        self.state().started
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tasks for FakeTasks {
    async fn list_tasks(&self) -> Result<Vec<LiveTask>, PortError> {
        let lag = if self.weather.mishap() {
            LAG
        } else {
            SignedDuration::ZERO
        };
        let list = || {
            let state = self.state();
            let seen_at = state.now.saturating_sub(lag).unwrap_or(Timestamp::MIN);
            let running = |task: &&Task| {
                task.live.started_at <= seen_at && task.ended_at.is_none_or(|ended_at| ended_at > seen_at)
            };
            state
                .tasks
                .values()
                .filter(running)
                .map(|task| task.live.clone())
                .collect()
        };
        self.weather.call("listing tasks", list).await
    }

    async fn start_task(&self, launch: &Launch) -> Result<TaskArn, PortError> {
        if self.state().refusing {
            return Err(PortError::refused("starting a task", "not allowed"));
        }
        let start = || {
            let mut state = self.state();
            if let Some(named) = state.named(&launch.token) {
                return Ok(named.clone());
            }
            state.take_a_launch()?;
            state.started += 1;
            let arn = TaskArn::new(format!("task-{:04}", state.started));
            let live = LiveTask {
                arn: arn.clone(),
                started_at: state.now,
                kind: launch.kind,
                stopping: false,
                outdated: false,
            };
            state.tokens.insert(launch.token.clone(), arn.clone());
            let task = Task {
                live,
                ended_at: None,
                ends_at: None,
                told: false,
            };
            state.tasks.insert(arn.clone(), task);
            Ok(arn)
        };
        self.weather.call("starting a task", start).await?
    }

    async fn stop_task(&self, task: &TaskArn, _reason: &str) -> Result<(), PortError> {
        self.weather.call("stopping a task", || self.stop(task)).await
    }
}
