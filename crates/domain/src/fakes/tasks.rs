use super::Weather;
use crate::id::TaskArn;
use crate::ports::{PortError, Tasks};
use crate::task::{Launch, LiveTask};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A host that runs recorders in name only. As on ECS, a launch token names one task for ever, and in bad
/// weather the list lags: new tasks are missing from it and ended ones still on it. Clones share it.
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
}

#[derive(Debug)]
struct Task {
    live: LiveTask,
    ended_at: Option<Timestamp>,
}

/// A lagging list shows the world as it was this long ago.
const LAG: SignedDuration = SignedDuration::from_secs(20);

impl FakeTasks {
    /// A host without tasks, at time zero.
    pub fn new(weather: Weather) -> Self {
        let state = State {
            now: Timestamp::UNIX_EPOCH,
            tokens: BTreeMap::new(),
            tasks: BTreeMap::new(),
            started: 0,
            refusing: false,
        };
        Self {
            weather,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Tells the host the time.
    pub fn set_now(&self, now: Timestamp) {
        self.state().now = now;
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
            if let Some(arn) = state.tokens.get(&launch.token) {
                return arn.clone();
            }
            state.started += 1;
            let arn = TaskArn::new(format!("task-{:04}", state.started));
            let live = LiveTask {
                arn: arn.clone(),
                started_at: state.now,
                kind: launch.kind,
                stopping: false,
            };
            state.tokens.insert(launch.token.clone(), arn.clone());
            state.tasks.insert(arn.clone(), Task { live, ended_at: None });
            arn
        };
        self.weather.call("starting a task", start).await
    }

    async fn stop_task(&self, task: &TaskArn, _reason: &str) -> Result<(), PortError> {
        self.weather.call("stopping a task", || self.end(task)).await
    }
}
