//! Why RunTask and StopTask did not do it. RunTask answers `200 OK` with `failures` where no task could be placed:
//! who does not read them loses a camera.

use super::list;
use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecs::operation::run_task::{RunTaskError, RunTaskOutput};
use aws_sdk_ecs::operation::stop_task::StopTaskError;
use aws_sdk_ecs::types::{Failure, Task};
use domain::TaskArn;
use domain::ports::PortError;
use jiff::{SignedDuration, Timestamp};

/// A task that was made longer ago was made by an earlier request: RunTask has answered by then, and the two clocks differ
/// by less.
const JUST_MADE: SignedDuration = SignedDuration::from_mins(1);

/// Why a task was not started.
#[derive(Debug)]
pub(super) enum NotStarted {
    /// Nothing happened for want of room; what ECS said.
    NoCapacity(String),
    /// Anything else.
    Port(PortError),
}

impl NotStarted {
    pub(super) fn into_port_error(self, doing: String) -> PortError {
        match self {
            Self::NoCapacity(said) => PortError::throttled(doing, said),
            Self::Port(error) => error,
        }
    }
}

/// A task that RunTask named.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) task: TaskArn,
    /// An earlier request with this token made it, so that it may have ended since. What the answer says of its state
    /// may be as old: "the result of the original request is returned" ("Ensuring idempotency", Amazon ECS API
    /// Reference).
    pub(super) is_earlier: bool,
}

/// The task that RunTask's answer names at `now`.
pub(super) fn started(
    answer: Result<RunTaskOutput, SdkError<RunTaskError>>,
    now: Timestamp,
    doing: &str,
) -> Result<Named, NotStarted> {
    let output = match answer {
        Ok(output) => output,
        Err(error) => return failed(error, doing),
    };
    let named = |task: &Task| {
        let is_earlier = list::is_ending(task) || now.duration_since(list::created_at(task)) > JUST_MADE;
        let task = TaskArn::new(task.task_arn()?);
        Some(Named { task, is_earlier })
    };
    if let Some(named) = output.tasks().iter().find_map(named) {
        return Ok(named);
    }
    match output.failures() {
        [] => Err(NotStarted::Port(PortError::unknown(
            doing,
            "the answer has neither a task nor a failure",
        ))),
        [failure, ..] => Err(not_placed(failure, doing)),
    }
}

fn failed(error: SdkError<RunTaskError>, doing: &str) -> Result<Named, NotStarted> {
    // The token is taken by a launch with other parameters: another share of Spot or revision of the definition.
    // It is the same decision all the same, and the error names its task.
    if let Some(RunTaskError::ConflictException(conflict)) = error.as_service_error()
        && let Some(arn) = conflict.resource_ids().first()
    {
        return Ok(Named {
            task: TaskArn::new(arn),
            is_earlier: true,
        });
    }
    match error.message() {
        Some(message) if is_about_capacity(message) => Err(NotStarted::NoCapacity(message.to_owned())),
        Some(_) | None => Err(NotStarted::Port(crate::error::failed(error, doing))),
    }
}

fn not_placed(failure: &Failure, doing: &str) -> NotStarted {
    let reason = failure.reason().unwrap_or("no reason given");
    let said = match failure.detail() {
        Some(detail) => format!("{reason} ({detail})"),
        None => reason.to_owned(),
    };
    if is_about_capacity(reason) {
        return NotStarted::NoCapacity(said);
    }
    NotStarted::Port(PortError::refused(doing, said))
}

/// Reasons that pass by themselves, or when instances come ("API failure reasons", Amazon ECS Developer Guide): a
/// resource is used up, an agent is not connected, instances are gone or not there yet, Fargate is out of capacity.
/// Whatever else there is (`ATTRIBUTE`, `LOCATION`, `MISSING`, what is new) is told to a person, and tried again more
/// slowly.
fn is_about_capacity(reason: &str) -> bool {
    const BEGINNINGS: [&str; 5] = [
        "RESOURCE",
        "AGENT",
        "INACTIVE",
        "EMPTY CAPACITY PROVIDER",
        "NO ACTIVE INSTANCES",
    ];
    BEGINNINGS.iter().any(|beginning| reason.starts_with(beginning))
        || reason.contains("apacity is unavailable")
        || reason.contains("No Container Instances were found")
}

/// Whether StopTask was refused because there is no such task: it ended more than an hour ago, or never was.
pub(super) fn is_gone(error: &SdkError<StopTaskError>) -> bool {
    match error.as_service_error() {
        Some(StopTaskError::InvalidParameterException(_) | StopTaskError::ClientException(_)) => error
            .message()
            .is_some_and(|message| message.contains("task was not found")),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_room_passes_and_anything_else_needs_a_person() {
        for reason in [
            "RESOURCE:MEMORY",
            "RESOURCE:ENI",
            "AGENT",
            "EMPTY CAPACITY PROVIDER",
            "Capacity is unavailable at this time. Please try again later or in a different availability zone",
        ] {
            assert!(is_about_capacity(reason), "{reason}");
        }
        for reason in ["ATTRIBUTE", "MISSING", "LOCATION", "ACCESS", "something new"] {
            assert!(!is_about_capacity(reason), "{reason}");
        }
    }
}
