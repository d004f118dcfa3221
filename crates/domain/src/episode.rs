//! Episodes: intervals somebody wants kept.
//!
//! The idea: an episode is one row, and what it protects follows from its interval. Nothing is written to the
//! segments it covers, so an hour or a year costs the same, and taking it back is one delete.

mod alarms;
mod bursts;
mod edit;
mod pages;

pub use alarms::{AlarmPolicy, AlarmReport, from_alarms, keep_alarms};
pub use bursts::{Alarm, Burst, Bursts, KINDS_MAX};
pub use edit::{CLIENT_ID, EditError, Made, create, delete, end, extend, find, set_preview};
pub use pages::{CHANNELS_PER_PAGE_MAX, Cursor, EpisodesPage, NotACursor, page};

use crate::channel::Revision;
use crate::id::ChannelKey;
use crate::segment::ObjectKey;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An interval of one channel that is kept longer than its retention. Its key is (channel, start).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Which channel.
    pub key: ChannelKey,
    /// Its first instant.
    pub start: Timestamp,
    /// Its last instant; `None` while it goes on.
    pub end: Option<Timestamp>,
    /// Why it is kept, in people's words.
    pub reason: String,
    /// What people sort and find it by, for example `case` → `4711`.
    pub labels: BTreeMap<String, String>,
    /// When it stops protecting anything; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// A picture of it in the archive.
    pub preview: Option<ObjectKey>,
    /// Who made it.
    pub origin: EpisodeOrigin,
    /// Counts writes of this row.
    pub revision: Revision,
}

/// Who made an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpisodeOrigin {
    /// A person, or a program of theirs.
    Person,
    /// Alarms of the device; later alarms may make it longer.
    Alarm,
}

/// How much longer than its row says an episode reaches on both sides: names of segments are cut to milliseconds,
/// and one frame that is in the episode keeps its segment.
pub const MARGIN: SignedDuration = SignedDuration::from_secs(1);

/// The longest reason, in bytes: a DynamoDB item holds 400 KB, a screen far less.
pub const REASON_BYTES_MAX: usize = 2_000;
/// The most labels of an episode, as many as AWS allows tags.
pub const LABELS_MAX: usize = 50;
/// The longest name or value of a label, in bytes, as AWS allows tag values.
pub const LABEL_BYTES_MAX: usize = 256;

/// What is wrong with an episode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEpisode {
    /// It ends before it starts.
    #[error("it ends at {end}, before it starts at {start}")]
    EndsBeforeItStarts {
        /// Its start.
        start: Timestamp,
        /// Its end.
        end: Timestamp,
    },
    /// The reason is empty.
    #[error("it needs a reason")]
    NoReason,
    /// The reason is too long.
    #[error("its reason has {bytes} bytes, more than {REASON_BYTES_MAX}")]
    LongReason {
        /// How long it is.
        bytes: usize,
    },
    /// Too many labels.
    #[error("it has {count} labels, more than {LABELS_MAX}")]
    ManyLabels {
        /// How many there are.
        count: usize,
    },
    /// A label is empty or too long.
    #[error("the label `{name}` is empty or longer than {LABEL_BYTES_MAX} bytes")]
    Label {
        /// Its name.
        name: String,
    },
}

impl Episode {
    /// Whether it protects video at `now`.
    pub fn protects_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether any instant of `[start, end]` lies in the episode, or within [`MARGIN`] of it.
    pub fn touches(&self, start: Timestamp, end: Timestamp) -> bool {
        let first = self.start.saturating_sub(MARGIN).unwrap_or(Timestamp::MIN);
        let last = self.end.map_or(Timestamp::MAX, |end| {
            end.saturating_add(MARGIN).unwrap_or(Timestamp::MAX)
        });
        start <= last && first <= end
    }

    /// Whether the episode may be stored.
    ///
    /// # Errors
    /// [`NotAnEpisode`] says what a person must change.
    pub fn check(&self) -> Result<(), NotAnEpisode> {
        let start = self.start;
        if let Some(end) = self.end.filter(|end| *end < start) {
            return Err(NotAnEpisode::EndsBeforeItStarts { start, end });
        }
        if self.reason.trim().is_empty() {
            return Err(NotAnEpisode::NoReason);
        }
        let bytes = self.reason.len();
        if bytes > REASON_BYTES_MAX {
            return Err(NotAnEpisode::LongReason { bytes });
        }
        let count = self.labels.len();
        if count > LABELS_MAX {
            return Err(NotAnEpisode::ManyLabels { count });
        }
        let fits = |text: &str| (1..=LABEL_BYTES_MAX).contains(&text.len());
        match self
            .labels
            .iter()
            .find(|(name, value)| !fits(name) || !fits(value))
        {
            Some((name, _)) => Err(NotAnEpisode::Label { name: name.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::rows;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn episode(start: i64, end: Option<i64>) -> Episode {
        rows::episode(ChannelKey::new("A", "1"), at(start), end.map(at))
    }

    #[test]
    fn an_episode_touches_what_reaches_into_it_by_a_frame() {
        let episode = episode(100, Some(200));
        assert!(episode.touches(at(50), at(100)));
        assert!(episode.touches(at(200), at(230)));
        assert!(episode.touches(at(120), at(150)));
        assert!(episode.touches(at(0), at(1_000)));
        assert!(!episode.touches(at(50), at(98)));
        assert!(!episode.touches(at(202), at(230)));
    }

    #[test]
    fn one_that_goes_on_touches_everything_after_its_start() {
        assert!(episode(100, None).touches(at(1_000_000), at(1_000_030)));
        assert!(!episode(100, None).touches(at(0), at(30)));
    }

    #[test]
    fn one_that_expired_protects_nothing() {
        let expired = Episode {
            expires_at: Some(at(300)),
            ..episode(100, Some(200))
        };
        assert!(expired.protects_at(at(299)) && !expired.protects_at(at(300)));
        assert!(episode(100, None).protects_at(Timestamp::MAX));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(episode(100, Some(100)).check(), Ok(()));
        assert!(matches!(
            episode(100, Some(99)).check(),
            Err(NotAnEpisode::EndsBeforeItStarts { .. })
        ));
        let with = |reason: &str, label: &str| Episode {
            reason: reason.into(),
            labels: BTreeMap::from([("case".to_owned(), label.to_owned())]),
            ..episode(100, None)
        };
        assert_eq!(with(" ", "1").check(), Err(NotAnEpisode::NoReason));
        assert_eq!(
            with(&"x".repeat(2_001), "1").check(),
            Err(NotAnEpisode::LongReason { bytes: 2_001 })
        );
        assert_eq!(
            with("x", "").check(),
            Err(NotAnEpisode::Label { name: "case".into() })
        );
        assert_eq!(with("x", "4711").check(), Ok(()));
    }
}
