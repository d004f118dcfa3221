//! Telling people: a log line, and a webhook where one is configured.

use anyhow::Context;
use domain::Alert;
use domain::ports::{Alerts, PortError};
use recorder::LogAlerts;
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

    /// The log, and the webhook of the environment if it names one.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let url = std::env::var(WEBHOOK_ENV).ok().map(|url| url.parse()).transpose();
        Self::new(url.with_context(|| format!("reading {WEBHOOK_ENV}"))?)
    }
}

/// The environment variable by which recorders are told the webhook: its URL may hold a token, which an argv would
/// show to other users.
pub(crate) const WEBHOOK_ENV: &str = "MILLRACE_ALERT_WEBHOOK";

fn tls() -> anyhow::Result<rustls::ClientConfig> {
    isapi::Tls::WebPki
        .client_config()
        .context("preparing TLS for the alert webhook")
}

impl Alerts for Outbox {
    async fn send(&self, alert: &Alert) -> Result<(), PortError> {
        LogAlerts.send(alert).await?;
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
