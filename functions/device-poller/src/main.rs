//! device-poller: once a minute, what the gateway has becomes the wanted channels.
//!
//! A poll that failed is not a failed invocation. It is measured (`PollFailed`), people are told, and the next minute
//! polls again; Lambda's retries would come in between and only ask a gateway in trouble more often. What does fail the
//! invocation is a program that cannot work at all: a panic, or no time left.

mod config;

use aws::ssm::Parameters;
use clap::Parser;
use config::Config;
use domain::poll::{Report, poll};
use lambda::metrics::{Metrics, gateway_traffic};
use lambda::{Door, Invocation, Outbox, run};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let (sdk, table) = config.stack.start().await?;
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
