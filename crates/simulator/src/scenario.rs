//! What the simulated gateway is when it starts and what happens to it: a TOML file, or the same as Rust values.
//!
//! Everything has a default, unknown keys are refused, and a scenario is validated as a whole before anything
//! starts, so that a misspelt knob never silently does nothing.

mod devices;
mod gateway;

pub use devices::{ChannelSpec, DeviceKind, DeviceSpec, DeviceStatus, Protocol, RecordedSpan, WireId};
pub use gateway::{DigestAlgorithm, EmptyList, GatewaySpec, Lockout, Password};

use crate::media::{AudioCodec, LoopSpec};
use crate::operation::Operation;
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The whole simulated world: a gateway, its devices, and what happens when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// The gateway itself.
    pub gateway: GatewaySpec,
    /// Hands out stream URLs without serving them, so that a thousand devices cost nothing and ffmpeg is not
    /// needed.
    pub api_only: bool,
    /// Keeps encoded video in this folder for the next start; none = every process encodes anew.
    pub video_cache: Option<PathBuf>,
    /// Devices as the list shows them, in this order.
    pub devices: Vec<DeviceSpec>,
    /// More devices, all alike, listed after the others.
    pub generated: Option<Generated>,
    /// Operations that happen by themselves.
    pub timeline: Vec<Moment>,
}

/// A number of online devices that differ only in index and name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Generated {
    /// How many devices.
    pub devices: u32,
    /// Channels of each, numbered from 1.
    #[serde(default = "one")]
    pub channels: u32,
    /// What every channel shows.
    #[serde(default)]
    pub video: LoopSpec,
    /// What every channel sounds like; none = silent.
    #[serde(default)]
    pub audio: Option<AudioCodec>,
    /// Hours of footage on every device's own storage; see [`DeviceSpec::recorded_hours`].
    #[serde(default)]
    pub recorded_hours: u32,
}

fn one() -> u32 {
    1
}

/// An operation and its second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Moment {
    /// Seconds after the start.
    pub at_seconds: f64,
    /// What happens then.
    pub operation: Operation,
}

/// More than any gateway carries; a typing error beyond it should not eat the machine's memory.
const DEVICES_MAX: usize = 20_000;
/// The largest recorders sold have 256 inputs.
const CHANNELS_MAX: u32 = 256;
/// A day and a bit: no test waits longer.
const TIMELINE_SECONDS_MAX: f64 = 100_000.0;

impl Scenario {
    /// A gateway with default settings and these devices.
    pub fn with_devices(devices: impl IntoIterator<Item = DeviceSpec>) -> Self {
        Self {
            devices: devices.into_iter().collect(),
            ..Self::default()
        }
    }

    /// A gateway with `devices` devices of `channels` channels each, all online.
    pub fn generated(devices: u32, channels: u32) -> Self {
        Self {
            generated: Some(Generated::new(devices, channels)),
            ..Self::default()
        }
    }

    /// The same without video: URLs are handed out but nobody serves them.
    #[must_use]
    pub fn api_only(mut self) -> Self {
        self.api_only = true;
        self
    }

    /// Reads and validates a scenario file.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, has unknown keys or contradicts itself.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the scenario {}", path.display()))?;
        text.parse()
            .with_context(|| format!("in the scenario {}", path.display()))
    }

    /// Checks what the types cannot: ranges, unique names, addresses that cannot be confused.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn validate(&self) -> anyhow::Result<()> {
        self.gateway.validate()?;
        let (devices, channels) = self
            .generated
            .as_ref()
            .map_or((0, 0), |all| (all.devices, all.channels));
        ensure!(
            self.devices.len().saturating_add(devices as usize) <= DEVICES_MAX,
            "more than {DEVICES_MAX} devices"
        );
        ensure!(
            channels <= CHANNELS_MAX,
            "more than {CHANNELS_MAX} channels a device"
        );
        let devices = self.all_devices();
        let mut media_names = BTreeSet::new();
        let mut indexes = BTreeSet::new();
        for device in &devices {
            device.validate()?;
            ensure!(
                indexes.insert(&device.index),
                "two devices have the index `{}`",
                device.index
            );
            for channel in &device.channels {
                let name = device.media_name(&channel.id);
                ensure!(
                    media_names.insert(name.clone()),
                    "two channels would have the media name `{name}`"
                );
            }
        }
        for moment in &self.timeline {
            ensure!(
                (0.0..=TIMELINE_SECONDS_MAX).contains(&moment.at_seconds),
                "the timeline has something at {} s; 0 to {TIMELINE_SECONDS_MAX} is possible",
                moment.at_seconds
            );
        }
        Ok(())
    }

    /// The listed devices and then the generated ones.
    pub(crate) fn all_devices(&self) -> Vec<DeviceSpec> {
        let generated = self.generated.iter().flat_map(Generated::specs);
        self.devices.iter().cloned().chain(generated).collect()
    }
}

impl std::str::FromStr for Scenario {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = toml::from_str(text).context("reading TOML")?;
        scenario.validate()?;
        Ok(scenario)
    }
}

impl Generated {
    /// `devices` silent devices of `channels` channels each, without footage of their own.
    pub fn new(devices: u32, channels: u32) -> Self {
        Self {
            devices,
            channels,
            video: LoopSpec::default(),
            audio: None,
            recorded_hours: 0,
        }
    }

    fn specs(&self) -> impl Iterator<Item = DeviceSpec> {
        (1..=self.devices).map(|number| DeviceSpec {
            recorded_hours: self.recorded_hours,
            channels: (1..=self.channels)
                .map(|id| ChannelSpec {
                    video: self.video.clone(),
                    audio: self.audio,
                    ..ChannelSpec::new(id)
                })
                .collect(),
            ..DeviceSpec::camera(generated_index(number), format!("Camera {number:04}"))
        })
    }
}

/// The index of the n-th generated device, counted from 1: a UUID in the gateway's upper-case spelling.
pub fn generated_index(number: u32) -> String {
    format!("{number:08X}-5EED-4000-8000-{number:012X}")
}
