//! The devices as they are now, and the streams that follow from that.

use crate::reply::Refusal;
use crate::rtsp::{Kind, StreamFault, StreamSpec};
use crate::scenario::{ChannelSpec, DeviceSpec, DeviceStatus, RecordedSpan, WireId};
use anyhow::{Context, ensure};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// The query of every stream URL. A client that drops it gets nothing: the 2020 system did.
pub(crate) const QUERY: &str = "streamform=rtp";
/// Playback streams kept; the oldest dies beyond it.
const PLAYBACKS_MAX: usize = 256;

/// All devices, in the order of the list.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    devices: Vec<Device>,
    playbacks: VecDeque<Playback>,
    playbacks_opened: u64,
}

/// A device as it is now.
#[derive(Debug)]
pub(crate) struct Device {
    /// What it is; `spec.channels` is empty, see `channels`.
    pub(crate) spec: DeviceSpec,
    pub(crate) channels: Vec<Channel>,
    flaps_left: u32,
    flapping: bool,
}

/// A channel as it is now.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) spec: ChannelSpec,
    pub(crate) fault: Option<StreamFault>,
    moves: u32,
}

#[derive(Debug)]
struct Playback {
    path: String,
    device: String,
    channel: WireId,
    span: RecordedSpan,
}

/// `streamType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamType {
    Main,
    Sub,
    Third,
}

/// A stream that is served or, with `api_only`, only handed out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stream {
    /// What it is.
    pub spec: StreamSpec,
    /// What it suffers from; streams of a device that is not online are dropped.
    pub fault: Option<StreamFault>,
}

impl StreamType {
    const ALL: [Self; 3] = [Self::Main, Self::Sub, Self::Third];

    fn in_path(self) -> &'static str {
        match self {
            Self::Main => "MAIN",
            Self::Sub => "SUB",
            Self::Third => "THIRD",
        }
    }
}

impl Fleet {
    /// The devices of a validated scenario.
    pub(crate) fn new(specs: Vec<DeviceSpec>) -> Self {
        Self {
            devices: specs.into_iter().map(Device::new).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The device of this index, for a call.
    pub(crate) fn find(&self, index: &str) -> Result<&Device, Refusal> {
        self.devices
            .iter()
            .find(|device| device.spec.index == index)
            .ok_or_else(Refusal::no_such_device)
    }

    /// The device of this index, for an operation.
    pub(crate) fn get_mut(&mut self, index: &str) -> anyhow::Result<&mut Device> {
        self.devices
            .iter_mut()
            .find(|device| device.spec.index == index)
            .with_context(|| format!("there is no device `{index}`"))
    }

    /// Lists a device last.
    pub(crate) fn add(&mut self, spec: DeviceSpec) -> anyhow::Result<()> {
        spec.validate()?;
        ensure!(
            self.find(&spec.index).is_err(),
            "there is a device `{}` already",
            spec.index
        );
        self.refuse_ambiguous(&spec)?;
        self.devices.push(Device::new(spec));
        Ok(())
    }

    /// Deletes a device with its streams.
    pub(crate) fn remove(&mut self, index: &str) -> anyhow::Result<()> {
        self.get_mut(index)?;
        self.devices.retain(|device| device.spec.index != index);
        self.playbacks.retain(|playback| playback.device != index);
        Ok(())
    }

    /// Gives a device other channels; those that stay keep their URL and faults.
    pub(crate) fn set_channels(&mut self, index: &str, channels: Vec<ChannelSpec>) -> anyhow::Result<()> {
        let mut spec = self.get_mut(index)?.spec.clone();
        spec.channels = channels;
        spec.validate()?;
        self.refuse_ambiguous(&spec)?;
        let device = self.get_mut(index)?;
        let mut before = std::mem::take(&mut device.channels);
        for spec in spec.channels {
            let known = before.iter().position(|channel| channel.spec.id == spec.id);
            let mut channel = known.map_or_else(|| Channel::new(spec.clone()), |at| before.swap_remove(at));
            channel.spec = spec;
            device.channels.push(channel);
        }
        Ok(())
    }

    /// Begins a new reading of the list: devices that flap are offline in it.
    pub(crate) fn begin_list(&mut self) {
        for device in &mut self.devices {
            device.flapping = device.flaps_left > 0;
            device.flaps_left = device.flaps_left.saturating_sub(1);
        }
    }

    /// Opens a stream of recorded footage and returns its path.
    pub(crate) fn open_playback(&mut self, index: &str, channel: &WireId, span: RecordedSpan) -> String {
        self.playbacks_opened += 1;
        if self.playbacks.len() >= PLAYBACKS_MAX {
            self.playbacks.pop_front();
        }
        let path = format!(
            "/dac/playback/{}/{index}{channel}/MAIN/TCP",
            self.playbacks_opened
        );
        self.playbacks.push_back(Playback {
            path: path.clone(),
            device: index.to_owned(),
            channel: channel.clone(),
            span,
        });
        path
    }

    /// The paths of a device's playbacks that were handed out, ended ones included.
    pub(crate) fn playbacks_of<'a>(&'a self, index: &'a str) -> impl Iterator<Item = &'a str> {
        let playbacks = self.playbacks.iter();
        playbacks
            .filter(move |playback| playback.device == index)
            .map(|playback| playback.path.as_str())
    }

    /// Every stream that should be served now, by path.
    pub(crate) fn streams(&self) -> BTreeMap<String, Stream> {
        let live = self.devices.iter().flat_map(|device| {
            device.channels.iter().flat_map(move |channel| {
                StreamType::ALL.map(|kind| {
                    (
                        device.live_path(channel, kind),
                        device.stream(channel, Kind::Live),
                    )
                })
            })
        });
        let playback = self.playbacks.iter().filter_map(|playback| {
            let device = self.find(&playback.device).ok()?;
            let channel = device.channel(&playback.channel)?;
            let RecordedSpan { start, end } = playback.span;
            Some((
                playback.path.clone(),
                device.stream(channel, Kind::Playback { start, end }),
            ))
        });
        live.chain(playback).collect()
    }

    /// Index and id stand in a URL without a separator: two channels must not read the same.
    fn refuse_ambiguous(&self, spec: &DeviceSpec) -> anyhow::Result<()> {
        for other in &self.devices {
            for theirs in &other.channels {
                let name = other.spec.media_name(&theirs.spec.id);
                ensure!(
                    other.spec.index == spec.index
                        || spec.channels.iter().all(|ours| spec.media_name(&ours.id) != name),
                    "two channels would have the media name `{name}`"
                );
            }
        }
        Ok(())
    }
}

impl Device {
    fn new(mut spec: DeviceSpec) -> Self {
        let channels = std::mem::take(&mut spec.channels)
            .into_iter()
            .map(Channel::new)
            .collect();
        Self {
            spec,
            channels,
            flaps_left: 0,
            flapping: false,
        }
    }

    /// Shows it as offline for the next lists.
    pub(crate) fn flap(&mut self, lists: u32) {
        self.flaps_left = lists;
    }

    /// The status the device list shows.
    pub(crate) fn listed_status(&self) -> DeviceStatus {
        if self.flapping {
            return DeviceStatus::Offline;
        }
        self.spec.status
    }

    pub(crate) fn channel(&self, id: &WireId) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.spec.id == *id)
    }

