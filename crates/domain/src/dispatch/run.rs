//! The dispatcher's loop over the ports.

use super::plan::Placement;
use super::{Action, DispatchPolicy, Observed, Plan, plan};
use crate::alert::{Severity, Trouble};
use crate::id::{ChannelKey, TaskArn};
use crate::ports::{Alerts, ChannelsTable, ControlTable, PortError, Put, Tasks, TasksTable};
use crate::task::AssignmentRow;
use crate::watch::tell;
use jiff::Timestamp;
use serde::Serialize;

/// What one dispatch saw and did: the wide event of its invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Wanted channels.
    pub channels: usize,
    /// Recorders that run.
    pub tasks: usize,
    /// Recorders started.
    pub started: usize,
    /// Recorders stopped.
    pub stopped: usize,
    /// Channels assigned, to new recorders or running ones.
    pub assigned: usize,
    /// Assignments handed another URL, other settings or another device state.
    pub updated: usize,
    /// Assignments deleted.
    pub forgotten: usize,
    /// Channels that wait for their next try.
    pub waiting: usize,
    /// Starts left for the next run.
    pub launches_left: usize,
    /// Starts that a person must make possible.
    pub refused: Vec<String>,
    /// Steps that failed or came too late; the next run plans again.
    pub failed: Vec<String>,
    /// When a waiting channel is due, so that the caller need not wait for its schedule.
    pub next_due: Option<Timestamp>,
    /// Why there was no observation; nothing was changed then.
    pub failure: Option<String>,
}

/// A channel that was given to this many recorders in a row, none of which recorded, is told of.
const ATTEMPTS_BEFORE_ALERT: u32 = 3;

/// Dispatches once.
pub async fn dispatch<T, H, L>(
    policy: &DispatchPolicy,
    table: &T,
    tasks: &H,
    alerts: &L,
    now: Timestamp,
) -> Report
where
    T: ChannelsTable + TasksTable + ControlTable,
    H: Tasks,
    L: Alerts,
{
    let mut report = Report::default();
    let troubles = match observe_and_apply(policy, table, tasks, now, &mut report).await {
        Ok(assignments) => troubles(&assignments, &report),
        Err(error) => {
            report.failure = Some(error.chain());
            vec![unobserved(&error)]
        }
    };
    if let Err(error) = tell(table, alerts, "dispatch", &troubles, now).await {
        report.failed.push(error.chain());
    }
    report
}

async fn observe_and_apply<T, H>(
    policy: &DispatchPolicy,
    table: &T,
    tasks: &H,
    now: Timestamp,
    report: &mut Report,
) -> Result<Vec<AssignmentRow>, PortError>
where
    T: ChannelsTable + TasksTable,
    H: Tasks,
{
    // The host is listed first: a task that starts after it is at worst unknown, never taken for dead with a
    // newer assignment in hand.
    let live = tasks.list_tasks().await?;
    let rows = table.list_channels().await?;
    let assignments = table.list_assignments().await?;
    let observed = Observed {
        rows: &rows,
        assignments: &assignments,
        live: &live,
    };
    let plan = plan(policy, &observed, now);
    report.channels = rows.len();
    report.tasks = live.len();
    report.waiting = plan.waiting.len();
    report.next_due = plan.waiting.values().min().copied();
    report.launches_left = plan.launches_left;
    apply(table, tasks, &plan, report).await;
    Ok(assignments)
}

async fn apply<T: TasksTable, H: Tasks>(table: &T, tasks: &H, plan: &Plan, report: &mut Report) {
    for action in &plan.actions {
        let done = match action {
            Action::Forget { key, expected } => match table.delete_assignment(key, *expected).await {
                Ok(put) => written(put, &mut report.forgotten, key, &mut report.failed),
                Err(error) => Err(error),
            },
            Action::Update(assignment) => {
                match table
                    .put_assignment(assignment, Some(assignment.generation))
                    .await
                {
                    Ok(put) => written(put, &mut report.updated, &assignment.key, &mut report.failed),
                    Err(error) => Err(error),
                }
            }
            Action::Adopt { task, placements } => {
                assign(table, Some(task), placements, report).await;
                Ok(())
            }
            Action::Start { launch, placements } => match tasks.start_task(launch).await {
                Ok(task) => {
                    report.started += 1;
                    assign(table, Some(&task), placements, report).await;
                    Ok(())
                }
                Err(error) => not_started(table, error, placements, report).await,
            },
            Action::Stop { task, reason } => stop(table, tasks, task, reason, report).await,
        };
        if let Err(error) = done {
            report.failed.push(format!("{action}: {}", error.chain()));
        }
    }
}

