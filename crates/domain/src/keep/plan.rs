use crate::episode::Episode;
use crate::ports::StoredObject;
use crate::segment::{Archived, ObjectKey};
use crate::storage::StorageClass;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What becomes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep(Because),
    /// It goes: it is older than its retention since then, and no episode wants it.
    Free {
        /// When its retention was over.
        since: Timestamp,
    },
}

/// Why an object stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// Its key is not one of ours.
    NotOurs,
    /// Its channel keeps all (`retention-days` is 0).
    AllIsKept,
    /// It is younger than its retention.
    Young {
        /// When that is over.
        until: Timestamp,
    },
    /// An episode touches it.
    Episode {
        /// Where the episode starts.
        start: Timestamp,
        /// What people said of it.
        reason: String,
        /// Until when it protects; `None` is for ever.
        until: Option<Timestamp>,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep(because) => write!(f, "kept: {because}"),
            Self::Free { since } => write!(
                f,
                "free since {since}: past its retention, and no episode touches it"
            ),
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("its name is not one of ours"),
            Self::AllIsKept => f.write_str("its channel keeps all (retention-days = 0)"),
            Self::Young { until } => write!(f, "its retention lasts until {until}"),
            Self::Episode { start, reason, until } => {
                write!(f, "the episode from {start} touches it ({reason:?})")?;
                match until {
                    Some(until) => write!(f, ", until {until}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Judges one object of a channel that keeps video for `retention_days` days of 24 h and has these episodes.
pub fn verdict(key: &ObjectKey, retention_days: u32, episodes: &[Episode], now: Timestamp) -> Verdict {
    let Some(archived) = Archived::parse(key) else {
        return Verdict::Keep(Because::NotOurs);
    };
    if retention_days == 0 {
        return Verdict::Keep(Because::AllIsKept);
    }
    let since = archived
        .end()
        .saturating_add(retention(retention_days))
        .unwrap_or(Timestamp::MAX);
    if now < since {
        return Verdict::Keep(Because::Young { until: since });
    }
    let protects =
        |episode: &&Episode| episode.protects_at(now) && episode.touches(archived.start(), archived.end());
    match episodes.iter().find(protects) {
        Some(episode) => Verdict::Keep(Because::Episode {
            start: episode.start,
            reason: episode.reason.clone(),
            until: episode.expires_at,
        }),
        None => Verdict::Free { since },
    }
}

/// Days of 24 h.
pub(super) fn retention(days: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

/// What one page of a channel's listing comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PagePlan {
    /// What goes, in key order.
    pub delete: Vec<ObjectKey>,
    /// How many bytes that is.
    pub delete_bytes: u64,
    /// Of them, by the class they lie in where there are classes.
    pub delete_bytes_by_class: BytesByClass,
    /// Objects past their retention that episodes keep.
    pub kept_by_episodes: usize,
    /// How many bytes they have.
    pub kept_bytes: u64,
    /// Of them, by class.
    pub kept_bytes_by_class: BytesByClass,
    /// Objects whose keys are not ours.
    pub not_ours: usize,
    /// Everything from here on is younger than the retention: the rest of the listing need not be read.
    pub reached_the_young: bool,
}

/// Bytes by the class they lie in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BytesByClass(pub BTreeMap<StorageClass, u64>);

impl BytesByClass {
    /// Whether there are none; so it is where there are no classes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn count(&mut self, object: &StoredObject) {
        if let Some(class) = object.class {
            self.add(class, object.size_bytes);
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (class, bytes) in &other.0 {
            self.add(*class, *bytes);
        }
    }

    fn add(&mut self, class: StorageClass, bytes: u64) {
        let sum = self.0.entry(class).or_default();
        *sum = sum.saturating_add(bytes);
    }
}

/// Plans a page: a pure function of what was listed and read. The channel's retention is not 0.
pub fn plan(objects: &[StoredObject], retention_days: u32, episodes: &[Episode], now: Timestamp) -> PagePlan {
    let mut plan = PagePlan::default();
    for object in objects {
        match verdict(&object.key, retention_days, episodes, now) {
            Verdict::Free { .. } => {
                plan.delete.push(object.key.clone());
                plan.delete_bytes = plan.delete_bytes.saturating_add(object.size_bytes);
                plan.delete_bytes_by_class.count(object);
            }
            Verdict::Keep(Because::Episode { .. }) => {
                plan.kept_by_episodes += 1;
                plan.kept_bytes = plan.kept_bytes.saturating_add(object.size_bytes);
                plan.kept_bytes_by_class.count(object);
            }
            Verdict::Keep(Because::NotOurs) => plan.not_ours += 1,
            Verdict::Keep(Because::Young { .. }) => {
                plan.reached_the_young |= starts_a_young_day(&object.key, retention_days, now);
            }
            Verdict::Keep(Because::AllIsKept) => {}
        }
    }
    plan
}

/// Whether all keys after this one are young. Keys sort by their start, but a long segment ends after later, shorter
/// ones, so a young segment says nothing of those that follow; a young *start* does.
fn starts_a_young_day(key: &ObjectKey, retention_days: u32, now: Timestamp) -> bool {
    let young_from = now
        .saturating_sub(retention(retention_days))
        .unwrap_or(Timestamp::MIN);
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    Archived::parse(key).is_some_and(|archived| day(archived.start()) > day(young_from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::rows;
    use crate::id::{ChannelKey, Generation};
    use crate::segment::{SegmentKey, still_key};
    use std::collections::BTreeMap;

    const DAY: i64 = 24 * 60 * 60;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn channel() -> ChannelKey {
        ChannelKey::new("A", "1")
    }

    fn segment(start: i64, seconds: i64) -> ObjectKey {
        let length = SignedDuration::from_secs(seconds);
        SegmentKey::new(channel(), at(start), length, Generation(1)).object_key()
    }

    fn episode(start: i64, end: i64, expires_at: Option<i64>) -> Episode {
        Episode {
            expires_at: expires_at.map(at),
            ..rows::episode(channel(), at(start), Some(at(end)))
        }
    }

    #[test]
    fn each_rule_says_what_it_is() {
        let episodes = [episode(1_020, 1_100, Some(20 * DAY))];
        let lines = [
            (segment(0, 30), 7, 8 * DAY),
            (segment(0, 30), 7, 7 * DAY),
            (segment(0, 30), 0, 800 * DAY),
            (segment(990, 30), 7, 8 * DAY),
            (segment(1_080, 30), 7, 20 * DAY),
            (ObjectKey("A/1/1970/01/01/notes.txt".into()), 7, 80 * DAY),
        ]
        .map(|(key, days, now)| verdict(&key, days, &episodes, at(now)).to_string());
        insta::assert_snapshot!(lines.join("\n"), @r#"
        free since 1970-01-08T00:00:30Z: past its retention, and no episode touches it
        kept: its retention lasts until 1970-01-08T00:00:30Z
        kept: its channel keeps all (retention-days = 0)
        kept: the episode from 1970-01-01T00:17:00Z touches it ("break-in"), until 1970-01-21T00:00:00Z
        free since 1970-01-08T00:18:30Z: past its retention, and no episode touches it
        kept: its name is not one of ours
        "#);
    }

    #[test]
    fn a_still_of_an_episode_is_kept_with_it() {
        let episodes = [episode(1_020, 1_100, None)];
        let of = |second| {
            verdict(
                &still_key(&channel(), at(second), Generation(1)),
                1,
                &episodes,
                at(9 * DAY),
            )
        };
        assert!(matches!(of(1_050), Verdict::Keep(Because::Episode { .. })));
        assert!(matches!(of(1_500), Verdict::Free { .. }));
    }

    #[test]
    fn a_long_segment_never_hides_shorter_ones_that_are_due() {
        let listed = [segment(0, 600), segment(10, 30), segment(2 * DAY, 30)];
        let objects = listed.clone().map(|key| StoredObject {
            key,
            size_bytes: 5,
            class: Some(StorageClass::Glacier),
        });
        let plan = plan(&objects, 1, &[], at(DAY + 60));
        assert_eq!(
            plan.delete_bytes_by_class.0,
            BTreeMap::from([(StorageClass::Glacier, 5)])
        );
        assert_eq!((plan.delete, plan.delete_bytes), (vec![listed[1].clone()], 5));
        assert!(plan.reached_the_young);
    }
}
