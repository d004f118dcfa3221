//! What the functions measure. Alarms and the dashboard are built on these names, and on no others.
//!
//! | metric | unit | from | meaning |
//! | --- | --- | --- | --- |
//! | `PollFailed` | Count | device-poller | 1 when the gateway's device list could not be had or believed, else 0 |
//! | `Devices`, `DevicesOnline` | Count | device-poller | what the gateway lists; absent from a failed poll |
//! | `ChannelsWanted` | Count | device-poller | channels known before the poll; absent from a failed poll |
//! | `ChannelsHeld` | Count | device-poller | removals held for a person to accept; absent from a failed poll |
//! | `GatewayRequests` | Count | device-poller, health-check, snapshot-recovery | HTTP requests to the gateway |
//! | `GatewayLatency` | Milliseconds | device-poller, health-check, snapshot-recovery | the slowest of them; absent without requests |
//! | `Wanted` | Count | stream-dispatcher | wanted channels |
//! | `Recording` | Count | stream-dispatcher | of them recorded: fresh heartbeat, frames arrive |
//! | `NotRecording` | Count | stream-dispatcher | of them not recorded though the device is there |
//! | `Started`, `Stopped` | Count | stream-dispatcher | recorders started and stopped |
//! | `Refused` | Count | stream-dispatcher | starts a person must make possible |
//! | `LaunchesLeft` | Count | stream-dispatcher | starts left for the next run |
//! | `Failed` | Count | stream-dispatcher | steps that failed, and 1 for a run that could not observe |
//! | `ArchiveStaleSeconds` | Seconds | health-check | age of the oldest newest segment among wanted, present channels |
//! | `ChannelsStale` | Count | health-check | channels whose newest segment is too old |
//! | `GatewayAnswered` | Count | health-check | 1 when the gateway answered, else 0; absent when it was not asked |
//! | `GatewayIll` | Count | health-check | 1 while the gateway counts as ill, from its first symptom until it is well again, else 0 |
//! | `RepairStep` | Count | health-check | the repair that was begun: 1 restart, 2 reboot, 3 stop and start, 4 replacement; else 0 |
//! | `CheckFailed` | Count | health-check | what could not be looked at, done, remembered or told |
//! | `RecoverFailed` | Count | snapshot-recovery | what could not be looked at, done, remembered or told |
//! | `GatewayDrift` | Count | snapshot-recovery | settings that were not as wanted and were changed back |
//! | `ReplacingSeconds` | Seconds | snapshot-recovery | how long ago the trouble began that a replacement is under way for; 0 without one |
//! | `ImageAgeSeconds` | Seconds | snapshot-recovery | age of the newest usable image; absent without one, and when nothing could be seen |
//! | `ReplacementFailed`, `DrillFailed` | Count | snapshot-recovery | when one ends: 1 if it was given up, else 0 |
//! | `RecoverySeconds`, `DrillSeconds` | Seconds | snapshot-recovery | when one succeeded: from the first symptom (a drill: from its request) to the new gateway's answer |
//! | `RecoveryImageAgeSeconds`, `DrillImageAgeSeconds` | Seconds | snapshot-recovery | when one succeeded: how old the image was; what was configured since is lost |
//! | `DevicesLost` | Count | snapshot-recovery | when a replacement ended: wanted devices the new gateway does not know |
//! | `CoveragePercent` | Percent | archive-keeper | how much of what was wanted in the last full hour is in the archive; absent when nothing was wanted or known |
//! | `ChannelsBelowObjective` | Count | archive-keeper | channels with less of it than the objective; absent like it |
//! | `CoverageUnknown` | Count | archive-keeper | channels of which it could not be known, and 1 for all |
//! | `ObjectsDeleted` | Count | archive-keeper | segments and stills past their retention that went |
//! | `KeepFailed` | Count | archive-keeper | channels of which what should go could not, and 1 for a run that could not begin |
//! | `AlarmEpisodes` | Count | event-listener | episodes that alarms began |
//! | `EventsRefused` | Count | event-listener | 1 when the gateway refused its event stream, else 0 |
//!
//! Wanted and recorded are absent from a run that could not observe: an alarm treats missing data as its state before,
//! and `Failed` tells. All are in the namespace `Millrace` with the single dimension `Stack`.

use isapi::Traffic;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The CloudWatch namespace of every metric.
pub const NAMESPACE: &str = "Millrace";

