//! Everything that can be done to the simulated world while it runs. One type serves the Rust handle, the
//! HTTP control endpoint (as JSON) and the timeline of a scenario (as TOML).

use crate::media::LoopSpec;
use crate::rtsp::StreamFault;
use crate::scenario::{ChannelSpec, DeviceSpec, DeviceStatus, WireId};
use serde::{Deserialize, Serialize};

/// One change or fault. In JSON: `{"op": "set-status", "device": "...", "status": "offline"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "op",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Operation {
    /// A device registers; it is listed last.
    AddDevice {
        /// The device, with its status.
        device: DeviceSpec,
    },
    /// A device is deleted at the gateway; its streams end.
    RemoveDevice {
        /// Its index.
        device: String,
    },
    /// A device goes online, offline or to sleep. Its streams can be had only while it is online.
    SetStatus {
        /// Its index.
        device: String,
        /// The new status.
        status: DeviceStatus,
        /// `offlineHint` from now on.
        #[serde(default)]
        hint: Option<u8>,
    },
    /// The device is listed as offline for a number of device lists (a list begins with position 0) and
    /// then as before. Its streams are not touched: this is what a flap looks like to a recorder.
    Flap {
        /// Its index.
        device: String,
        /// How many lists.
        lists: u32,
    },
    /// A device gets another name.
    RenameDevice {
        /// Its index.
        device: String,
        /// The new name.
        name: String,
    },
    /// A device has other channels from now on; those that stay keep their streams and faults.
    SetChannels {
        /// Its index.
        device: String,
        /// All its channels.
        channels: Vec<ChannelSpec>,
    },
    /// A channel's stream moves to a new URL; the old one dies with its sessions.
    MoveStream {
        /// The device's index.
        device: String,
        /// The channel.
        channel: WireId,
    },
    /// A channel's picture changes (resolution, codec) in the midst of its stream.
    SetVideo {
        /// The device's index.
        device: String,
        /// The channel.
        channel: WireId,
        /// The new picture.
        video: LoopSpec,
    },
    /// A channel's stream fails, or is well again.
    StreamFault {
        /// The device's index.
        device: String,
        /// The channel; none = all of the device.
        #[serde(default)]
        channel: Option<WireId>,
        /// The trouble; none = no trouble.
        #[serde(default)]
        fault: Option<StreamFault>,
    },
    /// The gateway's password is another from now on, as if someone else had changed it.
    SetPassword {
        /// The new password.
        password: String,
    },
    /// The account locks as if too many wrong passwords had been tried.
    Lock {
        /// For how long.
        seconds: u32,
    },
    /// The account is usable again.
    Unlock,
    /// The gateway forgets all nonces: the next use of each is answered `stale=true`.
    ForgetNonces,
    /// The gateway reboots: API and RTSP are gone for `reboot_seconds`.
    Reboot,
    /// The installation is activated, or not.
    SetActivated {
        /// Whether it is.
        on: bool,
    },
    /// Alarm forwarding is switched; without it, subscriptions are refused with 403.
    SetAlarmForwarding {
        /// Whether it is on.
        on: bool,
    },
    /// The API misbehaves on authenticated calls.
    ApiFault {
        /// How.
        fault: ApiFault,
        /// Only for calls whose path contains this text; none = all.
        #[serde(default)]
        path: Option<String>,
        /// For so many calls; none = until cleared.
        #[serde(default)]
        calls: Option<u32>,
    },
    /// Ends all API faults.
    ClearApiFaults,
    /// `heartBeat` events stop while connections stay open, or resume.
    SilenceHeartbeats {
        /// Whether they are silent.
        on: bool,
    },
    /// All event subscribers are told of something.
    SendEvent {
        /// `devIndex`.
        device: String,
        /// `channelID`.
        #[serde(default)]
        channel: Option<WireId>,
        /// `eventType`, such as `VMD`.
        kind: String,
        /// `eventState`: true = `active`.
        active: bool,
        /// `eventDescription`.
        #[serde(default)]
        description: String,
    },
    /// The connections of all event subscribers are cut.
    CutEvents,
}

impl Operation {
    /// Its `op`, for logs: the operation itself may hold a password.
    pub(crate) fn name(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        json["op"].as_str().unwrap_or_default().to_owned()
    }
}

/// How the API misbehaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum ApiFault {
    /// The answer takes longer.
    Slow {
        /// By so much.
        ms: u64,
    },
    /// The call is not carried out; the HTTP status says so, with a page of HTML as a proxy would send.
    Status {
        /// An HTTP status, 400 to 599.
        code: u16,
    },
    /// The call is not carried out; a `ResponseStatus` in an HTTP 200 says why.
    Refuse {
        /// `statusCode`, 2 to 7.
        status_code: u8,
        /// `subStatusCode`.
        sub_status: String,
    },
    /// The call is not carried out: HTTP 503, `Device Busy`.
    DeviceBusy,
    /// The call is not carried out: `Invalid Content`, as some builds answer every `deviceList`.
    InvalidContent,
    /// The call is carried out and answered with random bytes.
    Garbage,
    /// The call is carried out; its answer stops in the middle of the JSON.
    TruncatedJson,
    /// The call is carried out; its answer is followed by spaces without end in sight.
    HugeBody {
        /// The length of the body.
        bytes: u64,
    },
    /// The call is never answered, nor carried out.
    Hang,
    /// The call is carried out; the connection is cut instead of an answer.
    Reset,
    /// The device list is wrong in some way.
    List {
        /// In which way.
        shape: ListFault,
    },
}

/// How a page of the device list is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "is",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum ListFault {
    /// Pages hold fewer devices than asked for although more remain; honest otherwise.
    ShortPages {
        /// The most on a page.
        devices: u32,
    },
    /// Pages are empty from some position on although `totalMatches` promises more.
    EndsEarly {
        /// The first position that is missing.
        position: u32,
    },
    /// No device at all, but the right `totalMatches`.
    EmptyWithTotal,
    /// `totalMatches` is another one on every page.
    ChangingTotal,
    /// The last device of a page is the first of the next, which lacks one device for it.
    DuplicateAcrossPages,
    /// `numOfMatches` is one more than there are entries.
    WrongCount,
}
