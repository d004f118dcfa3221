//! Which branches the loops took, by what they report of themselves.

use super::fleet::Sim;
use domain::{dispatch, poll};

/// What both loops say of a row that another writer was faster with.
const STALE: &str = "has changed meanwhile";

impl Sim {
    pub(crate) fn count_poll(&mut self, report: &poll::Report) {
        for (reason, count) in &report.lookup_reasons {
            self.reach(&format!("lookup {reason:?}"), *count as u64);
        }
        // A device, or one channel of it.
        let is_channel = |name: &&String| name.contains('/');
        let (urls, devices): (Vec<_>, Vec<_>) = report.lookups_failed.keys().partition(is_channel);
        let at_limit = report.lookups >= self.poll_policy.lookups_max;
        self.reach_all(&[
            ("hold", usize::from(report.held > 0)),
            ("lookup failed", devices.len()),
            ("URL not to be had", urls.len()),
            ("lookups at their limit", usize::from(at_limit)),
            ("row written meanwhile", stale(&report.writes_failed)),
        ]);
    }

    pub(crate) fn count_dispatch(&mut self, report: &dispatch::Report) {
        for (why, count) in &report.placed {
            self.reach(&format!("{why:?}"), *count as u64);
        }
        for (why, count) in &report.left {
            self.reach(&format!("left: {why:?}"), *count as u64);
        }
        for (reason, count) in &report.stops {
            self.reach(&format!("stop: {reason}"), *count as u64);
        }
        let stops: usize = report.stops.values().sum();
        let called_off = report.failed.is_empty() && report.stopped < stops;
        let gives = report.started == 0 && report.assigned > 0;
        self.reach_all(&[
            ("start", report.started),
            ("give", usize::from(gives)),
            ("update", report.updated),
            ("forget", report.forgotten),
            ("wait", report.waiting),
            ("leave", report.launches_left),
            ("start refused", report.refused.len()),
            ("move refused", report.moves_refused.len()),
            ("assignment written meanwhile", stale(&report.failed)),
            ("stop called off", usize::from(called_off)),
            ("credentials", usize::from(report.credentials_rejected.is_some())),
        ]);
    }

    fn reach_all(&mut self, branches: &[(&str, usize)]) {
        for (branch, count) in branches {
            self.reach(branch, *count as u64);
        }
    }
}

fn stale(steps: &[String]) -> usize {
    steps.iter().filter(|step| step.contains(STALE)).count()
}
