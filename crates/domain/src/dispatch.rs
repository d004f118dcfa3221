//! Dispatch: wanted channels → recorders that run and know what to record.
//!
//! Every run observes everything (two table scans and one task list, whatever the number of changes): an event
//! only says *look now*. There are no locks. Two dispatchers at once, a lost answer or a crash half-way may start
//! one recorder too many; it finds no assignment of its own and ends, because every assignment is a conditional
//! write fenced by generation.

mod fleet;
mod launch;
mod plan;
mod policy;
mod repack;
mod report;
mod rounds;
mod run;

pub use plan::{Action, Left, Observed, Placement, Plan, Replaced, plan};
pub use policy::{DispatchPolicy, HEARTBEAT_STALE};
pub use report::Report;
pub use rounds::{Again, Because, again};
pub use run::dispatch;
