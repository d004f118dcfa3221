//! Port maps: how ports of the gateway behind a router appear outside.
//!
//! A map that is read, changed and written back loses nothing: what this version does not know is kept at
//! every level and sent as it came, and lists keep their order.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The answer of `PortMaps/contentMgmt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlatformPortMap {
    /// The map.
    #[serde(rename = "MgmtPortMaps")]
    pub map: PlatformPorts,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How the gateway's own ports (80, 443, 554) appear outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlatformPorts {
    /// Whether the map is in force. Stream URLs then name the external address.
    pub enabled: bool,
    /// The addresses it appears under.
    #[serde(rename = "AddrList", default, deserialize_with = "null_is_empty")]
    pub addresses: Vec<ExternalAddress>,
    /// Its ports.
    #[serde(rename = "PortList", default, deserialize_with = "null_is_empty")]
    pub ports: Vec<PortPair>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An address the gateway appears under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAddress {
    /// IPv4 address or name.
    #[serde(rename = "externalIPAddress")]
    pub external_ip_address: String,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One port inside and outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortPair {
    /// The port the gateway listens on.
    pub internal_port: u16,
    /// The port it appears as.
    pub external_port: u16,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The answer of `PortMaps/devMgmt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DevicePortMap {
    /// The map.
    #[serde(rename = "DevPortMaps")]
    pub map: DevicePorts,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How the ports devices register with (7660 to 7667) and send media to (15000 to 17000) appear outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DevicePorts {
    /// Whether the map is in force.
    pub enabled: bool,
    /// Seven entries whose order says what they are for; the third is a range as a rule.
    #[serde(rename = "PortList", default, deserialize_with = "null_is_empty")]
    pub ports: Vec<DevicePortEntry>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A port or a range of ports; neither in an entry of a kind this version does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DevicePortEntry {
    /// One port.
    #[serde(rename = "Single", default, skip_serializing_if = "Option::is_none")]
    pub single: Option<PortPair>,
    /// Ports in a row.
    #[serde(rename = "Range", default, skip_serializing_if = "Option::is_none")]
    pub range: Option<PortRange>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Ports in a row, inside and outside, both ends included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortRange {
    /// The first port inside.
    pub min_internal_port: u16,
    /// The last port inside.
    pub max_internal_port: u16,
    /// The first port outside.
    pub min_external_port: u16,
    /// The last port outside.
    pub max_external_port: u16,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    /// Fields no version knows, at any level.
    fn unknown() -> impl Strategy<Value = Map<String, Value>> {
        let value = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            Just(Value::Null),
            Just(json!({"deep": [{"er": 1.5}, null, "x"]})),
        ];
        vec(("x[a-zA-Z]{0,5}", value), 0..3).prop_map(|fields| fields.into_iter().collect())
    }

    fn with(mut object: Value, extra: &Map<String, Value>) -> Value {
        let fields = object.as_object_mut().unwrap();
        extra
            .iter()
            .for_each(|(name, value)| drop(fields.insert(name.clone(), value.clone())));
        object
    }

    fn pair(ports: (u16, u16), extra: &Map<String, Value>) -> Value {
        with(json!({"internalPort": ports.0, "externalPort": ports.1}), extra)
    }

    proptest! {
        #[test]
        fn a_platform_map_comes_back_as_it_was_at_every_level(
            ports in vec(any::<(u16, u16)>(), 0..4), address in ".{0,12}", a in unknown(), b in unknown(), c in unknown(),
        ) {
            let ports: Vec<_> = ports.into_iter().map(|p| pair(p, &a)).collect();
            let inner = json!({"enabled": true, "PortList": ports,
                "AddrList": [with(json!({"externalIPAddress": address}), &b)]});
            let sample = with(json!({"MgmtPortMaps": with(inner, &c)}), &a);
            let map: PlatformPortMap = serde_json::from_value(sample.clone()).unwrap();
            prop_assert_eq!(serde_json::to_value(map).unwrap(), sample);
        }

        #[test]
        fn a_device_map_comes_back_as_it_was_in_its_order(
            singles in vec(any::<(u16, u16)>(), 0..7), at in any::<prop::sample::Index>(),
            a in unknown(), b in unknown(), c in unknown(),
        ) {
            let mut entries: Vec<_> = singles.into_iter().map(|p| with(json!({"Single": pair(p, &a)}), &b)).collect();
            let range = with(json!({"minInternalPort": 15000, "maxInternalPort": 17000,
                "minExternalPort": 15000, "maxExternalPort": 17000}), &c);
            entries.insert(at.index(entries.len() + 1), json!({"Range": range}));
            entries.push(json!({"xTriple": [1, 2, 3]}));
            let sample = with(json!({"DevPortMaps": with(json!({"enabled": false, "PortList": entries}), &a)}), &c);
            let map: DevicePortMap = serde_json::from_value(sample.clone()).unwrap();
            prop_assert_eq!(serde_json::to_value(map).unwrap(), sample);
        }
    }

    #[test]
    fn missing_and_null_lists_are_empty_and_a_map_without_enabled_is_none() {
        let map = |text: &str| serde_json::from_str::<PlatformPortMap>(text);
        assert!(
            map(r#"{"MgmtPortMaps":{"enabled":true,"AddrList":null}}"#)
                .unwrap()
                .map
                .ports
                .is_empty()
        );
        assert!(map(r#"{"MgmtPortMaps":{"AddrList":[]}}"#).is_err());
        assert!(
            map(r#"{"MgmtPortMaps":{"enabled":true,"PortList":[{"internalPort":70000,"externalPort":1}]}}"#)
                .is_err()
        );
    }
}