    pub(crate) fn channel_mut(&mut self, id: &WireId) -> anyhow::Result<&mut Channel> {
        let index = &self.spec.index;
        self.channels
            .iter_mut()
            .find(|channel| channel.spec.id == *id)
            .with_context(|| format!("the device `{index}` has no channel {id}"))
    }

    /// The path of a live stream. The first one is the documented one; a moved stream has its number of
    /// moves in it.
    pub(crate) fn live_path(&self, channel: &Channel, kind: StreamType) -> String {
        let moved = match channel.moves {
            0 => String::new(),
            moves => format!("moved{moves}/"),
        };
        let name = self.spec.media_name(&channel.spec.id);
        format!("/dac/realplay/{moved}{name}/{}/TCP", kind.in_path())
    }

    fn stream(&self, channel: &Channel, kind: Kind) -> Stream {
        let fault = match self.spec.status {
            DeviceStatus::Online => channel.fault,
            DeviceStatus::Offline | DeviceStatus::Sleep => Some(StreamFault::Drop),
        };
        Stream {
            spec: channel.spec.stream(kind),
            fault,
        }
    }

    /// The files on the device's own storage that touch `asked`, oldest first, without overlaps.
    pub(crate) fn recorded(&self, asked: RecordedSpan, now: Timestamp) -> Vec<RecordedSpan> {
        let mut files: Vec<_> = self.continuous(asked, now).collect();
        files.extend(self.spec.recorded.iter().filter(|file| touches(file, &asked)));
        files.sort();
        files.dedup_by(|later, earlier| later.start < earlier.end);
        files
    }

    /// The files of `recorded_hours`: whole multiples of the file length since 1970, the newest still growing.
    fn continuous(&self, asked: RecordedSpan, now: Timestamp) -> impl Iterator<Item = RecordedSpan> {
        let length = i64::from(self.spec.recorded_file_seconds);
        let oldest = now.as_second() - i64::from(self.spec.recorded_hours) * 3600;
        let first = oldest.max(asked.start.as_second()).div_euclid(length);
        let last = now.as_second().min(asked.end.as_second()).div_euclid(length);
        let at = move |second: i64| Timestamp::from_second(second.max(oldest)).unwrap_or(now).min(now);
        (first..=last)
            .map(move |number| RecordedSpan {
                start: at(number * length),
                end: at((number + 1) * length),
            })
            .filter(move |file| file.start < file.end && touches(file, &asked))
    }

    /// The first unbroken footage within `asked`: files that follow each other within a second are one.
    pub(crate) fn footage(&self, asked: RecordedSpan, now: Timestamp) -> Option<RecordedSpan> {
        let mut files = self.recorded(asked, now).into_iter();
        let mut span = files.next()?;
        for file in files {
            if file.start.duration_since(span.end) > SignedDuration::from_secs(1) {
                break;
            }
            span.end = file.end;
        }
        Some(RecordedSpan {
            start: span.start.max(asked.start),
            end: span.end.min(asked.end),
        })
    }
}

impl Channel {
    fn new(spec: ChannelSpec) -> Self {
        Self {
            spec,
            fault: None,
            moves: 0,
        }
    }

    /// Moves its live streams to new URLs.
    pub(crate) fn relocate(&mut self) {
        self.moves += 1;
    }
}

fn touches(file: &RecordedSpan, asked: &RecordedSpan) -> bool {
    file.start < asked.end && asked.start < file.end
}
