//! archive-keeper: once an hour, how much of the last hour is in the archive; then what is past its retention, and in
//! no episode, goes.
//!
//! Both are bounded. A measurement that takes too long says of which channels it knows nothing; a keep run leaves a
//! cursor, and the next hour goes on there. What fails is measured (`KeepFailed`) and told: the next hour tries again,
//! and Lambda's retries would come no better. An archive that is not kept grows; no video is lost by it.

mod config;

use aws::s3::S3Archive;
use clap::Parser;
use config::Config;
use domain::coverage::{ChannelHour, HourReport, measure_hour};
use domain::keep::{self, Mode, keep};
use jiff::Timestamp;
use lambda::metrics::{LIST_MAX, Metrics, Unit};
use lambda::{Invocation, Outbox, Stack, run};
use serde::Serialize;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let stack = &config.stack;
    let (sdk, table) = stack.start().await?;
    let archive = S3Archive::at(&sdk, &config.archive);
    let alerts = Outbox::new(stack, &sdk);
    run(async |_event: Value, invocation: Invocation| {
        let hour = measure_hour(&config.hour(), &archive, &table, &alerts, Timestamp::now).await;
        tell_hour(stack, &hour, invocation.now);

        let policy = config.keep(&invocation, Timestamp::now());
        let kept = keep(&policy, &archive, &table, &alerts, Timestamp::now, Mode::Delete).await;
        stack.emit("keep", &kept, &measure_keep(&kept), invocation.now);
        Ok(Value::Null)
    })
    .await
}

/// Some channels of an hour.
#[derive(Serialize)]
struct Channels<'a> {
    from: Timestamp,
    channels: &'a [ChannelHour],
}

/// One wide event with the fleet's metrics and its worst channels, and one for every further page of channels, which
/// are no dimensions: a metric costs $0.30 a month.
fn tell_hour(stack: &Stack, hour: &HourReport, now: Timestamp) {
    stack.emit("coverage", hour, &measure_coverage(hour), now);
    for channels in hour.channels.chunks(LIST_MAX).skip(1) {
        let from = hour.from;
        stack.emit(
            "coverage-channels",
            &Channels { from, channels },
            &Metrics::default(),
            now,
        );
    }
}

fn measure_coverage(hour: &HourReport) -> Metrics {
    let unknown = hour.failed.len() + usize::from(hour.failure.is_some());
    let metrics = Metrics::default().count("CoverageUnknown", unknown);
    match hour.percent {
        Some(percent) => metrics
            .measure("CoveragePercent", Unit::Percent, percent)
            .count("ChannelsBelowObjective", hour.below),
        None => metrics,
    }
}

fn measure_keep(report: &keep::Report) -> Metrics {
    let failed = report.failed.len() + usize::from(report.failure.is_some());
    Metrics::default()
        .count("KeepFailed", failed)
        .count("ObjectsDeleted", report.deleted)
}
