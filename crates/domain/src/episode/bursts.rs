use crate::id::ChannelKey;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Something a device reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Where.
    pub key: ChannelKey,
    /// When, by our clock.
    pub at: Timestamp,
    /// What, for example `motion`.
    pub kind: String,
}

/// Alarms of a channel that follow closely on each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// What they were; at most [`KINDS_MAX`].
    pub kinds: BTreeSet<String>,
}

/// Kinds of alarms named in one episode: devices have a dozen, and a hostile one may invent them.
pub const KINDS_MAX: usize = 16;
/// Bursts of a channel that wait to be stored: alarms that are so far apart, for so long, wait for a table that is
/// away. The oldest grow together then.
const WAITING_MAX: usize = 100;
/// Channels whose bursts wait: more than one gateway has. Alarms of further ones are dropped.
const CHANNELS_MAX: usize = 10_000;

/// Alarms that wait to be stored, few however many there were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bursts(BTreeMap<ChannelKey, Vec<Burst>>);

impl Bursts {
    /// Adds an alarm to the burst it follows within `merge`, or begins one. `false` when there is no room for it.
    #[must_use]
    pub fn add(&mut self, alarm: Alarm, merge: SignedDuration) -> bool {
        if self.0.len() >= CHANNELS_MAX && !self.0.contains_key(&alarm.key) {
            return false;
        }
        let bursts = self.0.entry(alarm.key).or_default();
        let burst = Burst {
            first: alarm.at,
            last: alarm.at,
            kinds: BTreeSet::from([alarm.kind]),
        };
        insert(bursts, burst, merge);
        true
    }

    /// Puts back what could not be stored.
    pub fn put_back(&mut self, key: ChannelKey, waiting: Vec<Burst>, merge: SignedDuration) {
        let bursts = self.0.entry(key).or_default();
        for burst in waiting {
            insert(bursts, burst, merge);
        }
    }

    /// Takes all, by channel and time.
    pub fn take(&mut self) -> BTreeMap<ChannelKey, Vec<Burst>> {
        std::mem::take(&mut self.0)
    }
}

/// Keeps `bursts` in order, apart by more than `merge`, and few.
fn insert(bursts: &mut Vec<Burst>, burst: Burst, merge: SignedDuration) {
    let place = bursts.partition_point(|other| other.first <= burst.first);
    bursts.insert(place, burst);
    let mut at = place.saturating_sub(1);
    while at + 1 < bursts.len() {
        if bursts[at + 1].first.duration_since(bursts[at].last) <= merge {
            join(bursts, at);
        } else if at >= place {
            break;
        } else {
            at += 1;
        }
    }
    if bursts.len() > WAITING_MAX {
        join(bursts, 0);
    }
}

/// Makes one burst of the one at `at` and the next.
fn join(bursts: &mut Vec<Burst>, at: usize) {
    let next = bursts.remove(at + 1);
    let burst = &mut bursts[at];
    burst.last = burst.last.max(next.last);
    for kind in next.kinds {
        if burst.kinds.len() < KINDS_MAX {
            burst.kinds.insert(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MERGE: SignedDuration = SignedDuration::from_secs(60);

    fn alarm(second: i64, kind: &str) -> Alarm {
        Alarm {
            key: ChannelKey::new("A", "1"),
            at: Timestamp::from_second(second).unwrap(),
            kind: kind.into(),
        }
    }

    #[test]
    fn a_storm_of_alarms_is_one_burst_with_few_kinds() {
        let mut bursts = Bursts::default();
        for number in 0..10_000 {
            assert!(bursts.add(alarm(number / 10, &number.to_string()), MERGE));
        }
        let taken = bursts.take();
        let waiting = &taken[&ChannelKey::new("A", "1")];
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].kinds.len(), KINDS_MAX);
        assert_eq!(waiting[0].last.as_second(), 999);
    }

    #[test]
    fn a_hostile_gateway_cannot_make_it_remember_channels_without_end() {
        let mut bursts = Bursts::default();
        let of = |channel: usize| Alarm {
            key: ChannelKey::new("A", channel.to_string().as_str()),
            ..alarm(0, "motion")
        };
        assert!((0..CHANNELS_MAX).all(|channel| bursts.add(of(channel), MERGE)));
        assert!(!bursts.add(of(CHANNELS_MAX), MERGE));
        assert!(bursts.add(of(0), MERGE));
    }

    proptest! {
        #[test]
        fn in_whatever_order_alarms_come_bursts_are_apart_and_cover_all(
            seconds in prop::collection::vec(0_i64..20_000, 1..300)
        ) {
            let mut bursts = Bursts::default();
            for second in &seconds {
                prop_assert!(bursts.add(alarm(*second, "motion"), MERGE));
            }
            let taken = bursts.take();
            let waiting = &taken[&ChannelKey::new("A", "1")];
            prop_assert!(waiting.len() <= WAITING_MAX);
            for pair in waiting.windows(2) {
                prop_assert!(pair[1].first.duration_since(pair[0].last) > MERGE);
            }
            for second in seconds {
                let at = Timestamp::from_second(second).unwrap();
                prop_assert!(waiting.iter().any(|burst| burst.first <= at && at <= burst.last));
            }
        }
    }
}
