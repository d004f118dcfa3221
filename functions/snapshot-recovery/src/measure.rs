//! The metrics of one round.

use domain::recover::{Report, SagaResult};
use jiff::Timestamp;
use lambda::metrics::{Metrics, Unit};

pub(crate) fn measure(report: &Report, now: Timestamp) -> Metrics {
    let replacing = report.saga.as_ref().filter(|saga| !saga.request.drill);
    let metrics = Metrics::default()
        .count("RecoverFailed", report.failures.len())
        .count("GatewayDrift", report.drift.len())
        .measure(
            "ReplacingSeconds",
            Unit::Seconds,
            replacing.map_or(0.0, |saga| seconds(now, saga.request.since)),
        );
    let metrics = match report.newest_image {
        Some(taken_at) => metrics.measure("ImageAgeSeconds", Unit::Seconds, seconds(now, taken_at)),
        None => metrics,
    };
    match &report.ended {
        Some(ended) => metrics.and(outcome(ended)),
        None => metrics,
    }
}

fn outcome(ended: &SagaResult) -> Metrics {
    let (failed, rto, rpo) = match ended.drill {
        true => ("DrillFailed", "DrillSeconds", "DrillImageAgeSeconds"),
        false => ("ReplacementFailed", "RecoverySeconds", "RecoveryImageAgeSeconds"),
    };
    let metrics = Metrics::default().count(failed, usize::from(!ended.success));
    let measured = [(rto, ended.rto_seconds), (rpo, ended.rpo_seconds)];
    let metrics = measured
        .into_iter()
        .filter_map(|(name, seconds)| Some((name, seconds?)))
        .fold(metrics, |metrics, (name, seconds)| {
            metrics.measure(name, Unit::Seconds, seconds as f64)
        });
    match &ended.lost_devices {
        Some(lost) => metrics.count("DevicesLost", lost.len()),
        None => metrics,
    }
}

fn seconds(now: Timestamp, since: Timestamp) -> f64 {
    now.duration_since(since).as_secs_f64().max(0.0)
}
