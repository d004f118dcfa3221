//! Telling people: a log line always, and a message where there is a topic.

use crate::options::Stack;
use aws::sns::Topic;
use domain::alert::{Alert, Severity};
use domain::ports::{Alerts, PortError};

/// Where a function sends its alerts.
#[derive(Debug, Clone)]
pub struct Outbox {
    topic: Option<Topic>,
}

impl Outbox {
    /// The log, and the stack's topic if it has one.
    pub fn new(stack: &Stack, sdk: &aws::SdkConfig) -> Self {
        let arn = stack.alerts_topic.0.clone();
        Self {
            topic: arn.map(|arn| Topic::new(sdk, arn)),
        }
    }
}

impl Alerts for Outbox {
    async fn send(&self, alert: &Alert) -> Result<(), PortError> {
        let Alert {
            severity,
            subject,
            text,
            since,
        } = alert;
        // As recorders log theirs, so that one query over all logs finds every alert.
        match severity {
            Severity::Resolved => tracing::info!(alert = "resolved", subject, %since, "{text}"),
            Severity::Warning => tracing::warn!(alert = "warning", subject, %since, "{text}"),
            Severity::Critical => tracing::error!(alert = "critical", subject, %since, "{text}"),
        }
        match &self.topic {
            Some(topic) => topic.send(alert).await,
            None => Ok(()),
        }
    }
}
