//! The gateway's event stream: a device's coming and going asks for a poll, alarms become episodes.
//!
//! Losing the stream costs time, never truth: the poll looks on its own, and alarms are a convenience of the gateway.

use domain::ChannelKey;
use domain::episode::{Alarm, AlarmPolicy, Bursts, keep_alarms};
use domain::ports::EpisodesTable;
use futures::StreamExt;
use isapi::events::{Event, EventError, EventKind};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Between two writes of what alarms came to.
const FLUSH: Duration = Duration::from_secs(5);
/// Before a stream that ended is asked for again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(2);
/// The longest wait for a stream. A person who switches alarm forwarding on need not restart anything.
const RETRY_MAX: Duration = Duration::from_secs(120);
/// A device's clock may be this far off; an alarm whose time is farther from ours happened when it came.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Of a kind's name; the gateway may pass on what a device invents.
const KIND_CHARS_MAX: usize = 64;

/// Follows the stream for ever. `look` is called when devices come or go, and when the stream begins, for what was
/// missed before; without `policy` alarms are left alone.
pub(crate) async fn follow_for_ever<T: EpisodesTable>(
    gateway: &isapi::Client,
    table: &T,
    policy: Option<&AlarmPolicy>,
    look: impl Fn(),
) {
    let mut waiting = Bursts::default();
    let mut pause = RETRY_MIN;
    let mut last_words = String::new();
    loop {
        let error = match gateway.subscribe().await {
            Ok(mut events) => {
                tracing::debug!("following the gateway's events");
                pause = RETRY_MIN;
                last_words.clear();
                look();
                follow(&mut events, table, policy, &mut waiting, &look).await
            }
            Err(error) => error,
        };
        // The same complaint once: a gateway may have its alarm forwarding switched off for ever.
        let words = chain(&error);
        if words != last_words {
            tracing::info!(error = words, "no events from the gateway; polls go on without");
            last_words = words;
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

async fn follow<T: EpisodesTable>(
    events: &mut isapi::events::Subscription,
    table: &T,
    policy: Option<&AlarmPolicy>,
    waiting: &mut Bursts,
    look: &impl Fn(),
) -> EventError {
    let mut flush = interval(FLUSH);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => take(event, policy, waiting, look),
                Some(Err(error)) => return error,
                None => return EventError::Ended,
            },
            _ = flush.tick() => {
                if let Some(policy) = policy {
                    store(table, policy, waiting).await;
                }
            }
        }
    }
}

fn take(event: Event, policy: Option<&AlarmPolicy>, waiting: &mut Bursts, look: &impl Fn()) {
    if event.kind == EventKind::DeviceStatusChanged {
        look();
        return;
    }
    let (Some(policy), Some(alarm)) = (policy, alarm(event, Timestamp::now())) else {
        return;
    };
    let key = alarm.key.clone();
    if !waiting.add(alarm, policy.merge) {
        tracing::warn!(channel = %key, "an alarm is dropped: alarms of too many channels wait to be stored");
    }
}

/// The alarm in an event, if it is one of a channel.
fn alarm(event: Event, now: Timestamp) -> Option<Alarm> {
    let kind = match event.kind {
        EventKind::HeartBeat | EventKind::DeviceStatusChanged => return None,
        // There is no picture to keep, and the gap says so.
        EventKind::VideoLoss => return None,
        EventKind::Motion => "motion".to_owned(),
        EventKind::LineCrossed => "line crossed".to_owned(),
        EventKind::FieldEntered => "field entered".to_owned(),
        EventKind::Tampering => "tampering".to_owned(),
        EventKind::AccessControl => "access control".to_owned(),
        EventKind::Other(kind) => kind.replace(", ", " ").chars().take(KIND_CHARS_MAX).collect(),
    };
    if !event.active {
        return None;
    }
    let at = event
        .at
        .filter(|at| now.duration_since(*at).abs() <= SKEW_MAX)
        .unwrap_or(now);
    Some(Alarm {
        key: ChannelKey {
            device: event.device?,
            channel: event.channel?,
        },
        at,
        kind,
    })
}

async fn store<T: EpisodesTable>(table: &T, policy: &AlarmPolicy, waiting: &mut Bursts) {
    let report = keep_alarms(policy, table, waiting).await;
    if report.begun > 0 {
        tracing::info!(begun = report.begun, "alarms are kept as episodes");
    }
    if report.dropped > 0 {
        tracing::warn!(
            dropped = report.dropped,
            "alarms are dropped: a channel has as many episodes today as it may"
        );
    }
    if !report.failed.is_empty() {
        tracing::warn!(failed = ?report.failed, "alarms wait: their episodes cannot be stored");
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event(kind: EventKind, second: Option<i64>) -> Event {
        Event {
            kind,
            device: Some("A".into()),
            channel: Some("1".into()),
            at: second.map(at),
            active: true,
            description: String::new(),
        }
    }

    #[test]
    fn a_device_with_a_wrong_clock_alarms_when_it_is_heard() {
        let heard_at = |second| alarm(event(EventKind::Motion, second), at(10_000)).unwrap().at;
        assert_eq!(heard_at(Some(9_900)), at(9_900));
        assert_eq!(heard_at(Some(0)), at(10_000));
        assert_eq!(heard_at(None), at(10_000));
    }

    #[test]
    fn only_what_begins_or_goes_on_at_a_channel_is_an_alarm() {
        let kind_of = |event| alarm(event, at(0)).map(|alarm| alarm.kind);
        assert_eq!(kind_of(event(EventKind::HeartBeat, None)), None);
        assert_eq!(kind_of(event(EventKind::VideoLoss, None)), None);
        let over = Event {
            active: false,
            ..event(EventKind::Motion, None)
        };
        assert_eq!(kind_of(over), None);
        let of_the_device = Event {
            channel: None,
            ..event(EventKind::Tampering, None)
        };
        assert_eq!(kind_of(of_the_device), None);
        let invented = kind_of(event(EventKind::Other("x".repeat(9_000)), None)).unwrap();
        assert_eq!(invented.len(), KIND_CHARS_MAX);
    }
}
