//! The cast of the demo and what befalls it.

use domain::settings::{Audio, OwnSettings};
use domain::{ChannelKey, GapCause};
use serde::Serialize;
use simulator::media::{AudioCodec, Codec, LoopSpec};
use simulator::rtsp::StreamFault;
use simulator::scenario::{ChannelSpec, DeviceSpec, DeviceStatus};
use simulator::{Operation, Scenario};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// The camera nothing happens to, but that its stream moves.
pub(super) const GATE: &str = "38941127-49B5-44B3-84FC-219747AFF04E";
const YARD: &str = "E1554DB4-3F60-465D-82CF-45D3740A3D92";
const DEPOT_NVR: &str = "7C9E6679-7425-40DE-944B-E07FC1F90AE7";
const SHED: &str = "16FD2706-8BAF-433B-82EB-8C7FADA847DA";
const LAB: &str = "F47AC10B-58CC-4372-A567-0E02B2C3D479";
const TRUCK: &str = "9B2D4A10-0F5C-4E8B-9C3A-5D1E7F60A2B4";

/// Short, so that a minute has many.
pub(super) const SEGMENT_SECONDS: NonZeroU32 = NonZeroU32::new(5).expect("5 is not zero");

/// What happens when, and what should come of it.
#[derive(Debug)]
pub(super) struct Script {
    /// By their time.
    pub(super) steps: Vec<Step>,
    pub(super) troubles: Vec<Trouble>,
}

/// One event.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) at_seconds: u32,
    pub(super) said: &'static str,
    pub(super) act: Act,
}

/// What is done.
#[derive(Debug)]
pub(super) enum Act {
    Simulator(Vec<Operation>),
    KillRecorderOf(ChannelKey),
}

/// A hole the script makes, and the causes that would be right for it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trouble {
    pub(super) channel: ChannelKey,
    pub(super) what: &'static str,
    #[serde(skip)]
    pub(super) is_right: fn(GapCause) -> bool,
    /// The repair may be so quick that less than the shortest gap is lost.
    pub(super) may_be_nothing: bool,
}

/// The settings some channels have of their own: sound that needs ffmpeg.
pub(super) fn settings() -> BTreeMap<ChannelKey, OwnSettings> {
    let sound = OwnSettings {
        audio: Some(Audio::Aac),
        ..OwnSettings::default()
    };
    BTreeMap::from([(ChannelKey::new(LAB, "1"), sound)])
}

impl Script {
    /// The script, stretched to a length; 30 s is the least it fits into.
    pub(super) fn of_length(seconds: u32) -> Self {
        let part = |percent: u32| seconds * percent / 100;
        let video = |device: &str, channel: u32, fault| Operation::StreamFault {
            device: device.to_owned(),
            channel: Some(channel.into()),
            fault,
        };
        let status = |status| Operation::SetStatus {
            device: SHED.to_owned(),
            status,
            hint: Some(3),
        };
        let freeze = part(20);
        let mut steps = vec![
            step(
                part(12),
                "A new camera registers: TRUCK.",
                vec![Operation::AddDevice { device: truck() }],
            ),
            step(
                freeze,
                "YARD's stream freezes: connected, but silent.",
                vec![video(YARD, 1, Some(StreamFault::Freeze))],
            ),
            step(
                part(25),
                "DEPOT channel 2's stream is cut for 5 s.",
                vec![video(DEPOT_NVR, 2, Some(StreamFault::Drop))],
            ),
            step(
                part(25) + 5,
                "DEPOT channel 2's stream can be had again.",
                vec![video(DEPOT_NVR, 2, None)],
            ),
            step(
                part(30),
                "SHED goes offline.",
                vec![status(DeviceStatus::Offline)],
            ),
            step(
                freeze + 10,
                "YARD's stream moves again.",
                vec![video(YARD, 1, None)],
            ),
            step(
                part(40),
                "GATE is listed as offline for one poll: a flap, nothing should happen.",
                vec![Operation::Flap {
                    device: GATE.to_owned(),
                    lists: 1,
                }],
            ),
            Step {
                at_seconds: part(50),
                said: "The recorder of DEPOT channel 5 is killed (kill -9).",
                act: Act::KillRecorderOf(ChannelKey::new(DEPOT_NVR, "5")),
            },
            step(
                part(62),
                "GATE's stream moves to another URL.",
                vec![Operation::MoveStream {
                    device: GATE.to_owned(),
                    channel: 1.into(),
                }],
            ),
            step(
                part(70),
                "SHED is online again.",
                vec![status(DeviceStatus::Online)],
            ),
        ];
        steps.sort_by_key(|step| step.at_seconds);
        Self {
            steps,
            troubles: troubles(),
        }
    }

