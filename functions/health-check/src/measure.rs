//! The metrics of one check.

use crate::Report;
use domain::ladder::{EndpointLook, Look, Rung};
use isapi::Traffic;
use lambda::metrics::{Metrics, Unit};

pub(crate) fn measure(report: &Report, traffic: Traffic) -> Metrics {
    let Report { archive, gateway } = report;
    let failures = gateway
        .failures
        .iter()
        .chain(&archive.failure)
        .chain(&archive.untold);
    let metrics = Metrics::default()
        .count("CheckFailed", failures.count())
        .count("GatewayIll", usize::from(gateway.ill_since.is_some()))
        .measure("RepairStep", Unit::Count, height(gateway.step));
    let metrics = match gateway.look.as_ref().and_then(|look| answered(look, traffic)) {
        Some(answered) => metrics.count("GatewayAnswered", usize::from(answered)),
        None => metrics,
    };
    if archive.failure.is_some() {
        return metrics;
    }
    metrics.count("ChannelsStale", archive.stale.len()).measure(
        "ArchiveStaleSeconds",
        Unit::Seconds,
        archive.oldest_seconds as f64,
    )
}

/// Whether the gateway answered; `None` when it was not asked, because its password is known to be refused.
fn answered(look: &Look, traffic: Traffic) -> Option<bool> {
    match look.endpoint {
        EndpointLook::Well | EndpointLook::Stranger(_) => Some(true),
        EndpointLook::Silent(_) => Some(false),
        EndpointLook::ShutOut(_) => (traffic.requests > 0).then_some(true),
    }
}

fn height(step: Option<Rung>) -> f64 {
    match step {
        None => 0.0,
        Some(Rung::Restart) => 1.0,
        Some(Rung::Reboot) => 2.0,
        Some(Rung::StopStart) => 3.0,
        Some(Rung::Replace) => 4.0,
    }
}
