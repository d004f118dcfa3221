use super::PortError;
use crate::id::TaskArn;
use crate::task::{Launch, LiveTask};

/// The host that runs recorders: ECS, or child processes.
pub trait Tasks: Send + Sync {
    /// The recorders that run now, as the host knows; on AWS a just-started task may be absent for a while.
    fn list_tasks(&self) -> impl Future<Output = Result<Vec<LiveTask>, PortError>> + Send;

    /// Starts one recorder; the same token again names the same task, or another once that one is known to have ended.
    fn start_task(&self, launch: &Launch) -> impl Future<Output = Result<TaskArn, PortError>> + Send;

    /// Asks a recorder to stop: it closes, uploads and exits. One that is gone already is `Ok`.
    fn stop_task(&self, task: &TaskArn, reason: &str) -> impl Future<Output = Result<(), PortError>> + Send;
}
