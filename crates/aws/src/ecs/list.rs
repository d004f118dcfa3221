//! Which tasks run: ListTasks by `startedBy`, then DescribeTasks for what they are.

use super::EcsConfig;
use super::capacity::Capacity;
use super::launch::{self, started_by};
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{Task, TaskField};
use domain::ports::PortError;
use domain::{LiveTask, TaskArn, TaskKind};
use jiff::Timestamp;

/// Most tasks that DescribeTasks takes, and that a page of ListTasks has.
const BATCH_MAX: usize = 100;

/// A bound on one listing: 10,000 tasks, ten times a cell.
const PAGES_MAX: usize = 100;

/// One listing.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) live: Vec<LiveTask>,
    /// How many of them run on anything but Spot.
    pub(super) on_demand: u32,
}

/// All tasks of the stack, or an error: never a part of them.
pub(super) async fn tasks(client: &Client, config: &EcsConfig) -> Result<Found, PortError> {
    let arns = arns(client, config).await?;
    let mut found = Found::default();
    for batch in arns.chunks(BATCH_MAX) {
        for task in describe(client, config, batch).await? {
            let Some(live) = live(config, &task) else { continue };
            let on_spot = task.capacity_provider_name() == Some(Capacity::SPOT_PROVIDER);
            found.on_demand += u32::from(!live.stopping && !on_spot);
            found.live.push(live);
        }
    }
    Ok(found)
}

async fn arns(client: &Client, config: &EcsConfig) -> Result<Vec<String>, PortError> {
    let doing = || format!("listing the tasks of {}", config.cluster);
    let (mut arns, mut next) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = client
            .list_tasks()
            .cluster(&config.cluster)
            // It must be the only filter. The status is then RUNNING: what ECS wants to run, so also what it still
            // provisions, and not what it stops.
            .started_by(started_by(&config.stack))
            .set_next_token(next)
            .send()
            .await;
        let page = page.map_err(|error| crate::error::failed(error, doing()))?;
        arns.extend(page.task_arns.unwrap_or_default());
        next = page.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(arns);
        }
    }
    Err(PortError::unknown(
        doing(),
        format!("it has no end after {PAGES_MAX} pages"),
    ))
}

async fn describe(client: &Client, config: &EcsConfig, batch: &[String]) -> Result<Vec<Task>, PortError> {
    let doing = || format!("looking at {} tasks of {}", batch.len(), config.cluster);
    let answer = client
        .describe_tasks()
        .cluster(&config.cluster)
        .set_tasks(Some(batch.to_vec()))
        .include(TaskField::Tags)
        .send()
        .await;
    let answer = answer.map_err(|error| crate::error::failed(error, doing()))?;
    // MISSING is a task that is gone since it was listed, or is not yet known everywhere: the next list tells.
    let failure = answer
        .failures()
        .iter()
        .find(|failure| failure.reason() != Some("MISSING"));
    if let Some(failure) = failure {
        let reason = failure.reason().unwrap_or("no reason given");
        return Err(PortError::unknown(doing(), reason));
    }
    Ok(answer.tasks.unwrap_or_default())
}

/// Whether a task that once ran has ended, or is about to. One that ECS knows no more has.
pub(super) async fn is_over(client: &Client, config: &EcsConfig, task: &TaskArn) -> Result<bool, PortError> {
    let found = describe(client, config, &[task.to_string()]).await?;
    Ok(found.iter().all(is_ending))
}

/// Whether a task has ended, or is about to.
pub(super) fn is_ending(task: &Task) -> bool {
    [task.last_status(), task.desired_status()].contains(&Some("STOPPED"))
}

/// `None` for what has ended, or has no name.
fn live(config: &EcsConfig, task: &Task) -> Option<LiveTask> {
    if task.last_status() == Some("STOPPED") {
        return None;
    }
    let kind = launch::kind(task.tags()).unwrap_or_else(|| kind_by_definition(config, task));
    Some(LiveTask {
        arn: TaskArn::new(task.task_arn()?),
        started_at: created_at(task),
        kind,
        stopping: task.desired_status() == Some("STOPPED"),
        outdated: is_outdated(launch::definition(config, kind), task),
    })
}

/// Whether a task runs another revision than a start would. A definition that is named without a revision means the newest,
/// which nobody tells: no task is outdated then.
fn is_outdated(wanted: &str, task: &Task) -> bool {
    let runs = task.task_definition_arn().map(revision);
    let wanted = revision(wanted);
    wanted.contains(':') && runs.is_some_and(|runs| runs != wanted)
}

/// `recorder:7` of `arn:aws:ecs:eu-west-1:111122223333:task-definition/recorder:7`.
fn revision(definition: &str) -> &str {
    definition.rsplit('/').next().unwrap_or(definition)
}

/// When RunTask was answered. A task of unknown age counts as just started, so that it is not stopped as an idle one.
pub(super) fn created_at(task: &Task) -> Timestamp {
    let known = task.created_at().or_else(|| task.started_at());
    let timestamp =
        known.and_then(|at| Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok());
    timestamp.unwrap_or(Timestamp::MAX)
}

/// For tasks without our tags: transforming if the family says so, else copying, which every channel can be moved
/// away from.
fn kind_by_definition(config: &EcsConfig, task: &Task) -> TaskKind {
    match task.task_definition_arn().map(family) {
        Some(name) if name == family(&config.transform_definition) => TaskKind::Transform,
        Some(_) | None => TaskKind::Copy,
    }
}

/// `recorder` of `arn:aws:ecs:eu-west-1:111122223333:task-definition/recorder:7`.
fn family(definition: &str) -> &str {
    let name = revision(definition);
    name.split(':').next().unwrap_or(name)
}
