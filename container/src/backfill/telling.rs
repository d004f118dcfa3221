//! A round, as a log line.

use domain::backfill::Report;

/// Writes what came of a round: nothing worth a line is for those who debug.
pub fn log_round(report: &Report) {
    let Report {
        channels,
        missing: _,
        pieces: _,
        devices_waiting,
        playbacks,
        postponed,
        stored,
        filled,
        discarded,
        not_on_device,
        failed,
        held,
        failure,
    } = report;
    if let Some(failure) = failure {
        tracing::warn!(failure, "holes cannot be filled");
    } else if let Some(held) = held {
        tracing::info!(held, "holes are being filled by somebody else");
    } else if *stored + *playbacks == 0 && not_on_device.is_zero() && failed.is_empty() {
        tracing::debug!(channels, devices_waiting, "no hole to fill");
    } else {
        tracing::info!(
            channels,
            playbacks,
            postponed,
            stored,
            discarded,
            filled_seconds = filled.as_secs_f64(),
            not_on_device_seconds = not_on_device.as_secs_f64(),
            devices_waiting,
            ?failed,
            "backfilled"
        );
    }
}
