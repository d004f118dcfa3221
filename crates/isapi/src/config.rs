//! How to reach a gateway, and how patient and how trusting to be.

use crate::tls::Tls;
use reqwest::Url;
use secrecy::SecretString;
use std::time::Duration;

/// Entries the vendor's guide asks for in a page of the device list.
pub(crate) const DEVICES_PER_PAGE: u32 = 100;

/// Calls under way at once that an embedded web server may still bear.
const CONCURRENCY_MAX: u32 = 64;

/// Everything a [`Client`](crate::Client) needs to know. Its `Debug` does not show the password.
#[derive(Debug, Clone)]
pub struct Config {
    /// `http://host[:port]` or `https://…`, with a path when a proxy adds one; no user, password or query.
    pub base_url: Url,
    /// The gateway's user.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// What makes an `https` gateway trustworthy.
    pub tls: Tls,
    /// Longest wait for a connection, TLS handshake included.
    pub connect_timeout: Duration,
    /// Longest time of one call from its turn to the last byte of its answer, authentication included. For a
    /// subscription: until its first part.
    pub request_timeout: Duration,
    /// Longest answer, and longest part of the event stream, in bytes.
    pub body_max_bytes: usize,
    /// Calls under way at once, 1 to 64; further calls wait for their turn. Subscriptions do not count.
    pub concurrency_max: u32,
    /// Devices asked for per page, 1 to 100. A full page but the last one is expected; lower this for a build
    /// that caps its pages.
    pub devices_per_page: u32,
    /// Which host the URLs of streams have.
    pub stream_host: StreamHost,
    /// Longest silence of the event stream before it counts as dead.
    pub event_silence_max: Duration,
}

/// Which host the URLs of streams have. A gateway whose port mapping is on hands out its *external* address, also to
/// who asks by the internal one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StreamHost {
    /// The one the gateway names.
    #[default]
    AsGiven,
    /// The one the gateway is asked by (the host of [`Config::base_url`]), with the port the gateway names: for who
    /// lives beside it, where the external address would cost money or not be reachable.
    OfBaseUrl,
}

impl Config {
    /// A configuration with the usual limits: 5 s to connect, 15 s per call, answers of 4 MiB, 4 calls at once,
    /// 30 s of silence (three missed heartbeats, as the vendor's guide advises).
    pub fn new(base_url: Url, username: impl Into<String>, password: SecretString) -> Self {
        Self {
            base_url,
            username: username.into(),
            password,
            tls: Tls::WebPki,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            body_max_bytes: 4 * 1024 * 1024,
            concurrency_max: 4,
            devices_per_page: DEVICES_PER_PAGE,
            stream_host: StreamHost::AsGiven,
            event_silence_max: Duration::from_secs(30),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let url = &self.base_url;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ConfigError::CredentialsInUrl);
        }
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.query().is_some() {
            return Err(ConfigError::NotABaseUrl(url.to_string()));
        }
        if url.scheme() == "http" && !matches!(self.tls, Tls::WebPki) {
            return Err(ConfigError::TrustWithoutHttps);
        }
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency_max) {
            return Err(ConfigError::Concurrency(self.concurrency_max));
        }
        if !(1..=DEVICES_PER_PAGE).contains(&self.devices_per_page) {
            return Err(ConfigError::PageSize(self.devices_per_page));
        }
        Ok(())
    }
}

/// Why no client can be made of a [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Credentials in URLs end up in logs.
    #[error("the gateway's URL must not contain a user or password")]
    CredentialsInUrl,
    /// Not something to append API paths to.
    #[error("`{0}` is not an http or https URL without a query")]
    NotABaseUrl(String),
    /// A pin or CA that would silently not be used.
    #[error("a certificate pin or CA is given but the gateway's URL is not https")]
    TrustWithoutHttps,
    /// None could ever be made, or more than any gateway bears.
    #[error("{0} calls at once is not between 1 and {CONCURRENCY_MAX}")]
    Concurrency(u32),
    /// Outside what gateways accept.
    #[error("{0} devices per page is not between 1 and {DEVICES_PER_PAGE}")]
    PageSize(u32),
    /// The CA file is not a list of PEM certificates.
    #[error("cannot read the CA certificates: {0}")]
    BadCa(String),
    /// The machine's own certificate store or the TLS library refused.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refused.
    #[error("cannot set up the HTTP client")]
    Http(#[from] reqwest::Error),
}
