//! The gateway's client, made from the configuration.

use crate::config::Gateway;
use anyhow::Context;

/// A client for the configured gateway.
pub(crate) fn client(gateway: &Gateway) -> anyhow::Result<isapi::Client> {
    let mut config = isapi::Config::new(gateway.url.clone(), &gateway.username, gateway.password.clone());
    config.tls = gateway.tls.clone();
    config.devices_per_page = gateway.devices_per_page.unwrap_or(config.devices_per_page);
    isapi::Client::new(config).context("preparing the gateway's client")
}
