//! What goes to the log: alerts, and a line a recording under a target of its own.

use domain::Alert;
use domain::alert::Severity;
use domain::ports::{Alerts, PortError};

/// The target of the two lines every recording gets, closed and archived: thousands a day and camera, so that a
/// filter like `info,recordings=warn` can leave them out.
pub const RECORDINGS: &str = "recordings";

/// Alerts as log lines: whoever runs recorders reads their logs.
#[derive(Debug, Clone, Copy)]
pub struct LogAlerts;

impl Alerts for LogAlerts {
    async fn send(&self, alert: &Alert) -> Result<(), PortError> {
        let Alert {
            subject, text, since, ..
        } = alert;
        match alert.severity {
            Severity::Resolved => tracing::info!(alert = "resolved", subject, %since, "{text}"),
            Severity::Warning => tracing::warn!(alert = "warning", subject, %since, "{text}"),
            Severity::Critical => tracing::error!(alert = "critical", subject, %since, "{text}"),
        }
        Ok(())
    }
}
