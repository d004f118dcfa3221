//! What an unchanged world may cost: the table of docs/emulated-deployment.md, to be counted against.

use crate::deployment::{DISPATCHER, HEALTH_CHECK, POLLER, RECORDER};
use std::collections::BTreeMap;

/// Who is asked what is not a service of AWS.
pub(crate) const GATEWAY: &str = "gateway";

/// How often something happened while the world was watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasions {
    /// Runs of the device-poller.
    pub(crate) polls: u64,
    /// Runs of the stream-dispatcher.
    pub(crate) dispatches: u64,
    /// Runs of the health-check.
    pub(crate) checks: u64,
    /// Recorders, of one channel each.
    pub(crate) recorders: u64,
    /// Pulls of all of them together.
    pub(crate) pulls: u64,
    /// Heartbeats that are due, of all channels together.
    pub(crate) heartbeats: u64,
    /// Segments, of all channels together.
    pub(crate) segments: u64,
}

/// A call that is allowed, so many times on each of its occasions.
struct Allowance {
    by: &'static str,
    name: &'static str,
    calls: u64,
    on: fn(&Occasions) -> u64,
}

const fn allow(by: &'static str, calls: u64, name: &'static str, on: fn(&Occasions) -> u64) -> Allowance {
    Allowance { by, name, calls, on }
}

/// The whole of it. A page of a table is 1 MB and one of tasks is 100: here everything fits into one.
const BUDGET: [Allowance; 15] = [
    allow(POLLER, 2, "dynamodb Scan", |of| of.polls),
    allow(POLLER, 5, "dynamodb GetItem", |of| of.polls),
    // The password, by an environment of the function that is new.
    allow(POLLER, 1, "ssm GetParameter", |_| 1),
    allow(DISPATCHER, 2, "dynamodb Scan", |of| of.dispatches),
    allow(DISPATCHER, 1, "dynamodb GetItem", |of| of.dispatches),
    allow(DISPATCHER, 1, "ecs ListTasks", |of| of.dispatches),
    allow(DISPATCHER, 1, "ecs DescribeTasks", |of| of.dispatches),
    allow(HEALTH_CHECK, 2, "dynamodb Scan", |of| of.checks),
    allow(HEALTH_CHECK, 5, "dynamodb GetItem", |of| of.checks),
    // Which version of the password it would try: one that was refused is not tried again.
    allow(HEALTH_CHECK, 1, "ssm GetParameter", |of| of.checks),
    allow(GATEWAY, 1, "requests, challenges aside", |of| {
        of.polls + 2 * of.checks
    }),
    allow(RECORDER, 1, "dynamodb Query", |of| of.pulls),
    // The look at the gaps that are still open, every ten minutes.
    allow(RECORDER, 1, "dynamodb Query", |of| of.recorders),
    allow(RECORDER, 1, "dynamodb UpdateItem", |of| of.heartbeats),
    allow(RECORDER, 1, "s3 PutObject", |of| of.segments),
];

/// Everything that was called more often than allowed, or never should be.
pub(crate) fn overdrawn(counts: &BTreeMap<(String, String), u64>, occasions: &Occasions) -> Vec<String> {
    let allowed = |by: &str, name: &str| -> u64 {
        let lines = BUDGET.iter().filter(|line| line.by == by && line.name == name);
        lines.map(|line| line.calls * (line.on)(occasions)).sum()
    };
    let over = counts.iter().filter_map(|((by, name), count)| {
        let allowed = allowed(by, name);
        (*count > allowed).then(|| format!("{by}: {name}, {count} times, {allowed} are allowed"))
    });
    over.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_RUNS: Occasions = Occasions {
        polls: 2,
        dispatches: 2,
        checks: 2,
        recorders: 1,
        pulls: 14,
        heartbeats: 4,
        segments: 14,
    };

    fn counts(by: &str, name: &str, count: u64) -> BTreeMap<(String, String), u64> {
        BTreeMap::from([((by.to_owned(), name.to_owned()), count)])
    }

    #[test]
    fn one_call_more_than_written_is_too_much() {
        assert!(overdrawn(&counts(DISPATCHER, "ecs ListTasks", 2), &TWO_RUNS).is_empty());
        assert_eq!(
            overdrawn(&counts(DISPATCHER, "ecs ListTasks", 3), &TWO_RUNS).len(),
            1
        );
    }

    #[test]
    fn a_call_that_is_not_written_is_too_much() {
        assert_eq!(
            overdrawn(&counts(RECORDER, "dynamodb Scan", 1), &TWO_RUNS).len(),
            1
        );
    }
}
