//! Telling people: a log line, and a webhook where one is configured.

use anyhow::Context;
use domain::ports::{Alerts, PortError};
use domain::{Alert, Severity};
use reqwest::{Client, StatusCode, Url};
use std::time::Duration;

/// Where `millrace run` sends its alerts.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    webhook: Option<(Client, Url)>,
}

/// A webhook that takes longer than this has not answered.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

impl Outbox {
    /// The log, and the webhook if there is one.
    pub(crate) fn new(webhook: Option<Url>) -> anyhow::Result<Self> {
        let webhook = match webhook {
            None => None,
            Some(url) => {
                let client = Client::builder()
                    .timeout(WEBHOOK_TIMEOUT)
                    .tls_backend_preconfigured(tls()?);
                Some((client.build().context("preparing the alert webhook")?, url))
            }
        };
        Ok(Self { webhook })
    }
}

fn tls() -> anyhow::Result<rustls::ClientConfig> {
    isapi::Tls::WebPki
        .client_config()
        .context("preparing TLS for the alert webhook")
}

impl Alerts for Outbox {
    async fn send(&self, alert: &Alert) -> Result<(), PortError> {
        let Alert {
            subject, text, since, ..
        } = alert;
        match alert.severity {
            Severity::Resolved => tracing::info!(alert = "resolved", subject, %since, "{text}"),
            Severity::Warning => tracing::warn!(alert = "warning", subject, %since, "{text}"),
            Severity::Critical => tracing::error!(alert = "critical", subject, %since, "{text}"),
        }
        let Some((client, url)) = &self.webhook else {
            return Ok(());
        };
        let doing = "posting an alert to the webhook";
        let answer = client.post(url.clone()).json(alert).send().await;
        // The URL may carry a token: it stays out of errors.
        let status = answer
            .map_err(|error| PortError::unknown(doing, error.without_url()))?
            .status();
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::TOO_MANY_REQUESTS => Err(PortError::throttled(doing, status.to_string())),
            _ if status.is_client_error() => Err(PortError::refused(doing, status.to_string())),
            _ => Err(PortError::unknown(doing, status.to_string())),
        }
    }
}
