//! The dispatcher's loop over the ports.

use super::fleet::is_proven;
use super::plan::Placement;
use super::{Action, DispatchPolicy, Observed, Plan, Report, plan};
use crate::alert::{Severity, Trouble};
use crate::channel::DeviceState;
use crate::credentials;
use crate::id::{ChannelKey, TaskArn};
use crate::ports::{Alerts, ChannelsTable, ControlTable, PortError, Put, Tasks, TasksTable};
use crate::task::AssignmentRow;
use crate::watch::tell;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// A channel that was given to this many recorders in a row, none of which recorded, is told of.
const ATTEMPTS_BEFORE_ALERT: u32 = 3;

/// Recorders that are stopped on one more look at the assignments; ten at once, these take a few seconds.
const STOPS_A_LOOK: usize = 100;

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
        Ok(assignments) => troubles(policy, &assignments, &report),
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
    T: ChannelsTable + TasksTable + ControlTable,
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
    let plan = startable(policy, &observed, table, now, report).await?;
    report.channels = rows.len();
    (report.recording, report.not_recording) = recorded(policy, &observed, now);
    report.tasks = live.len();
    report.note(&plan);
    apply(table, tasks, policy.calls_concurrent, plan.actions, report).await;
    Ok(assignments)
}

/// The plan; without starts while the gateway rejects our password or locks us out, as every new recorder would try it
/// once more.
async fn startable<T: ControlTable>(
    policy: &DispatchPolicy,
    observed: &Observed<'_>,
    table: &T,
    now: Timestamp,
    report: &mut Report,
) -> Result<Plan, PortError> {
    let planned = plan(policy, observed, now);
    if !planned
        .actions
        .iter()
        .any(|action| matches!(action, Action::Start { .. }))
    {
        return Ok(planned);
    }
    let rejection = credentials::rejected(table).await?;
    let Some(rejection) = rejection.filter(|rejection| rejection.holds_recorders(now)) else {
        return Ok(planned);
    };
    report.credentials_rejected = Some(rejection.to_string());
    let starting_none = DispatchPolicy {
        launches_max: 0,
        ..policy.clone()
    };
    Ok(plan(&starting_none, observed, now))
}

/// How many wanted channels are recorded, and how many are not though their device is there.
fn recorded(policy: &DispatchPolicy, observed: &Observed<'_>, now: Timestamp) -> (usize, usize) {
    let healthy: BTreeSet<&ChannelKey> = observed
        .assignments
        .iter()
        .filter(|row| row.assignment.task.is_some() && row.heartbeat.last_error.is_none())
        .filter(|row| {
            let fresh = |at| now.duration_since(at) < policy.heartbeat_stale;
            let predecessor = row.assignment.predecessor.as_ref();
            let moves = predecessor.is_some_and(|old| old.until > row.assignment.started_at);
            row.heartbeat.heartbeat_at.is_some_and(fresh) || moves && fresh(row.assignment.started_at)
        })
        .map(|row| &row.assignment.key)
        .collect();
    let (recording, idle): (Vec<_>, Vec<_>) =
        observed.rows.iter().partition(|row| healthy.contains(&row.key));
    let present = idle.iter().filter(|row| row.state == DeviceState::Present);
    (recording.len(), present.count())
}

/// Applies the actions, a bounded number at once: each is about channels of its own, so their order among each
/// other does not matter. Stops come last: they look at the assignments once more.
async fn apply<T: TasksTable, H: Tasks>(
    table: &T,
    tasks: &H,
    calls_concurrent: usize,
    actions: Vec<Action>,
    report: &mut Report,
) {
    let (stops, others): (Vec<_>, Vec<_>) = actions
        .into_iter()
        .partition(|action| matches!(action, Action::Stop { .. }));
    perform_all(table, tasks, calls_concurrent, others, report).await;
    for stops in stops.chunks(STOPS_A_LOOK) {
        match still_idle(table, stops).await {
            Ok(stops) => perform_all(table, tasks, calls_concurrent, stops, report).await,
            Err(error) => report.failed.push(error.chain()),
        }
    }
}

