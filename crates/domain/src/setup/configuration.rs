//! A gateway's configuration as it is, and the changes there are.

use jiff::Timestamp;
use jiff::tz::Offset;
use std::fmt;

/// Who a gateway says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The operator's name of it.
    pub name: String,
    /// `DS-GWAS0101` for a Hik Device Gateway.
    pub model: String,
    /// Its software's version.
    pub firmware_version: String,
}

/// What setup cares about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The operator's name of the gateway.
    pub name: String,
    /// Its clock.
    pub clock: Clock,
    /// How its own ports (HTTP, HTTPS, RTSP) appear outside.
    pub platform_ports: PortMap,
    /// How the ports devices register with and send media to appear outside.
    pub device_ports: PortMap,
    /// Whether alarms of devices are forwarded to who subscribes; `None` when it cannot be told. The API has no
    /// call to switch it, so it is only reported.
    pub alarm_forwarding: Option<bool>,
}

/// The gateway's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// What it showed.
    pub instant: Timestamp,
    /// Its time zone, as the offset in force.
    pub utc_offset: Offset,
    /// Whether a time server sets it.
    pub ntp: bool,
}

/// A port map, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMap {
    /// Whether it is in force.
    pub enabled: bool,
    /// The external addresses it names; empty for a map without addresses of its own.
    pub addresses: Vec<String>,
    /// Whether every port appears outside under its own number.
    pub straight: bool,
}

/// One setting to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Name the gateway.
    Name(String),
    /// Set the clock: time, offset and who sets it from now on.
    Clock(Clock),
    /// Map the gateway's own ports straight to this address.
    PlatformPorts {
        /// The public address.
        address: String,
    },
    /// Map the devices' ports straight.
    DevicePorts,
}

impl Change {
    /// Whether it takes effect only after a restart of the gateway's software (vendor's guide, `PortMaps`).
    pub fn needs_restart(&self) -> bool {
        match self {
            Self::Name(_) | Self::Clock(_) => false,
            Self::PlatformPorts { .. } | Self::DevicePorts => true,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "name the gateway `{}`", name.escape_debug()),
            Self::Clock(clock) => write!(f, "set the clock to {clock}"),
            Self::PlatformPorts { address } => write!(f, "map the gateway's own ports to {address}"),
            Self::DevicePorts => f.write_str("map the devices' ports"),
        }
    }
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It has.
    Now,
    /// After the next restart.
    AfterRestart,
}
