//! The two port maps. They are kept as JSON because a client must send back what it does not know.

use crate::reply::Refusal;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Which map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortMap {
    /// `PortMaps/contentMgmt`: how clients reach the gateway.
    Platform,
    /// `PortMaps/devMgmt`: how devices reach it.
    Devices,
}

/// Both maps: as stored and, after the next reboot, as used.
#[derive(Debug)]
pub(crate) struct PortMaps {
    platform: Value,
    devices: Value,
    platform_in_use: Value,
    lost_fields: u64,
}

/// The documented leaves, which a client may change. All others must come back as they were.
const WRITABLE: [&str; 8] = [
    "enabled",
    "externalIPAddress",
    "internalPort",
    "externalPort",
    "minInternalPort",
    "maxInternalPort",
    "minExternalPort",
    "maxExternalPort",
];

/// The documented lists of variable length.
const RESIZABLE: [&str; 1] = ["AddrList"];

impl PortMaps {
    pub(crate) fn new(api: SocketAddr, rtsp: SocketAddr) -> Self {
        let platform = platform_default(api, rtsp);
        Self {
            platform_in_use: platform.clone(),
            platform,
            devices: devices_default(),
            lost_fields: 0,
        }
    }

    pub(crate) fn get(&self, map: PortMap) -> &Value {
        match map {
            PortMap::Platform => &self.platform,
            PortMap::Devices => &self.devices,
        }
    }

    /// Stores a map; it is used after the next reboot.
    pub(crate) fn put(&mut self, map: PortMap, new: Value) -> Result<(), Refusal> {
        let old = match map {
            PortMap::Platform => &mut self.platform,
            PortMap::Devices => &mut self.devices,
        };
        if let Err(difference) = compare(old, &new, "") {
            self.lost_fields += 1;
            return Err(Refusal::bad_parameters(difference));
        }
        *old = new;
        Ok(())
    }

    /// Writes that were refused because something unknown did not come back unchanged.
    pub(crate) fn lost_fields(&self) -> u64 {
        self.lost_fields
    }

    /// A reboot: what is stored is used from now on.
    pub(crate) fn apply(&mut self) {
        self.platform_in_use = self.platform.clone();
    }

    /// Host and port of a stream URL: the external ones once the map is on, else those RTSP listens on.
    pub(crate) fn rtsp_authority(&self, rtsp: SocketAddr) -> String {
        let map = &self.platform_in_use["MgmtPortMaps"];
        let external = map["AddrList"][0]["externalIPAddress"].as_str();
        let (Some(true), Some(host)) = (map["enabled"].as_bool(), external.filter(|host| !host.is_empty()))
        else {
            return rtsp.to_string();
        };
        let entries = map["PortList"].as_array().map_or(&[][..], Vec::as_slice);
        let mapped = entries
            .iter()
            .find(|entry| entry["internalPort"] == rtsp.port())
            .and_then(|entry| entry["externalPort"].as_u64());
        format!("{host}:{}", mapped.unwrap_or(u64::from(rtsp.port())))
    }
}

/// Whether `new` is `old` with other values of the documented leaves.
fn compare(old: &Value, new: &Value, at: &str) -> Result<(), String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in old {
                let at = format!("{at}/{name}");
                let Some(new) = new.get(name) else {
                    return Err(format!("{at} is missing"));
                };
                compare(value, new, &at)?;
            }
            Ok(())
        }
        (Value::Array(old), Value::Array(new)) => {
            if old.len() != new.len() && !RESIZABLE.contains(&leaf(at)) {
                return Err(format!("{at} has {} entries, not {}", new.len(), old.len()));
            }
            let mut pairs = old.iter().zip(new).enumerate();
            pairs.try_for_each(|(i, (old, new))| compare(old, new, &format!("{at}/{i}")))
        }
        (old, new) if WRITABLE.contains(&leaf(at)) => same_type(old, new)
            .then_some(())
            .ok_or_else(|| format!("{at} is of another type")),
        (old, new) if old == new => Ok(()),
        (_old, _new) => Err(format!("{at} did not come back unchanged")),
    }
}

fn leaf(at: &str) -> &str {
    at.rsplit('/').next().unwrap_or(at)
}

fn same_type(old: &Value, new: &Value) -> bool {
    (old.is_boolean() && new.is_boolean())
        || (old.is_string() && new.is_string())
        || (old.is_u64() && new.as_u64().is_some_and(|port| (1..=65_535).contains(&port)))
}

/// The map of a fresh gateway, off, with a few fields no document names.
fn platform_default(api: SocketAddr, rtsp: SocketAddr) -> Value {
    let entry = |port: u16, name: &str| json!({"internalPort": port, "externalPort": port, "service": name});
    json!({"MgmtPortMaps": {
        "enabled": false,
        "mappingMode": "manual",
        "AddrList": [{"externalIPAddress": "", "addressType": "ipv4"}],
        "PortList": [entry(api.port(), "HTTP"), entry(443, "HTTPS"), entry(rtsp.port(), "RTSP")],
    }})
}

/// Seven entries, the third a range, as documented.
fn devices_default() -> Value {
    let single = |port: u16| json!({"Single": {"internalPort": port, "externalPort": port}});
    let range = json!({"Range": {
        "minInternalPort": 15_000, "maxInternalPort": 17_000,
        "minExternalPort": 15_000, "maxExternalPort": 17_000, "transport": "both",
    }});
    let entries = [
        single(7660),
        single(7661),
        range,
        single(7662),
        single(7663),
        single(7664),
        single(7665),
    ];
    json!({"DevPortMaps": {"enabled": false, "keepAliveInterval": 15, "PortList": entries}})
}