async fn perform_all<T: TasksTable, H: Tasks>(
    table: &T,
    tasks: &H,
    calls_concurrent: usize,
    actions: Vec<Action>,
    report: &mut Report,
) {
    let mut done = stream::iter(actions)
        .map(|action| async move { perform(table, tasks, &action).await })
        .buffered(calls_concurrent.max(1));
    while let Some(part) = done.next().await {
        report.add(part);
    }
}

/// The stops of recorders that still have no channel: another dispatcher may have given them one. Asked of the whole
/// table, since a table's index may lag (DynamoDB reads global indexes eventually consistently only).
async fn still_idle<T: TasksTable>(table: &T, stops: &[Action]) -> Result<Vec<Action>, PortError> {
    let assignments = table.list_assignments().await?;
    let busy: BTreeSet<&TaskArn> = assignments
        .iter()
        .filter_map(|row| row.assignment.task.as_ref())
        .collect();
    let is_idle = |action: &&Action| match action {
        Action::Stop { task, .. } => !busy.contains(task),
        Action::Forget { .. } | Action::Update(_) | Action::Adopt { .. } | Action::Start { .. } => true,
    };
    Ok(stops.iter().filter(is_idle).cloned().collect())
}

/// Takes one step; the report is of this step alone.
async fn perform<T: TasksTable, H: Tasks>(table: &T, tasks: &H, action: &Action) -> Report {
    let mut report = Report::default();
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
            assign(table, Some(task), placements, &mut report).await;
            Ok(())
        }
        Action::Start { launch, placements } => match tasks.start_task(launch).await {
            Ok(task) => {
                report.started += 1;
                assign(table, Some(&task), placements, &mut report).await;
                Ok(())
            }
            Err(error) => not_started(table, error, placements, &mut report).await,
        },
        Action::Stop { task, reason } => match tasks.stop_task(task, reason).await {
            Ok(()) => {
                report.stopped += 1;
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    if let Err(error) = done {
        report.failed.push(format!("{action}: {}", error.chain()));
    }
    report
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
/// task. A refused one is remembered, so that it backs off until a person has acted; but what only moves stays where it is
/// recorded.
async fn not_started<T: TasksTable>(
    table: &T,
    error: PortError,
    placements: &[Placement],
    report: &mut Report,
) -> Result<(), PortError> {
    if matches!(error, PortError::Refused { .. }) {
        let (moves, unrecorded): (Vec<Placement>, Vec<_>) = placements
            .iter()
            .cloned()
            .partition(|placement| placement.why.is_move());
        if !moves.is_empty() {
            report.moves_refused.push(error.chain());
        }
        if !unrecorded.is_empty() {
            report.refused.push(error.chain());
            let counted: Vec<Placement> = unrecorded.into_iter().map(counted).collect();
            assign(table, None, &counted, report).await;
        }
    }
    Err(error)
}

fn counted(mut placement: Placement) -> Placement {
    placement.assignment.attempts = placement.assignment.attempts.saturating_add(1);
    placement
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

fn troubles(policy: &DispatchPolicy, assignments: &[AssignmentRow], report: &Report) -> Vec<Trouble> {
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
    if let Some(example) = report.moves_refused.first() {
        troubles.push(Trouble {
            subject: "recorder move".into(),
            severity: Severity::Warning,
            text: format!(
                "channels stay on recorders that are to be replaced, the start of others was refused: {example}"
            ),
            patience_looks: 1,
        });
    }
    let failing: Vec<String> = assignments
        .iter()
        .filter(|row| row.assignment.task.is_some() && row.assignment.attempts >= ATTEMPTS_BEFORE_ALERT)
        .filter(|row| !is_proven(policy, row))
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
