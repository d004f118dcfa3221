//! What the poller is told by its environment.

use clap::Parser;
use domain::poll::PollPolicy;
use domain::settings::{RecordingSettings, SEGMENT_SECONDS_DEFAULT};
use jiff::SignedDuration;
use lambda::{GatewayOptions, Stack};
use std::num::NonZeroU32;

#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) stack: Stack,
    #[command(flatten)]
    pub(crate) gateway: GatewayOptions,
    /// A channel is forgotten when its device has been missing this long, such as `5m`
    #[arg(long, env = "MILLRACE_OFFLINE_GRACE", default_value = "5m")]
    offline_grace: SignedDuration,
    /// Removals of more than this percentage of the channels at once wait for a person
    #[arg(long, env = "MILLRACE_MASS_REMOVAL_PERCENT", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=100))]
    mass_removal_percent: u32,
    /// Length of a segment in seconds, for channels without settings of their own
    #[arg(long, env = "MILLRACE_SEGMENT", default_value_t = SEGMENT_SECONDS_DEFAULT)]
    segment: NonZeroU32,
    /// Records the cameras of door terminals too
    #[arg(long, env = "MILLRACE_RECORD_ACCESS_CONTROL", default_value_t = false, action = clap::ArgAction::Set)]
    record_access_control: bool,
}

impl Config {
    /// How the gateway is polled.
    pub(crate) fn policy(&self) -> PollPolicy {
        PollPolicy {
            offline_grace: self.offline_grace,
            mass_removal_percent: self.mass_removal_percent,
            record_access_control: self.record_access_control,
            settings: RecordingSettings {
                segment_seconds: self.segment,
                ..RecordingSettings::default()
            },
            ..PollPolicy::default()
        }
    }
}
