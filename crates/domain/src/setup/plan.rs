//! Desired against observed configuration.

use super::{Change, Clock, Configuration, PortMap, SetupPolicy};
use jiff::Timestamp;
use std::fmt;

/// What differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is to be changed, in this order.
    pub differences: Vec<Difference>,
    /// What only a person can change, in words.
    pub by_hand: Vec<String>,
}

/// One setting that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How it is now, in words.
    pub is: String,
    /// What makes it right.
    pub change: Change,
}

/// Compares. A configuration that is as wanted gives an empty plan.
pub fn plan(policy: &SetupPolicy, observed: &Configuration, now: Timestamp) -> Plan {
    let wanted = &policy.wanted;
    let mut differences = Vec::new();
    if let Some(name) = wanted.name.as_ref().filter(|name| **name != observed.name) {
        differences.push(Difference {
            is: format!("it is named `{}`", observed.name.escape_debug()),
            change: Change::Name(name.clone()),
        });
    }
    differences.extend(clock(policy, &observed.clock, now));
    if let Some(address) = &wanted.external_address {
        let only_there = observed.platform_ports.addresses == [address.as_str()];
        if !(observed.platform_ports.is_straight() && only_there) {
            differences.push(Difference {
                is: format!("its own ports: {}", observed.platform_ports),
                change: Change::PlatformPorts {
                    address: address.clone(),
                },
            });
        }
        if !observed.device_ports.is_straight() {
            differences.push(Difference {
                is: format!("the devices' ports: {}", observed.device_ports),
                change: Change::DevicePorts,
            });
        }
    }
    let by_hand = match observed.alarm_forwarding {
        Some(false) => vec![
            "alarm forwarding is off, so no event of a device arrives: switch it on in the gateway's web page".into(),
        ],
        Some(true) | None => Vec::new(),
    };
    Plan { differences, by_hand }
}

fn clock(policy: &SetupPolicy, observed: &Clock, now: Timestamp) -> Option<Difference> {
    let wanted = policy.wanted.clock?;
    let off_by = observed.instant.duration_since(now);
    let runs_wrong = !wanted.ntp && off_by.abs() > policy.clock_tolerance;
    let differs = observed.utc_offset != wanted.utc_offset || observed.ntp != wanted.ntp;
    (differs || runs_wrong).then(|| Difference {
        is: format!("its clock: {observed}, {:.0} s off", off_by.as_secs_f64()),
        change: Change::Clock(Clock {
            instant: now,
            utc_offset: wanted.utc_offset,
            ntp: wanted.ntp,
        }),
    })
}

impl Plan {
    /// Whether nothing has to be changed.
    pub fn is_in_order(&self) -> bool {
        self.differences.is_empty()
    }
}

impl PortMap {
    fn is_straight(&self) -> bool {
        self.enabled && self.straight
    }
}

impl fmt::Display for PortMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.enabled { "mapped" } else { "not mapped" })?;
        if !self.straight {
            f.write_str(" under other numbers")?;
        }
        if !self.addresses.is_empty() {
            write!(f, ", to {}", self.addresses.join(" "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.ntp { "a time server" } else { "hand" };
        write!(f, "UTC{}, kept by {who}", self.utc_offset)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.differences {
            let restart = if difference.change.needs_restart() {
                " (restart)"
            } else {
                ""
            };
            writeln!(f, "{}{restart}: {}", difference.change, difference.is)?;
        }
        for note in &self.by_hand {
            writeln!(f, "by hand: {note}")?;
        }
        Ok(())
    }
}
