//! The host of recorders on Amazon ECS: Fargate, or instances of one's own.
//!
//! The idea: a recorder is a *standalone* task. Nobody but the dispatcher starts or replaces it, and ECS itself keeps
//! the port's promise that one token names one task: `clientToken` makes RunTask idempotent for a day, or until an hour
//! after the task has ended ("Ensuring idempotency", Amazon ECS API Reference). In that hour ECS names a task that is no
//! more, where a decision repeats an old one because somebody has deleted an assignment; the launch then goes on under
//! the next token. What the tasks are is written on them as tags, so that a list needs no memory.
//!
//! The API is eventually consistent. A task that was just started may be missing from the list and one that just
//! ended still be on it; the planner waits for both (`launch_grace`) and stops nothing without a second look.

mod capacity;
mod event;
mod launch;
mod list;
mod pace;
mod refusal;

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use capacity::Capacity;
use domain::ports::{PortError, Tasks};
use domain::{Launch, LiveTask, TaskArn};
use jiff::Timestamp;
use pace::Pace;
use refusal::{Named, NotStarted};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub use event::{ContainerState, Ending, TaskStateChange};
pub use launch::started_by;

/// Tokens that one start tries. Each but the last names a task that has ended within the hour.
const TOKENS_MAX: u32 = 5;

/// What the stack's recorders run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcsConfig {
    /// Name or ARN of the cluster.
    pub cluster: String,
    /// Task definition of the recorder that copies: family, `family:revision` or ARN.
    pub copy_definition: String,
    /// Task definition of the recorder that has ffmpeg.
    pub transform_definition: String,
    /// Subnets of the tasks' interfaces; empty for task definitions that do not use the network mode `awsvpc`.
    pub subnets: Vec<String>,
    /// Security groups of the tasks' interfaces.
    pub security_groups: Vec<String>,
    /// Gives the tasks public addresses (Fargate only; on instances the instance has one or not).
    pub assign_public_ip: bool,
    /// Who provides the machines.
    pub launch: LaunchMode,
    /// Name of the stack: what its tasks are listed by.
    pub stack: String,
}

/// Who provides the machines under the recorders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchMode {
    /// AWS does. While Spot has no capacity, On-Demand takes its share: video is worth more than the discount.
    Fargate {
        /// Percentage of the tasks beyond the base that run on Spot, up to 100.
        spot_percent: u8,
        /// This many tasks run On-Demand before any runs on Spot.
        on_demand_base: u32,
    },
    /// Instances that the operator registered with the cluster.
    Ec2,
}

/// The stack's tasks. Clones share the pace of their launches.
#[derive(Debug, Clone)]
pub struct EcsTasks {
    client: Client,
    config: Arc<EcsConfig>,
    pace: Arc<Mutex<Pace>>,
    /// Tasks on On-Demand capacity, as of the last list and the launches since; none before the first list, which
    /// errs towards On-Demand.
    on_demand: Arc<AtomicU32>,
}

impl EcsTasks {
    /// The tasks of the stack that `config` names.
    pub fn new(sdk: &SdkConfig, config: EcsConfig) -> Self {
        Self {
            client: Client::new(sdk),
            config: Arc::new(config),
            pace: Arc::default(),
            on_demand: Arc::default(),
        }
    }

    /// Starts one task, and never takes one that has ended for it.
    async fn run(&self, launch: &Launch, capacity: Capacity, token: &str) -> Result<TaskArn, NotStarted> {
        let mut token = token.to_owned();
        for _ in 0..TOKENS_MAX {
            let named = self.run_once(launch, capacity, &token).await?;
            let is_over = named.is_earlier
                && list::is_over(&self.client, &self.config, &named.task)
                    .await
                    .map_err(NotStarted::Port)?;
            if !is_over {
                if capacity.is_on_demand() {
                    self.on_demand.fetch_add(1, Ordering::Relaxed);
                }
                return Ok(named.task);
            }
            token = launch::next_token(&token, &named.task);
        }
        let why = format!("{TOKENS_MAX} tasks of the same decision have ended");
        Err(NotStarted::Port(PortError::throttled(starting(launch), why)))
    }

    /// Waits for its turn, then asks for a task.
    async fn run_once(&self, launch: &Launch, capacity: Capacity, token: &str) -> Result<Named, NotStarted> {
        let wait = self
            .pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .reserve(Instant::now());
        tokio::time::sleep(wait).await;
        let request = launch::request(&self.config, launch, capacity, token);
        let answer = request.send_with(&self.client).await;
        refusal::started(answer, Timestamp::now(), &starting(launch))
    }
}

impl Tasks for EcsTasks {
    /// Those that ECS wants to run, also while they are being provisioned: ListTasks leaves out what has been asked
    /// to stop or has stopped, so a stopping task is mostly absent and sometimes, between two calls, marked as such.
    async fn list_tasks(&self) -> Result<Vec<LiveTask>, PortError> {
        let found = list::tasks(&self.client, &self.config).await?;
        self.on_demand.store(found.on_demand, Ordering::Relaxed);
        Ok(found.live)
    }

    async fn start_task(&self, launch: &Launch) -> Result<TaskArn, PortError> {
        let on_demand = self.on_demand.load(Ordering::Relaxed);
        let capacity = capacity::choose(self.config.launch, &launch.token, on_demand);
        match self.run(launch, capacity, &launch.token).await {
            Ok(task) => Ok(task),
            Err(NotStarted::NoCapacity(_)) if capacity == Capacity::FargateSpot => {
                let token = capacity::fallback_token(&launch.token);
                let started = self.run(launch, Capacity::Fargate, &token).await;
                started.map_err(|not| not.into_port_error(starting(launch)))
            }
            Err(not) => Err(not.into_port_error(starting(launch))),
        }
    }

    async fn stop_task(&self, task: &TaskArn, reason: &str) -> Result<(), PortError> {
        let stopped = self
            .client
            .stop_task()
            .cluster(&self.config.cluster)
            .task(task.as_str())
            .reason(launch::stop_reason(reason))
            .send()
            .await;
        match stopped {
            Ok(_) => Ok(()),
            Err(error) if refusal::is_gone(&error) => Ok(()),
            Err(error) => Err(crate::error::failed(error, format!("stopping {task}"))),
        }
    }
}

fn starting(launch: &Launch) -> String {
    match launch.channels.as_slice() {
        [] => "starting a recorder".to_owned(),
        [only] => format!("starting a recorder for {only}"),
        [first, rest @ ..] => format!("starting a recorder for {first} and {} more", rest.len()),
    }
}
