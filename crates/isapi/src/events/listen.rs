//! Living by the event stream: a device's coming and going asks for a poll, alarms become episodes.
//!
//! Losing the stream costs time, never truth: the poll looks on its own, and alarms are a convenience of the gateway.
//! Two that listen at once make the same rows: an alarm's time decides where its episode begins, and whoever comes
//! second finds it there.

use super::{Event, EventError, EventKind, Subscription};
use domain::ChannelKey;
use domain::episode::{Alarm, AlarmPolicy, AlarmReport, Bursts, keep_alarms};
use domain::ports::{EpisodesTable, PortError, chain};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Between two writes of what alarms came to.
const FLUSH: Duration = Duration::from_secs(5);
/// Before a stream that ended is asked for again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(2);
/// The longest wait for a stream.
pub const RETRY_MAX: Duration = Duration::from_secs(120);
/// A device's clock may be this far off; an alarm whose time is farther from ours happened when it came.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Of a kind's name; the gateway may pass on what a device invents.
const KIND_CHARS_MAX: usize = 64;

/// Why there is no event stream, with all causes in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoStream {
    /// A person must change something first: alarm forwarding is off, the password is wrong.
    Refused(String),
    /// It may be there soon.
    Lost(String),
}

impl From<PortError> for NoStream {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Refused { .. } => Self::Refused(error.chain()),
            PortError::Throttled { .. } | PortError::Unknown { .. } => Self::Lost(error.chain()),
        }
    }
}

impl From<EventError> for NoStream {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Call(error) => error.into_port("subscribing to the gateway's events").into(),
            EventError::ForwardingOff(_) => Self::Refused(chain(&error)),
            EventError::NotMultipart { .. }
            | EventError::Silent { .. }
            | EventError::Ended
            | EventError::Broken(_)
            | EventError::Malformed(_) => Self::Lost(chain(&error)),
        }
    }
}

/// One that follows the stream.
#[derive(Debug)]
pub struct Listener<'a, T, L> {
    table: &'a T,
    policy: Option<&'a AlarmPolicy>,
    look: L,
    waiting: Bursts,
    kept: AlarmReport,
}

impl<'a, T: EpisodesTable, L: Fn()> Listener<'a, T, L> {
    /// Calls `look` when devices come or go, and when a stream begins, for what was missed before; without `policy`
    /// alarms are left alone.
    pub fn new(table: &'a T, policy: Option<&'a AlarmPolicy>, look: L) -> Self {
        Self {
            table,
            policy,
            look,
            waiting: Bursts::default(),
            kept: AlarmReport::default(),
        }
    }

    /// What alarms have come to so far.
    pub fn kept(&self) -> &AlarmReport {
        &self.kept
    }

    /// Follows one stream after the other until `stop`, or until a person must change something, which is the
    /// answer then. What alarms came to is stored before it returns.
    pub async fn listen(
        &mut self,
        subscribe: impl AsyncFn() -> Result<Subscription, NoStream>,
        stop: impl Future<Output = ()>,
    ) -> Option<String> {
        let mut stop = pin!(stop);
        let mut pause = RETRY_MIN;
        let mut last_words = String::new();
        let refused = loop {
            let subscribed = tokio::select! {
                () = &mut stop => break None,
                subscribed = subscribe() => subscribed,
            };
            let lost = match subscribed {
                Ok(mut events) => {
                    tracing::debug!("following the gateway's events");
                    pause = RETRY_MIN;
                    last_words.clear();
                    (self.look)();
                    match self.follow(&mut events, stop.as_mut()).await {
                        Some(error) => NoStream::from(error),
                        None => break None,
                    }
                }
                Err(lost) => lost,
            };
            let words = match lost {
                NoStream::Refused(words) => break Some(words),
                NoStream::Lost(words) => words,
            };
            if words != last_words {
                tracing::info!(error = words, "no events from the gateway; polls go on without");
                last_words = words;
            }
            tokio::select! {
                () = &mut stop => break None,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(RETRY_MAX);
        };
        self.store().await;
        refused
    }

    /// Follows a stream to its end, or to `stop`.
    async fn follow(
        &mut self,
        events: &mut Subscription,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<EventError> {
        let mut flush = interval(FLUSH);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event, Timestamp::now()),
                    Some(Err(error)) => return Some(error),
                    None => return Some(EventError::Ended),
                },
                _ = flush.tick() => self.store().await,
                () = &mut stop => return None,
            }
        }
    }

    fn take(&mut self, event: Event, now: Timestamp) {
        if event.kind == EventKind::DeviceStatusChanged {
            (self.look)();
            return;
        }
        let (Some(policy), Some(alarm)) = (self.policy, alarm(event, now)) else {
            return;
        };
        let key = alarm.key.clone();
        if !self.waiting.add(alarm, policy.merge) {
            tracing::warn!(channel = %key, "an alarm is dropped: alarms of too many channels wait to be stored");
        }
    }

    async fn store(&mut self) {
        let Some(policy) = self.policy else { return };
        let report = keep_alarms(policy, self.table, &mut self.waiting).await;
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
        self.kept.begun += report.begun;
        self.kept.extended += report.extended;
        self.kept.dropped += report.dropped;
        self.kept.failed = report.failed;
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
    // Two that listen hear it milliseconds apart.
    let heard_at = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let at = event
        .at
        .filter(|at| now.duration_since(*at).abs() <= SKEW_MAX)
        .unwrap_or(heard_at);
    Some(Alarm {
        key: ChannelKey {
            device: event.device?,
            channel: event.channel?,
        },
        at,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::fakes::{FakeTables, Weather};

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

    #[tokio::test]
    async fn two_that_listen_at_once_make_each_episode_once() {
        let (tables, policy) = (FakeTables::new(Weather::calm()), AlarmPolicy::default());
        let listener = || Listener::new(&tables, Some(&policy), || {});
        let (mut old, mut new) = (listener(), listener());
        for (second, told) in [(1_000, true), (1_020, false), (5_000, true), (9_000, false)] {
            let heard = |ms| at(second) + SignedDuration::from_millis(ms);
            let event = event(EventKind::Motion, told.then_some(second));
            old.take(event.clone(), heard(10));
            new.take(event, heard(30));
            // Both read the table before either writes to it.
            tokio::join!(old.store(), new.store());
        }
        tokio::join!(old.store(), new.store());
        let key = ChannelKey::new("A", "1");
        let rows = tables
            .list_episodes(&key, Timestamp::MIN, Timestamp::MAX)
            .await
            .unwrap();
        let starts: Vec<_> = rows.iter().map(|row| row.start).collect();
        assert_eq!(starts, [at(990), at(4_990), at(8_990)]);
        assert_eq!(rows[0].end, Some(at(1_050)));
        assert_eq!(old.kept().begun + new.kept().begun, 3);
    }
}
