//! event-listener: holds the gateway's event stream open for as long as an invocation may last, and the next one takes
//! over before this one ends.
//!
//! ```text
//! schedule  |------------- 14 min -------------|------------- 14 min -------------|
//! first     [ listens for 14 min 45 s ............]
//! second                                       [ listens ............................]
//! ```
//!
//! For some seconds two listen. That does no harm (`isapi::events`): both make the same rows. When a person must change
//! something first (alarm forwarding, the password), the invocation ends, and the next one tries again; the poll tells
//! people of the password.

mod config;

use aws::sns::Topic;
use aws::ssm::Parameters;
use clap::Parser;
use config::Config;
use domain::episode::AlarmReport;
use isapi::events::Listener;
use jiff::Timestamp;
use lambda::metrics::Metrics;
use lambda::{Door, Invocation, run};
use serde::Serialize;
use serde_json::Value;
use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// What is kept of an invocation for storing what waits.
const FOR_THE_LAST_STORE: Duration = Duration::from_secs(15);

/// Between two polls that are asked for: devices come and go in flocks, and one look sees them all.
const POLL_PAUSE: Duration = Duration::from_secs(5);

/// What one invocation heard.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    alarms: &'a AlarmReport,
    polls: usize,
    refused: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let (sdk, table) = config.stack.start().await?;
    let door = Door::new(config.gateway.clone(), Parameters::new(&sdk), table.clone());
    let topic = Topic::new(&sdk, &config.poll_topic);
    let alarms = config.alarms();
    run(async |_event: Value, invocation: Invocation| {
        let left = invocation.until.saturating_duration_since(Instant::now());
        let until = invocation.until - FOR_THE_LAST_STORE.min(left / 2);
        let (poll, polls) = (Notify::new(), Cell::new(0));
        let mut listener = Listener::new(&table, alarms.as_ref(), || poll.notify_one());
        let subscribe = async || {
            let visit = door.visit("event-listener", Timestamp::now(), until);
            visit.subscribe().await
        };
        let refused = tokio::select! {
            refused = listener.listen(subscribe, sleep_until(until)) => refused,
            never = ask_for_polls(&topic, &poll, &polls) => match never {},
        };
        let report = Report {
            alarms: listener.kept(),
            polls: polls.get(),
            refused,
        };
        config
            .stack
            .emit("events", &report, &measure(&report), invocation.now);
        Ok(Value::Null)
    })
    .await
}

/// Asks for a poll when it is time for one, for ever. One that could not be asked for is made up for by the schedule.
async fn ask_for_polls(topic: &Topic, poll: &Notify, polls: &Cell<usize>) -> Infallible {
    loop {
        poll.notified().await;
        match topic.publish("poll").await {
            Ok(()) => polls.set(polls.get() + 1),
            Err(error) => tracing::warn!(error = error.chain(), "no poll could be asked for"),
        }
        sleep(POLL_PAUSE).await;
    }
}

fn measure(report: &Report<'_>) -> Metrics {
    Metrics::default()
        .count("AlarmEpisodes", report.alarms.begun)
        .count("EventsRefused", usize::from(report.refused.is_some()))
}
