//! The administrator's side of a gateway, for the domain's setup: which password is meant, how the gateway is
//! configured, and one change at a time.

use crate::client::Client;
use crate::config::Config;
use crate::error::IsapiError;
use crate::events::EventError;
use crate::portmaps::{DevicePorts, ExternalAddress, PlatformPorts, PortPair};
use crate::system::{self, GatewayTime, TimeMode};
use crate::traffic::Traffic;
use domain::Device;
use domain::id::{ChannelKey, DeviceIndex};
use domain::ports::{Connect, Credential, Gateway, GatewayAdmin, GatewayChannel, LogIn, PortError};
use domain::setup::{Applied, Change, Clock, Configuration, Identity, PortMap};
use secrecy::SecretString;
use serde_json::Map;
use std::fmt;

/// Reaches gateways that share user, passwords and limits, by their base URLs.
#[derive(Clone)]
pub struct Connector {
    config: Config,
    initial_password: Option<SecretString>,
}

impl Connector {
    /// Gateways with this configuration but for its base URL; its password is the wanted one. The initial password
    /// is that of a gateway fresh from its base image.
    pub fn new(config: Config, initial_password: Option<SecretString>) -> Self {
        Self {
            config,
            initial_password,
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connect for Connector {
    type Gateway = Admin;

    fn connect(&self, endpoint: &str) -> Result<Admin, PortError> {
        let doing = || format!("reaching the gateway at `{endpoint}`");
        let base_url = endpoint
            .parse()
            .map_err(|error: url::ParseError| PortError::refused(doing(), error))?;
        let config = Config {
            base_url,
            ..self.config.clone()
        };
        let client = Client::new(config).map_err(|error| PortError::refused(doing(), error))?;
        Ok(Admin {
            client,
            username: self.config.username.clone(),
            password: self.config.password.clone(),
            initial_password: self.initial_password.clone(),
        })
    }
}

/// One gateway and the two passwords it may have.
#[derive(Clone)]
pub struct Admin {
    client: Client,
    username: String,
    password: SecretString,
    initial_password: Option<SecretString>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl Admin {
    /// What the gateway was asked since this was last called.
    pub fn take_traffic(&self) -> Traffic {
        self.client.take_traffic()
    }

    /// Alarm forwarding can only be told from whether a subscription is refused; one that is granted is ended again.
    async fn alarm_forwarding(&self) -> Option<bool> {
        match self.client.subscribe().await {
            Ok(subscription) => {
                if let Some(id) = subscription.id() {
                    // The connection ends with the subscription's drop, whatever the answer.
                    let _ = self.client.unsubscribe(id).await;
                }
                Some(true)
            }
            Err(EventError::ForwardingOff(_)) => Some(false),
            Err(
                EventError::Call(_)
                | EventError::NotMultipart { .. }
                | EventError::Silent { .. }
                | EventError::Ended
                | EventError::Broken(_)
                | EventError::Malformed(_),
            ) => None,
        }
    }

    async fn read_configuration(&self) -> Result<Configuration, IsapiError> {
        let time = self.client.time().await?;
        Ok(Configuration {
            name: self.client.device_info().await?.name,
            clock: Clock {
                instant: time.instant,
                utc_offset: time.utc_offset,
                ntp: time.mode == TimeMode::Ntp,
            },
            platform_ports: platform(&self.client.platform_port_map().await?.map),
            device_ports: devices(&self.client.device_port_map().await?.map),
            alarm_forwarding: self.alarm_forwarding().await,
        })
    }

    async fn make(&self, change: &Change) -> Result<system::Applied, IsapiError> {
        match change {
            Change::Name(name) => self.client.set_device_name(name).await,
            Change::Clock(clock) => {
                let before = self.client.time().await?;
                let time = GatewayTime {
                    instant: clock.instant,
                    utc_offset: clock.utc_offset,
                    mode: if clock.ntp {
                        TimeMode::Ntp
                    } else {
                        TimeMode::Manual
                    },
                    other: before.other,
                };
                self.client.set_time(&time).await
            }
            Change::PlatformPorts { address } => {
                let mut map = self.client.platform_port_map().await?;
                straighten(&mut map.map, address);
                self.client.set_platform_port_map(&map).await
            }
            Change::DevicePorts => {
                let mut map = self.client.device_port_map().await?;
                straighten_devices(&mut map.map);
                self.client.set_device_port_map(&map).await
            }
        }
    }
}

impl GatewayAdmin for Admin {
    async fn log_in(&self, with: Credential) -> Result<LogIn, PortError> {
        const DOING: &str = "logging in at the gateway";
        let password = match with {
            Credential::Wanted => Some(&self.password),
            Credential::Initial => self.initial_password.as_ref(),
        };
        let Some(password) = password else {
            return Err(PortError::refused(DOING, "there is no initial password"));
        };
        self.client.set_credentials(&self.username, password.clone());
        match self.client.device_info().await {
            Ok(info) => Ok(LogIn::Accepted(Identity {
                name: info.name,
                model: info.model,
                firmware_version: info.firmware_version,
            })),
            Err(IsapiError::CredentialsRejected { tries_left, .. }) => Ok(LogIn::Rejected { tries_left }),
            Err(IsapiError::Locked { locked_for, .. }) => Ok(LogIn::Locked { locked_for }),
            // No password was sent, so no try was spent.
            Err(error @ IsapiError::Unreachable { .. }) => Err(PortError::throttled(DOING, error)),
            Err(error) => Err(match error.into_port(DOING) {
                PortError::Unknown { doing, source } if !self.client.has_answered() => {
                    PortError::Throttled { doing, source }
                }
                error @ (PortError::Throttled { .. }
                | PortError::Unknown { .. }
                | PortError::Refused { .. }) => error,
            }),
        }
    }

    async fn configuration(&self) -> Result<Configuration, PortError> {
        let configuration = self.read_configuration().await;
        configuration.map_err(|error| error.into_port("reading the gateway's configuration"))
    }

    async fn adopt_password(&self) -> Result<(), PortError> {
        let changed = self.client.change_password(&self.password).await;
        changed.map_err(|error| error.into_port("replacing the gateway's initial password"))
    }

    async fn change(&self, change: &Change) -> Result<Applied, PortError> {
        match self.make(change).await {
            Ok(system::Applied::Now) => Ok(Applied::Now),
            Ok(system::Applied::AfterReboot) => Ok(Applied::AfterRestart),
            Err(error) => Err(error.into_port(change.to_string())),
        }
    }

    async fn restart(&self) -> Result<(), PortError> {
        let restarted = self.client.reboot().await;
        restarted.map_err(|error| error.into_port("restarting the gateway's software"))
    }
}

impl Gateway for Admin {
    async fn devices(&self) -> Result<Vec<Device>, PortError> {
        Gateway::devices(&self.client).await
    }

    async fn channels(&self, device: &DeviceIndex) -> Result<Vec<GatewayChannel>, PortError> {
        Gateway::channels(&self.client, device).await
    }

    async fn live_url(&self, key: &ChannelKey) -> Result<String, PortError> {
        Gateway::live_url(&self.client, key).await
    }
}

fn platform(map: &PlatformPorts) -> PortMap {
    PortMap {
        enabled: map.enabled,
        addresses: map
            .addresses
            .iter()
            .map(|address| address.external_ip_address.clone())
            .collect(),
        straight: map.ports.iter().all(is_straight),
    }
}

fn devices(map: &DevicePorts) -> PortMap {
    let straight = map.ports.iter().all(|entry| {
        let range = entry.range.as_ref().is_none_or(|range| {
            (range.min_internal_port, range.max_internal_port)
                == (range.min_external_port, range.max_external_port)
        });
        range && entry.single.as_ref().is_none_or(is_straight)
    });
    PortMap {
        enabled: map.enabled,
        addresses: Vec::new(),
        straight,
    }
}

fn is_straight(pair: &PortPair) -> bool {
    pair.internal_port == pair.external_port
}

/// One address, every port under its own number. Which ports there are is the gateway's business, and what this
/// version does not know stays.
fn straighten(map: &mut PlatformPorts, address: &str) {
    map.enabled = true;
    map.addresses.truncate(1);
    match map.addresses.first_mut() {
        Some(first) => address.clone_into(&mut first.external_ip_address),
        None => map.addresses.push(ExternalAddress {
            external_ip_address: address.to_owned(),
            other: Map::new(),
        }),
    }
    for pair in &mut map.ports {
        pair.external_port = pair.internal_port;
    }
}

fn straighten_devices(map: &mut DevicePorts) {
    map.enabled = true;
    for entry in &mut map.ports {
        if let Some(single) = &mut entry.single {
            single.external_port = single.internal_port;
        }
        if let Some(range) = &mut entry.range {
            range.min_external_port = range.min_internal_port;
            range.max_external_port = range.max_internal_port;
        }
    }
}
