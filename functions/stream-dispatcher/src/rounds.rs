//! Dispatching in rounds, within the time of one invocation.

use aws::dynamodb::Tables;
use aws::ecs::EcsTasks;
use domain::dispatch::{Because, DispatchPolicy, Report, again, dispatch};
use jiff::Timestamp;
use lambda::metrics::Metrics;
use lambda::{Outbox, Stack};
use serde::Serialize;
use std::time::Duration;
use tokio::time::sleep;

/// Everything a dispatch needs.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) stack: Stack,
    pub(crate) policy: DispatchPolicy,
    pub(crate) table: Tables,
    pub(crate) tasks: EcsTasks,
    pub(crate) alerts: Outbox,
}

/// The wide event of one round.
#[derive(Serialize)]
struct Round<'a> {
    trigger: &'static str,
    round: u32,
    /// Why another one follows.
    again: Option<Because>,
    #[serde(flatten)]
    report: &'a Report,
}

impl Dispatcher {
    /// Dispatches until nothing is left that this invocation could do before `deadline`; whether its last look at the
    /// world succeeded.
    pub(crate) async fn dispatch(&self, trigger: &'static str, deadline: Timestamp) -> bool {
        let mut round = 1;
        loop {
            let begin = Timestamp::now();
            let report = dispatch(&self.policy, &self.table, &self.tasks, &self.alerts, begin).await;
            let next = again(&report, round, Timestamp::now(), deadline);
            let event = Round {
                trigger,
                round,
                again: next.map(|next| next.because),
                report: &report,
            };
            self.stack.emit("dispatch", &event, &measure(&report), begin);
            let Some(next) = next else {
                return report.failure.is_none();
            };
            sleep(Duration::try_from(next.after).unwrap_or_default()).await;
            round += 1;
        }
    }
}

fn measure(report: &Report) -> Metrics {
    let failed = report.failed.len() + usize::from(report.failure.is_some());
    let metrics = Metrics::default().count("Failed", failed);
    if report.failure.is_some() {
        return metrics;
    }
    metrics
        .count("Wanted", report.channels)
        .count("Recording", report.recording)
        .count("NotRecording", report.not_recording)
        .count("Started", report.started)
        .count("Stopped", report.stopped)
        .count("Refused", report.refused.len())
        .count("LaunchesLeft", report.launches_left)
}
