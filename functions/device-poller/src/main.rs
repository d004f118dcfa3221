//! device-poller: once a minute, what the gateway has becomes the wanted channels.
//!
//! A poll that failed is not a failed invocation. It is measured (`PollFailed`), people are told, and the next minute
//! polls again; Lambda's retries would come in between and only ask a gateway in trouble more often. What does fail the
//! invocation is a program that cannot work at all: a panic, or no time left.

use aws::dynamodb::Tables;
use aws::ssm::Parameters;
use clap::Parser;
use domain::poll::{PollPolicy, Report, poll};
use domain::settings::RecordingSettings;
use jiff::SignedDuration;
use lambda::metrics::{Metrics, gateway_traffic};
use lambda::{Door, GatewayOptions, Invocation, Outbox, Stack, run};
use serde_json::Value;
use std::num::NonZeroU32;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Config {
    #[command(flatten)]
    stack: Stack,
    #[command(flatten)]
    gateway: GatewayOptions,
    /// A channel is forgotten when its device has been missing this long, such as `5m`
    #[arg(long, env = "MILLRACE_OFFLINE_GRACE", default_value = "5m")]
    offline_grace: SignedDuration,
    /// Removals of more than this percentage of the channels at once wait for a person
    #[arg(long, env = "MILLRACE_MASS_REMOVAL_PERCENT", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=100))]
    mass_removal_percent: u32,
    /// Length of a segment in seconds, for channels without settings of their own
    #[arg(long, env = "MILLRACE_SEGMENT", default_value_t = domain::settings::SEGMENT_SECONDS_DEFAULT)]
    segment: NonZeroU32,
    /// Records the cameras of door terminals too
    #[arg(long, env = "MILLRACE_RECORD_ACCESS_CONTROL", default_value_t = false, action = clap::ArgAction::Set)]
    record_access_control: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    config.stack.start_logging()?;
    let sdk = aws::config_from_env().await;
    let table = Tables::new(&sdk, config.stack.state.clone());
    let alerts = Outbox::new(&config.stack, &sdk);
    let door = Door::new(config.gateway.clone(), Parameters::new(&sdk), table.clone());
    let policy = config.policy();
    run(async |_event: Value, invocation: Invocation| {
        let visit = door.visit("device-poller", invocation.now, invocation.until_the_writes());
        let report = poll(&policy, &visit, &table, &alerts, invocation.now).await;
        let metrics = measure(&report).and(gateway_traffic(door.take_traffic()));
        config.stack.emit("poll", &report, &metrics, invocation.now);
        Ok(Value::Null)
    })
    .await
}

impl Config {
    fn policy(&self) -> PollPolicy {
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

fn measure(report: &Report) -> Metrics {
    let failed = report.failure.is_some();
    let metrics = Metrics::default().count("PollFailed", usize::from(failed));
    if failed {
        return metrics;
    }
    metrics
        .count("Devices", report.devices)
        .count("DevicesOnline", report.devices_online)
        .count("ChannelsWanted", report.channels)
        .count("ChannelsHeld", report.held)
}
