//! What is seen of the gateway, and what of it is a symptom.

use super::{LadderPolicy, Rung};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One look at the gateway from all sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// Its API.
    pub endpoint: EndpointLook,
    /// Its instance.
    pub instance: InstanceLook,
    /// The devices registered with it.
    pub devices: DevicesLook,
    /// What arrives of it in the archive: the truth that counts.
    pub archive: ArchiveLook,
}

/// What the gateway's API said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "because")]
pub enum EndpointLook {
    /// It answered and let us in.
    Well,
    /// No answer, or none that makes sense.
    Silent(String),
    /// It refuses the password, has locked the account, or is not asked any more for that reason.
    ShutOut(String),
    /// Something else answers there.
    Stranger(String),
}

/// What the host said of the gateway's instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceLook {
    /// The host could not be asked, or there is none to ask.
    Unknown,
    /// It runs, and no check of the host failed.
    Sound,
    /// On its way up or down.
    Changing,
    /// The hardware or network below it fails.
    SystemFailed,
    /// Its operating system fails.
    SoftwareFailed,
    /// It is down.
    Stopped,
    /// It was terminated.
    Gone,
}

/// What the device list said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DevicesLook {
    /// There was no list to believe.
    Unknown,
    /// So many devices are listed, so many of them online.
    Listed {
        /// All of them.
        devices: usize,
        /// Of them online or asleep.
        online: usize,
    },
}

/// Whether wanted channels arrive in the archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveLook {
    /// Channels that should be recorded and could be looked at.
    pub wanted: usize,
    /// Of them those whose newest segment is too old and whose recorder is alive and says that it gets no video:
    /// the only kind the gateway can be blamed for.
    pub no_video: usize,
}

/// Why the gateway is ill; the first is the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Symptom {
    /// Its instance was terminated.
    Gone,
    /// Its instance is down.
    Stopped,
    /// The hardware or network below its instance fails.
    SystemFailed,
    /// The operating system of its instance fails.
    SoftwareFailed,
    /// Its API does not answer.
    Silent,
    /// All devices are offline at once.
    AllOffline,
    /// No wanted channel gets video, though its recorders live.
    NoVideo,
}

impl Look {
    /// The gravest symptom, if there is any.
    pub fn symptom(&self, policy: &LadderPolicy) -> Option<Symptom> {
        let instance = match self.instance {
            InstanceLook::Gone => Some(Symptom::Gone),
            InstanceLook::Stopped => Some(Symptom::Stopped),
            InstanceLook::SystemFailed => Some(Symptom::SystemFailed),
            InstanceLook::SoftwareFailed => Some(Symptom::SoftwareFailed),
            InstanceLook::Unknown | InstanceLook::Sound | InstanceLook::Changing => None,
        };
        instance
            .or_else(|| matches!(self.endpoint, EndpointLook::Silent(_)).then_some(Symptom::Silent))
            .or_else(|| self.devices.all_offline(policy).then_some(Symptom::AllOffline))
            .or_else(|| self.is_no_video(policy).then_some(Symptom::NoVideo))
    }

    /// A gateway that does not let recorders in either, or is another's, is not to blame for their silence.
    fn is_no_video(&self, policy: &LadderPolicy) -> bool {
        let lets_us_in = match self.endpoint {
            EndpointLook::Well => true,
            EndpointLook::Silent(_) | EndpointLook::ShutOut(_) | EndpointLook::Stranger(_) => false,
        };
        lets_us_in && self.archive.no_video(policy)
    }
}

impl DevicesLook {
    fn all_offline(self, policy: &LadderPolicy) -> bool {
        match self {
            Self::Unknown => false,
            Self::Listed { devices, online } => devices >= policy.devices_min.max(1) && online == 0,
        }
    }
}

impl ArchiveLook {
    fn no_video(self, policy: &LadderPolicy) -> bool {
        self.wanted >= policy.channels_min.max(1) && self.no_video == self.wanted
    }
}

impl Symptom {
    /// The mildest step that could help.
    pub fn first_rung(self) -> Rung {
        match self {
            Self::Gone => Rung::Replace,
            Self::Stopped | Self::SystemFailed => Rung::StopStart,
            Self::SoftwareFailed => Rung::Reboot,
            Self::Silent | Self::AllOffline | Self::NoVideo => Rung::Restart,
        }
    }

    /// The step beyond which more would be no help: cameras that are all away, or streams that all fail, have
    /// causes outside the gateway too, and another gateway would not bring them back.
    pub fn last_rung(self) -> Rung {
        match self {
            Self::Gone | Self::Stopped | Self::SystemFailed | Self::SoftwareFailed | Self::Silent => {
                Rung::Replace
            }
            Self::AllOffline | Self::NoVideo => Rung::Reboot,
        }
    }

    /// Whether the host itself said so.
    pub(super) fn is_hosts_word(self) -> bool {
        match self {
            Self::Gone | Self::Stopped | Self::SystemFailed => true,
            Self::SoftwareFailed | Self::Silent | Self::AllOffline | Self::NoVideo => false,
        }
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "its instance was terminated",
            Self::Stopped => "its instance is stopped",
            Self::SystemFailed => "the hardware or network below its instance fails",
            Self::SoftwareFailed => "the operating system of its instance fails",
            Self::Silent => "its API does not answer",
            Self::AllOffline => "all devices are offline at once",
            Self::NoVideo => "no channel gets video",
        })
    }
}
