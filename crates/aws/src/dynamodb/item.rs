//! Items: attributes of Rust values and back.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::ChannelKey;
use domain::ports::PortError;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

const DEVICE: &str = "deviceIndex";
const CHANNEL: &str = "channel";

pub(super) type Item = HashMap<String, AttributeValue>;

/// The attribute of a value that serde knows.
pub(super) fn attribute<T: Serialize>(value: &T, doing: &str) -> Result<AttributeValue, PortError> {
    serde_dynamo::to_attribute_value(value).map_err(|error| PortError::refused(doing, error))
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A time as text whose order is the order of times from the year 0 on: always nine digits of a second, in UTC.
pub(super) fn sortable(at: Timestamp) -> String {
    format!("{at:.9}")
}

pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// An attribute's name and value.
pub(super) type Pair = (&'static str, AttributeValue);

/// The key of a row: its hash, and its range if the table has one.
pub(super) struct Key {
    pub(super) hash: Pair,
    range: Option<Pair>,
}

impl Key {
    pub(super) fn of_channel(key: &ChannelKey) -> Self {
        Self {
            hash: (DEVICE, text(key.device.as_str())),
            range: Some((CHANNEL, text(key.channel.as_str()))),
        }
    }

    pub(super) fn of_interval(key: &ChannelKey, start: Timestamp) -> Self {
        Self {
            hash: ("channelKey", text(key.prefix())),
            range: Some(("start", text(sortable(start)))),
        }
    }

    pub(super) fn of_name(name: &str) -> Self {
        Self {
            hash: ("name", text(name)),
            range: None,
        }
    }

    pub(super) fn into_item(self) -> Item {
        let pairs = [Some(self.hash), self.range].into_iter().flatten();
        pairs.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// A stored row that is being read, attribute by attribute.
pub(super) struct Row {
    /// Table and key, for reports.
    what: String,
    item: Item,
}

impl Row {
    pub(super) fn new(what: String, item: Item) -> Self {
        Self { what, item }
    }

    /// A row of `table` and its channel.
    ///
    /// # Errors
    /// Refused when the table's keys are not those of channels.
    pub(super) fn of_channel(table: &str, item: Item) -> Result<(ChannelKey, Self), PortError> {
        let part = |name: &str| item.get(name)?.as_s().ok().cloned();
        let Some((device, channel)) = part(DEVICE).zip(part(CHANNEL)) else {
            return Err(PortError::refused(
                format!("reading a row of the table `{table}`"),
                "its key is not `deviceIndex` and `channel`: is this the right table?",
            ));
        };
        let key = ChannelKey::new(device.as_str(), channel.as_str());
        Ok((key.clone(), Self::new(format!("{table} {key}"), item)))
    }

    /// An attribute that may be absent. One that does not read is reported and as good as absent.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.item.remove(name)?;
        match serde_dynamo::from_attribute_value(value) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(row = self.what, attribute = name, %error, "an attribute does not read");
                None
            }
        }
    }

    /// An attribute that every row has. Its absence is reported too.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        if !self.item.contains_key(name) {
            tracing::warn!(row = self.what, attribute = name, "an attribute is missing");
        }
        self.optional(name)
    }

    /// An attribute that every row has, or the type's default in its place.
    pub(super) fn or_default<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        self.required(name).unwrap_or_default()
    }
}
