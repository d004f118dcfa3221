//! "ECS Task State Change": what EventBridge says of a task, and what it means to people.
//!
//! Events come at least once and in any order. An event is only a reason to look: what is true is what the list says
//! then. Its `version`, by which two events of a task could be ordered, is not read: the one event that is read for more
//! is the task's last, which has no later one.

use super::launch::started_by;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the reasons of stops by the dispatcher begin.
pub(super) const OUR_REASON: &str = "millrace: ";

/// ECS's own words for a retirement ("Task retirement and maintenance for AWS Fargate", Amazon ECS Developer Guide).
const MAINTENANCE: &str = "performing maintenance on the underlying infrastructure";

/// Name of the recorder's container in the task definitions.
const RECORDER: &str = "recorder";

/// The most of ECS's words that a message for people repeats, in characters.
const QUOTED_MAX: usize = 500;

/// The `detail` of an event of type "ECS Task State Change", source `aws.ecs` ("Amazon ECS task state change events",
/// Amazon ECS Developer Guide). Fields that it does not name are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStateChange {
    /// The task.
    pub task_arn: String,
    /// The cluster it belongs to.
    pub cluster_arn: String,
    /// What it is: `PROVISIONING`, `PENDING`, `ACTIVATING`, `RUNNING`, `DEACTIVATING`, `STOPPING`, `DEPROVISIONING`
    /// or `STOPPED`.
    pub last_status: String,
    /// What it shall be: `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// Who started it; see [`started_by`].
    pub started_by: Option<String>,
    /// The task group, `family:` and the name of the task definition's family.
    pub group: Option<String>,
    /// `FARGATE`, `FARGATE_SPOT` or an operator's own.
    pub capacity_provider_name: Option<String>,
    /// Why it ends, as one of a few codes (`stopCode` of the API's `Task`).
    pub stop_code: Option<String>,
    /// Why it ends, in ECS's or the stopping caller's words.
    pub stopped_reason: Option<String>,
    /// Its containers.
    #[serde(default)]
    pub containers: Vec<ContainerState>,
}

/// One container of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerState {
    /// Its name in the task definition.
    pub name: Option<String>,
    /// What it ended with; absent while it runs, and when it never did.
    pub exit_code: Option<i32>,
    /// What went wrong with it, in the agent's words.
    pub reason: Option<String>,
}

/// Why a task ends, as far as its event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The dispatcher stopped it.
    Asked,
    /// It had nothing left to record and ended by itself.
    Drained,
    /// Spot took its machine back.
    SpotInterrupted,
    /// AWS replaces the machine under it.
    Retired,
    /// Somebody else stopped it: a person, or another program.
    StoppedByOthers,
    /// The machine under it failed.
    HostFailed,
    /// It never ran: no image, no secret, no network, no capacity.
    NeverStarted,
    /// The recorder died.
    Crashed,
    /// ECS gives no reason that is known here.
    Unexplained,
}

impl Ending {
    /// Whether a person should hear of it. What the dispatcher asked for, what a recorder does by itself, and what
    /// AWS announces with time to close the open segments are everyday life.
    pub fn is_alarming(self) -> bool {
        match self {
            Self::Asked | Self::Drained | Self::SpotInterrupted | Self::Retired => false,
            Self::StoppedByOthers
            | Self::HostFailed
            | Self::NeverStarted
            | Self::Crashed
            | Self::Unexplained => true,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "was stopped by the dispatcher",
            Self::Drained => "had nothing left to record and ended",
            Self::SpotInterrupted => "was interrupted because Spot needs its capacity",
            Self::Retired => "was retired by AWS for maintenance of its machine",
            Self::StoppedByOthers => "was stopped by somebody else",
            Self::HostFailed => "was lost with its machine",
            Self::NeverStarted => "did not start",
            Self::Crashed => "died",
            Self::Unexplained => "ended for an unknown reason",
        })
    }
}

impl TaskStateChange {
    /// Whether the task is one of the stack's.
    pub fn is_of(&self, stack: &str) -> bool {
        self.started_by.as_deref() == Some(started_by(stack).as_str())
    }

    /// Whether the task has ended. A task that is only about to is reported by earlier events, which makes this the
    /// one to tell people of.
    pub fn is_over(&self) -> bool {
        self.last_status == "STOPPED"
    }

    /// Why the task ends; `None` while it is wanted to run.
    pub fn ending(&self) -> Option<Ending> {
        if !self.is_over() && self.desired_status != "STOPPED" {
            return None;
        }
        let reason = self.stopped_reason.as_deref().unwrap_or_default();
        Some(match self.stop_code.as_deref() {
            _ if reason.contains(MAINTENANCE) => Ending::Retired,
            Some("UserInitiated") if reason.starts_with(OUR_REASON) => Ending::Asked,
            Some("UserInitiated" | "ServiceSchedulerInitiated") => Ending::StoppedByOthers,
            Some("SpotInterruption") => Ending::SpotInterrupted,
            // Fargate's code for a notice of either kind, of which only the words tell.
            Some("TerminationNotice") if reason.contains("Spot") => Ending::SpotInterrupted,
            Some("TerminationNotice") => Ending::Retired,
            Some("InfrastructureHealth") => Ending::HostFailed,
            Some("TaskFailedToStart") => Ending::NeverStarted,
            Some("EssentialContainerExited") => self.exit(),
            Some(_) | None if reason.starts_with("Host EC2") => Ending::HostFailed,
            Some(_) | None => Ending::Unexplained,
        })
    }

    /// What to tell people of a task that ends: why, in ECS's words too, and what happens next.
    pub fn explain(&self) -> Option<String> {
        let ending = self.ending()?;
        let mut text = format!("recorder {} {ending}", self.short_name());
        let mut said: Vec<&str> = self.stopped_reason.as_deref().into_iter().collect();
        said.extend(
            self.containers
                .iter()
                .filter_map(|container| container.reason.as_deref()),
        );
        said.dedup();
        let exit_code = self.recorder().and_then(|recorder| recorder.exit_code);
        if let Some(code) = exit_code.filter(|code| *code != 0) {
            text.push_str(&format!(" with exit code {code}"));
        }
        if !said.is_empty() {
            let said: String = said.join("; ").chars().take(QUOTED_MAX).collect();
            text.push_str(&format!(" ({said})"));
        }
        text.push_str(next_step(ending));
        Some(text)
    }

    /// The end of its ARN: what the console shows.
    pub fn short_name(&self) -> &str {
        self.task_arn.rsplit('/').next().unwrap_or(&self.task_arn)
    }

    /// The recorder's exit is the verdict; how a sidecar that AWS adds took its end is not.
    fn exit(&self) -> Ending {
        let in_order =
            |container: &ContainerState| container.exit_code == Some(0) && container.reason.is_none();
        match self.recorder() {
            Some(recorder) if in_order(recorder) => Ending::Drained,
            Some(_) | None => Ending::Crashed,
        }
    }

    fn recorder(&self) -> Option<&ContainerState> {
        let name = Some(RECORDER);
        self.containers
            .iter()
            .find(|container| container.name.as_deref() == name)
    }
}

fn next_step(ending: Ending) -> &'static str {
    match ending {
        Ending::Asked | Ending::Drained => "",
        Ending::SpotInterrupted | Ending::Retired => "; another takes over what is still wanted",
        Ending::StoppedByOthers | Ending::HostFailed | Ending::Unexplained => {
            "; another is started for what is still wanted"
        }
        Ending::NeverStarted => "; it is tried again, with growing pauses",
        Ending::Crashed => "; another is started for what is still wanted. Its log says what happened before",
    }
}
