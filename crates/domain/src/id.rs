//! The names things go by. All are opaque: compared exactly as given, never parsed for meaning.

use crate::encoding::{percent_decoded, percent_encoded};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! opaque_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the name exactly as given.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name exactly as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }
    };
}

opaque_name! {
    /// The gateway's name of a device (`devIndex`): a UUID as a rule, with or without dashes.
    DeviceIndex
}
opaque_name! {
    /// The gateway's id of one video input of a device. A number as a rule; not a position: an NVR may have 1, 2, 5.
    ChannelId
}
opaque_name! {
    /// The name of one running recorder: an ECS task ARN on AWS, a process name on one machine.
    TaskArn
}
opaque_name! {
    /// The host's name of one instance.
    InstanceId
}
opaque_name! {
    /// The host's name of one image.
    ImageId
}

impl TaskArn {
    /// A name for the task's folder: encoded like [`ChannelKey::prefix`], so that no ARN escapes its parent.
    pub fn folder(&self) -> String {
        encode(&self.0)
    }

    /// Reads what [`TaskArn::folder`] wrote; `None` for anything else.
    pub fn from_folder(name: &str) -> Option<Self> {
        let task = Self::new(percent_decoded(name)?);
        (task.folder() == name).then_some(task)
    }
}

/// One video input: the key of nearly every row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelKey {
    /// The device it belongs to.
    pub device: DeviceIndex,
    /// Which of the device's inputs.
    pub channel: ChannelId,
}

impl ChannelKey {
    /// Joins a device and one of its inputs.
    pub fn new(device: impl Into<DeviceIndex>, channel: impl Into<ChannelId>) -> Self {
        Self {
            device: device.into(),
            channel: channel.into(),
        }
    }

    /// The archive prefix `{deviceIndex}/{channel}`, without a trailing slash. Bytes outside
    /// `A-Z a-z 0-9 - _ .` are percent-encoded and a leading dot too, so that an opaque name can neither
    /// escape a folder nor collide with another name.
    pub fn prefix(&self) -> String {
        format!(
            "{}/{}",
            encode(self.device.as_str()),
            encode(self.channel.as_str())
        )
    }

    /// Reads what [`ChannelKey::prefix`] wrote; `None` for anything else.
    pub fn from_prefix(prefix: &str) -> Option<Self> {
        let (device, channel) = prefix.split_once('/')?;
        let key = Self::new(
            percent_decoded(device)?.as_str(),
            percent_decoded(channel)?.as_str(),
        );
        (key.prefix() == prefix).then_some(key)
    }
}

impl fmt::Display for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.device, self.channel))
    }
}

/// The text a `deviceIndex/channel` argument failed on.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not `deviceIndex/channel`")]
pub struct NotAChannelKey(String);

impl FromStr for ChannelKey {
    type Err = NotAChannelKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.rsplit_once('/') {
            Some((device, channel)) if !device.is_empty() && !channel.is_empty() => {
                Ok(Self::new(device, channel))
            }
            _ => Err(NotAChannelKey(text.to_owned())),
        }
    }
}

/// Counts the assignments of a channel. The fence: of two recorders of one channel only the one with the
/// current generation may report, and segments of different generations never share a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// Of segments that no assignment recorded: they were fetched from the device's own storage. Assignments begin
    /// with 1.
    pub const BACKFILL: Self = Self(0);

    /// The generation after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn encode(name: &str) -> String {
    percent_encoded(name, |place, byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || byte == b'.' && place > 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_name_survives_the_archive_prefix(device in ".+", channel in ".+") {
            let key = ChannelKey::new(device.as_str(), channel.as_str());
            prop_assert_eq!(ChannelKey::from_prefix(&key.prefix()), Some(key));
        }

        #[test]
        fn any_task_survives_its_folder(arn in ".+") {
            let task = TaskArn::new(arn);
            prop_assert!(!task.folder().contains('/') && !task.folder().starts_with('.'));
            prop_assert_eq!(TaskArn::from_folder(&task.folder()), Some(task));
        }

        #[test]
        fn a_prefix_never_escapes_its_folder(device in "[./%a]{1,6}", channel in "[./%a]{1,6}") {
            let prefix = ChannelKey::new(device.as_str(), channel.as_str()).prefix();
            prop_assert_eq!(prefix.matches('/').count(), 1);
            prop_assert!(prefix.split('/').all(|part| !part.starts_with('.')));
        }
    }
}
