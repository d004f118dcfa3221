//! What woke the dispatcher.
//!
//! Whatever it was, every dispatch observes everything (docs/decisions/0005). So an event is read for three things
//! only: which stream record to ask for again, which death to tell people of, and what to call it in the log. Nothing
//! else of it is parsed, so that no record, however malformed, can block its shard.

use aws::ecs::TaskStateChange;
use domain::TaskArn;
use domain::death::Death;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What woke the dispatcher.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The channels table changed.
    Changes {
        /// The sequence number of the first record, to ask for the batch again with.
        first: String,
    },
    /// A task changed its state.
    Task {
        /// The news, if it is any.
        death: Option<Death>,
    },
    /// The schedule.
    Schedule,
    /// Something nobody knows; a reason to look all the same.
    Strange,
}

impl Event {
    /// Reads an event; `stack` tells our tasks from others'.
    pub(crate) fn of(event: &Value, stack: &str, now: Timestamp) -> Self {
        if let Some(records) = event["Records"].as_array() {
            let mut numbers = records
                .iter()
                .filter_map(|record| record["dynamodb"]["SequenceNumber"].as_str());
            return Self::Changes {
                first: numbers.next().unwrap_or_default().to_owned(),
            };
        }
        match event["detail-type"].as_str() {
            Some("ECS Task State Change") => match serde_json::from_value(event["detail"].clone()) {
                Ok(change) => Self::Task {
                    death: death(&change, stack, at(event, now)),
                },
                Err(_) => Self::Strange,
            },
            Some("Scheduled Event") => Self::Schedule,
            Some(_) | None => Self::Strange,
        }
    }

    /// Its name in the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Changes { .. } => "changes",
            Self::Task { .. } => "task",
            Self::Schedule => "schedule",
            Self::Strange => "strange",
        }
    }

    /// The function's answer (`ReportBatchItemFailures`). A batch is one look: it failed as a whole or not at all. An
    /// empty number means the whole batch too ("Reporting batch item failures", AWS Lambda Developer Guide).
    pub(crate) fn answer(&self, failed: bool) -> Value {
        match self {
            Self::Changes { first } if failed => {
                json!({"batchItemFailures": [{"itemIdentifier": first}]})
            }
            Self::Changes { .. } => json!({"batchItemFailures": []}),
            Self::Task { .. } | Self::Schedule | Self::Strange => Value::Null,
        }
    }
}

/// Only the last of a task's events tells of its death, so their order does not matter, and what is told is
/// remembered, so neither do repetitions.
fn death(change: &TaskStateChange, stack: &str, at: Timestamp) -> Option<Death> {
    let news = change.is_of(stack) && change.is_over() && change.ending()?.is_alarming();
    news.then(|| Death {
        task: TaskArn::new(change.task_arn.clone()),
        at,
        text: change.explain().unwrap_or_default(),
    })
}

fn at(event: &Value, now: Timestamp) -> Timestamp {
    let time = event["time"].as_str().and_then(|time| time.parse().ok());
    time.unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "cell";

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn read(event: &Value) -> Event {
        Event::of(event, STACK, now())
    }

    fn task(detail: &Value) -> Value {
        let mut event = json!({
            "version": "0", "id": "1", "source": "aws.ecs", "detail-type": "ECS Task State Change",
            "time": "2026-11-21T05:00:00Z", "resources": [],
            "detail": {
                "taskArn": "arn:aws:ecs:eu-west-1:1:task/cell/0123",
                "clusterArn": "arn:aws:ecs:eu-west-1:1:cluster/cell",
                "lastStatus": "STOPPED", "desiredStatus": "STOPPED", "version": 5,
                "startedBy": aws::ecs::started_by(STACK),
                "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
                "containers": [{"name": "recorder", "exitCode": 137}],
            },
        });
        for (name, value) in detail.as_object().unwrap() {
            event["detail"][name] = value.clone();
        }
        event
    }

    fn told(detail: &Value) -> bool {
        match read(&task(detail)) {
            Event::Task { death } => death.is_some(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_batch_that_failed_is_asked_for_again_from_its_first_record() {
        let batch = json!({"Records": [
            {"eventName": "MODIFY", "dynamodb": {"SequenceNumber": "111"}},
            {"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "222"}},
        ]});
        let event = read(&batch);
        assert_eq!(
            event.answer(true),
            json!({"batchItemFailures": [{"itemIdentifier": "111"}]})
        );
        assert_eq!(event.answer(false), json!({"batchItemFailures": []}));
    }

    #[test]
    fn malformed_records_are_a_reason_to_look_and_never_block_their_shard() {
        for batch in [
            json!({"Records": []}),
            json!({"Records": [null, 7, {"dynamodb": "?"}, {"dynamodb": {"SequenceNumber": 5}}]}),
            json!({"Records": [{"dynamodb": {"NewImage": {"deviceIndex": {"N": "NaN"}}}}]}),
        ] {
            let event = read(&batch);
            assert_eq!(event.answer(false), json!({"batchItemFailures": []}));
            let whole_batch = json!({"batchItemFailures": [{"itemIdentifier": ""}]});
            assert_eq!(event.answer(true), whole_batch);
        }
    }

    #[test]
    fn garbage_is_a_reason_to_look() {
        for garbage in [
            json!(null),
            json!([]),
            json!("text"),
            json!({"Records": "none"}),
            json!({"detail-type": "ECS Task State Change", "detail": {"taskArn": 5}}),
            json!({"detail-type": "Something else"}),
        ] {
            let event = read(&garbage);
            assert_eq!(
                (&event, event.answer(true)),
                (&Event::Strange, Value::Null),
                "{garbage}"
            );
        }
        assert_eq!(read(&json!({"detail-type": "Scheduled Event"})), Event::Schedule);
    }

    #[test]
    fn a_crash_is_told_with_its_time_and_reason() {
        let Event::Task { death: Some(death) } = read(&task(&json!({}))) else {
            panic!("no death")
        };
        assert_eq!(death.at, "2026-11-21T05:00:00Z".parse().unwrap());
        assert!(death.text.contains("exit code 137"), "{}", death.text);
    }

    #[test]
    fn everyday_ends_and_other_peoples_tasks_are_no_news() {
        let quiet = [
            json!({"stopCode": "UserInitiated", "stoppedReason": "millrace: it has no channel"}),
            json!({"stopCode": "SpotInterruption"}),
            json!({"containers": [{"name": "recorder", "exitCode": 0}]}),
            json!({"startedBy": "somebody-else"}),
            // Spot's warning and other changes before the end.
            json!({"lastStatus": "RUNNING", "stopCode": "SpotInterruption"}),
            json!({"lastStatus": "DEPROVISIONING"}),
        ];
        for detail in quiet {
            assert!(!told(&detail), "{detail}");
        }
        assert!(told(&json!({"stopCode": "TaskFailedToStart"})));
    }
}
