//! What a dispatch tells of itself.

use super::plan::{Action, Left, Plan, Replaced};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// What one dispatch saw and did: the wide event of its invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Wanted channels.
    pub channels: usize,
    /// Of them recorded when looked at: a fresh heartbeat without a trouble.
    pub recording: usize,
    /// Of them not recorded although the gateway sees the device.
    pub not_recording: usize,
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
    /// Channels that were to be placed anew, by why.
    pub placed: BTreeMap<Replaced, usize>,
    /// Recorders that were to be stopped, by why.
    pub stops: BTreeMap<&'static str, usize>,
    /// Channels that wait for their next try.
    pub waiting: usize,
    /// Starts left for the next run.
    pub launches_left: usize,
    /// How often something was left as it is, by why.
    pub left: BTreeMap<Left, usize>,
    /// Starts that a person must make possible.
    pub refused: Vec<String>,
    /// Starts for channels that are to move, which a person must make possible; they are recorded where they are.
    pub moves_refused: Vec<String>,
    /// Steps that failed or came too late; the next run plans again.
    pub failed: Vec<String>,
    /// When a waiting channel is due, so that the caller need not wait for its schedule.
    pub next_due: Option<Timestamp>,
    /// Why none of the recorders that are needed was started: the gateway rejects our password, or locked us out. A
    /// successful poll lifts it.
    pub credentials_rejected: Option<String>,
    /// Why there was no observation; nothing was changed then.
    pub failure: Option<String>,
}

impl Report {
    /// Says what is planned.
    pub(super) fn note(&mut self, plan: &Plan) {
        self.waiting = plan.waiting.len();
        self.next_due = plan.waiting.values().min().copied();
        self.launches_left = plan.launches_left;
        self.left.clone_from(&plan.left);
        for action in &plan.actions {
            match action {
                Action::Adopt { placements, .. } | Action::Start { placements, .. } => {
                    for placement in placements {
                        *self.placed.entry(placement.why).or_default() += 1;
                    }
                }
                Action::Stop { reason, .. } => *self.stops.entry(reason).or_default() += 1,
                Action::Forget { .. } | Action::Update(_) => {}
            }
        }
    }

    /// Adds what one step did.
    pub(super) fn add(&mut self, step: Self) {
        self.started += step.started;
        self.stopped += step.stopped;
        self.assigned += step.assigned;
        self.updated += step.updated;
        self.forgotten += step.forgotten;
        self.waiting += step.waiting;
        self.refused.extend(step.refused);
        self.moves_refused.extend(step.moves_refused);
        self.failed.extend(step.failed);
    }
}