    /// The gateway and its devices at the start.
    pub(super) fn scenario(&self) -> Scenario {
        let mut shed = camera(SHED, "SHED", Codec::H264, None);
        shed.recorded_hours = 0;
        let mut nvr = DeviceSpec::camera(DEPOT_NVR, "DEPOT (склад)");
        nvr.channels = [1, 2, 5].map(|id| channel(id, Codec::H264, None)).to_vec();
        let mut door = DeviceSpec::camera("0E02B2C3-D479-4372-A567-58CCF47AC10B", "DOOR");
        door.status = DeviceStatus::Offline;
        door.offline_hint = Some(1);
        door.channels = vec![channel(1, Codec::H264, None)];
        Scenario::with_devices([
            camera(GATE, "GATE", Codec::H264, Some(AudioCodec::Aac)),
            camera(YARD, "YARD", Codec::H265, None),
            nvr,
            shed,
            camera(LAB, "LAB", Codec::H264, Some(AudioCodec::PcmMu)),
            door,
        ])
    }
}

fn step(at_seconds: u32, said: &'static str, operations: Vec<Operation>) -> Step {
    Step {
        at_seconds,
        said,
        act: Act::Simulator(operations),
    }
}

fn troubles() -> Vec<Trouble> {
    use GapCause::{
        DeviceOffline, GatewayDown, Network, RecorderMoved, RecorderRestarted, StreamRefused, StreamStalled,
    };
    let trouble = |device, channel, what, is_right| {
        let channel = ChannelKey::new(device, channel);
        Trouble {
            channel,
            what,
            is_right,
            may_be_nothing: false,
        }
    };
    let killed = trouble(DEPOT_NVR, "5", "its recorder killed", |cause| {
        matches!(cause, RecorderRestarted | RecorderMoved)
    });
    vec![
        trouble(YARD, "1", "frozen for 10 s", |cause| cause == StreamStalled),
        trouble(DEPOT_NVR, "2", "cut for 5 s", |cause| {
            matches!(cause, Network | StreamRefused | GatewayDown)
        }),
        trouble(SHED, "1", "offline for a while", |cause| {
            matches!(cause, DeviceOffline(_))
        }),
        Trouble {
            may_be_nothing: true,
            ..killed
        },
    ]
}

fn truck() -> DeviceSpec {
    camera(TRUCK, "TRUCK", Codec::H264, None)
}

fn camera(index: &str, name: &str, codec: Codec, sound: Option<AudioCodec>) -> DeviceSpec {
    DeviceSpec {
        channels: vec![channel(1, codec, sound)],
        ..DeviceSpec::camera(index, name)
    }
}

fn channel(id: u32, codec: Codec, audio: Option<AudioCodec>) -> ChannelSpec {
    // Half a minute of video, repeated: encoding it is most of what the demo waits for.
    let video = LoopSpec {
        codec,
        width: 640,
        height: 360,
        bit_rate_kbps: 300,
        ..LoopSpec::default()
    };
    ChannelSpec {
        video,
        audio,
        ..ChannelSpec::new(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_gives_steps_in_order_and_time_to_recover() {
        for seconds in [30, 60, 3600] {
            let script = Script::of_length(seconds);
            assert!(script.steps.is_sorted_by_key(|step| step.at_seconds), "{seconds}");
            assert!(
                script.steps.iter().all(|step| step.at_seconds + 5 < seconds),
                "{seconds}"
            );
            script.scenario().validate().unwrap();
        }
    }
}
