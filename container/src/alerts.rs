//! Alerts as log lines.

use domain::Alert;
use domain::alert::Severity;
use domain::ports::{Alerts, PortError};

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
