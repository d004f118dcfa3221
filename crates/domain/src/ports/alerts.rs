use super::PortError;
use crate::alert::Alert;

/// Where people are told.
pub trait Alerts: Send + Sync {
    /// Delivers one message. Callers decide how often; this does not deduplicate.
    fn send(&self, alert: &Alert) -> impl Future<Output = Result<(), PortError>> + Send;
}
