//! health-check: once a minute, does the gateway answer, and is the archive fresh?
//!
//! It looks and tells. What is done about a gateway that stays silent is decided elsewhere, from the same answers.
//! Trouble it finds is not a failed invocation: Lambda's retries would only look again before the next minute does.

use aws::dynamodb::Tables;
use aws::ssm::Parameters;
use clap::Parser;
use domain::freshness::{GatewayAnswer, Report, SLACK_DEFAULT, check};
use lambda::metrics::{Metrics, Unit, gateway_traffic};
use lambda::{Door, GatewayOptions, Invocation, Outbox, Stack, run};
use serde_json::Value;

#[derive(Debug, Parser)]
#[command(version, about)]
struct Config {
    #[command(flatten)]
    stack: Stack,
    #[command(flatten)]
    gateway: GatewayOptions,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Config { stack, gateway } = Config::parse();
    stack.start_logging()?;
    let sdk = aws::config_from_env().await;
    let table = Tables::new(&sdk, stack.state.clone());
    let alerts = Outbox::new(&stack, &sdk);
    let door = Door::new(gateway, Parameters::new(&sdk), table.clone());
    run(async |_event: Value, invocation: Invocation| {
        let visit = door.visit("health-check", invocation.now, invocation.until_the_writes());
        let answer = visit.knock().await;
        let report = check(SLACK_DEFAULT, answer, &table, &alerts, invocation.now).await;
        let metrics = measure(&report).and(gateway_traffic(door.take_traffic()));
        stack.emit("check", &report, &metrics, invocation.now);
        Ok(Value::Null)
    })
    .await
}

fn measure(report: &Report) -> Metrics {
    let metrics = match report.gateway {
        GatewayAnswer::Answered | GatewayAnswer::Refused(_) => Metrics::default().count("GatewayAnswered", 1),
        GatewayAnswer::Silent(_) => Metrics::default().count("GatewayAnswered", 0),
        GatewayAnswer::NotAsked(_) => Metrics::default(),
    };
    if report.failure.is_some() {
        return metrics;
    }
    metrics.count("ChannelsStale", report.stale.len()).measure(
        "ArchiveStaleSeconds",
        Unit::Seconds,
        report.oldest_seconds as f64,
    )
}