/// The only dimension: one stack is one gateway.
const DIMENSION: &str = "Stack";

/// Longer lists in a report are cut: a log event has a limit, and nobody reads the rest.
pub const LIST_MAX: usize = 50;

/// A metric's CloudWatch unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// How many.
    Count,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Of a hundred.
    Percent,
}

/// The metrics of one invocation, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(Vec<(&'static str, Unit, f64)>);

impl Metrics {
    /// Adds how many.
    #[must_use]
    pub fn count(self, name: &'static str, count: usize) -> Self {
        // Counts of channels and requests are far below 2^52, so nothing is rounded.
        self.measure(name, Unit::Count, count as f64)
    }

    /// Adds a value in `unit`.
    #[must_use]
    pub fn measure(mut self, name: &'static str, unit: Unit, value: f64) -> Self {
        self.0.push((name, unit, value));
        self
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }
}

/// What the gateway was asked.
pub fn gateway_traffic(traffic: Traffic) -> Metrics {
    let metrics = Metrics::default().measure("GatewayRequests", Unit::Count, traffic.requests as f64);
    if traffic.requests == 0 {
        return metrics;
    }
    metrics.measure(
        "GatewayLatency",
        Unit::Milliseconds,
        traffic.slowest.as_secs_f64() * 1000.0,
    )
}

/// The wide event of one invocation: its report and, as CloudWatch's embedded metric format
/// (`CloudWatch_Embedded_Metric_Format_Specification`), its metrics, in one line of JSON.
pub(crate) fn wide_event(
    stack: &str,
    name: &str,
    report: &impl Serialize,
    metrics: &Metrics,
    at_ms: i64,
) -> Value {
    let mut event = Map::new();
    if !metrics.0.is_empty() {
        let definitions: Vec<Value> = metrics
            .0
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
            .collect();
        event.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": at_ms,
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [[DIMENSION]],
                    "Metrics": definitions,
                }],
            }),
        );
    }
    event.insert(DIMENSION.to_owned(), stack.into());
    event.insert("event".to_owned(), name.into());
    for (name, _, value) in &metrics.0 {
        event.insert((*name).to_owned(), json!(value));
    }
    let report = serde_json::to_value(report)
        .unwrap_or_else(|error| Value::String(format!("the report cannot be written: {error}")));
    event.insert("report".to_owned(), bounded(report));
    Value::Object(event)
}

fn bounded(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let beyond = items.len().saturating_sub(LIST_MAX);
            let mut items: Vec<Value> = items.into_iter().take(LIST_MAX).map(bounded).collect();
            if beyond > 0 {
                items.push(format!("and {beyond} more").into());
            }
            Value::Array(items)
        }
        Value::Object(entries) => {
            let beyond = entries.len().saturating_sub(LIST_MAX);
            let mut entries: Map<String, Value> = entries
                .into_iter()
                .take(LIST_MAX)
                .map(|(key, value)| (key, bounded(value)))
                .collect();
            if beyond > 0 {
                entries.insert("…".to_owned(), format!("and {beyond} more").into());
            }
            Value::Object(entries)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_line_is_declared_and_has_its_value_at_the_root() {
        let metrics =
            Metrics::default()
                .count("Devices", 3)
                .measure("GatewayLatency", Unit::Milliseconds, 12.5);
        let event = wide_event("cell", "poll", &json!({"added": 1}), &metrics, 1_800_000_000_000);
        assert_eq!(
            event,
            json!({
                "_aws": {
                    "Timestamp": 1_800_000_000_000_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Millrace",
                        "Dimensions": [["Stack"]],
                        "Metrics": [
                            {"Name": "Devices", "Unit": "Count"},
                            {"Name": "GatewayLatency", "Unit": "Milliseconds"},
                        ],
                    }],
                },
                "Stack": "cell",
                "event": "poll",
                "Devices": 3.0,
                "GatewayLatency": 12.5,
                "report": {"added": 1},
            })
        );
    }

    #[test]
    fn a_report_of_a_thousand_failures_is_cut() {
        let failures = vec!["start refused"; 1000];
        let event = wide_event(
            "cell",
            "dispatch",
            &json!({"failed": failures}),
            &Metrics::default(),
            0,
        );
        let failed = event["report"]["failed"].as_array().unwrap();
        assert_eq!(
            (failed.len(), failed[LIST_MAX].as_str()),
            (51, Some("and 950 more"))
        );
    }
}
