//! The gateway's client, made from the configuration.

use crate::config::Gateway;
use anyhow::Context;
use domain::ports::Connect;
use isapi::{Admin, Connector};
use secrecy::SecretString;

/// A client for the configured gateway.
pub(crate) fn client(gateway: &Gateway) -> anyhow::Result<isapi::Client> {
    isapi::Client::new(config(gateway)).context("preparing the gateway's client")
}

/// The administrator's side of the configured gateway, which may still have its initial password.
pub(crate) fn admin(gateway: &Gateway, initial_password: Option<SecretString>) -> anyhow::Result<Admin> {
    let connector = Connector::new(config(gateway), initial_password);
    Ok(connector.connect(gateway.url.as_str())?)
}

fn config(gateway: &Gateway) -> isapi::Config {
    let mut config = isapi::Config::new(gateway.url.clone(), &gateway.username, gateway.password.clone());
    config.tls = gateway.tls.clone();
    config.devices_per_page = gateway.devices_per_page.unwrap_or(config.devices_per_page);
    config
}