fn written(put: Put, count: &mut usize, key: &ChannelKey, failed: &mut Vec<String>) -> Result<(), PortError> {
    match put {
        Put::Written => *count += 1,
        Put::Stale => failed.push(format!("{key}: the assignment has changed meanwhile")),
    }
    Ok(())
}

async fn assign<T: TasksTable>(
    table: &T,
    task: Option<&TaskArn>,
    placements: &[Placement],
    report: &mut Report,
) {
    for Placement {
        assignment, expected, ..
    } in placements
    {
        let mut assignment = assignment.clone();
        assignment.task = task.cloned();
        let count = if task.is_some() {
            &mut report.assigned
        } else {
            &mut report.waiting
        };
        match table.put_assignment(&assignment, *expected).await {
            Ok(put) => _ = written(put, count, &assignment.key, &mut report.failed),
            Err(error) => report
                .failed
                .push(format!("assign {}: {}", assignment.key, error.chain())),
        }
    }
}

/// A start that was throttled, or whose answer was lost, is tried again as it is: the token names the same
/// task. A refused one is remembered, so that it backs off until a person has acted.
async fn not_started<T: TasksTable>(
    table: &T,
    error: PortError,
    placements: &[Placement],
    report: &mut Report,
) -> Result<(), PortError> {
    if matches!(error, PortError::Refused { .. }) {
        report.refused.push(error.chain());
        let counted: Vec<Placement> = placements.iter().cloned().map(counted).collect();
        assign(table, None, &counted, report).await;
    }
    Err(error)
}

fn counted(mut placement: Placement) -> Placement {
    placement.assignment.attempts = placement.assignment.attempts.saturating_add(1);
    placement
}

/// Stops a recorder only if a fresh read still shows no channel for it.
async fn stop<T: TasksTable, H: Tasks>(
    table: &T,
    tasks: &H,
    task: &TaskArn,
    reason: &str,
    report: &mut Report,
) -> Result<(), PortError> {
    if table.assignments_of(task).await?.is_empty() {
        tasks.stop_task(task, reason).await?;
        report.stopped += 1;
    }
    Ok(())
}

fn unobserved(error: &PortError) -> Trouble {
    Trouble {
        subject: "dispatch".into(),
        severity: Severity::Critical,
        text: format!(
            "recorders cannot be looked after: {}. Those that run go on; it is tried again",
            error.chain()
        ),
        patience_looks: 3,
    }
}

fn troubles(assignments: &[AssignmentRow], report: &Report) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let unstarted = assignments
        .iter()
        .filter(|row| row.assignment.task.is_none())
        .count();
    if unstarted > 0 || !report.refused.is_empty() {
        let example = report
            .refused
            .first()
            .map_or("see the earlier reports", String::as_str);
        troubles.push(Trouble {
            subject: "recorder start".into(),
            severity: Severity::Critical,
            text: format!(
                "{} channels have no recorder, its start was refused: {example}",
                unstarted.max(1)
            ),
            patience_looks: 1,
        });
    }
    let failing: Vec<String> = assignments
        .iter()
        .filter(|row| row.assignment.task.is_some() && row.assignment.attempts >= ATTEMPTS_BEFORE_ALERT)
        .map(|row| row.assignment.key.to_string())
        .collect();
    if let Some(first) = failing.first() {
        troubles.push(Trouble {
            subject: "recorders fail".into(),
            severity: Severity::Critical,
            text: format!(
                "{} channels were given to {ATTEMPTS_BEFORE_ALERT} or more recorders in a row that ended before they \
                 recorded anything, for example {first}; look at the recorder's log",
                failing.len()
            ),
            patience_looks: 1,
        });
    }
    troubles
}
