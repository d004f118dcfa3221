//! I13: what is to be had is recorded soon.

use domain::ChannelKey;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The channels that could be recorded, gateway and host permitting, and are not.
#[derive(Debug, Default)]
pub(crate) struct Owed(BTreeMap<ChannelKey, Debt>);

/// Since when somebody could have done something about it.
#[derive(Debug, Clone, Copy)]
enum Debt {
    /// No poll has come to its end since.
    Unseen,
    /// Nor has a dispatch that did all it wanted to do about this channel.
    Seen,
    Due(Timestamp),
}

impl Owed {
    /// A step later: these are to be had, and those are recorded.
    pub(crate) fn measure<R>(
        &mut self,
        offered: &BTreeMap<ChannelKey, String>,
        recorded: &BTreeMap<ChannelKey, R>,
    ) {
        let is_owed = |key: &ChannelKey| offered.contains_key(key) && !recorded.contains_key(key);
        self.0.retain(|key, _| is_owed(key));
        for key in offered.keys().filter(|key| is_owed(key)) {
            self.0.entry(key.clone()).or_insert(Debt::Unseen);
        }
    }

    /// Something happened to these: they are owed anew.
    pub(crate) fn excuse(&mut self, keys: &BTreeSet<ChannelKey>) {
        for key in keys {
            self.0.entry(key.clone()).and_modify(|debt| *debt = Debt::Unseen);
        }
    }

    /// A poll has come to its end, and could do all it wanted to.
    pub(crate) fn polled(&mut self) {
        for debt in self.0.values_mut() {
            if let Debt::Unseen = debt {
                *debt = Debt::Seen;
            }
        }
    }

    /// A dispatch has, as far as these channels go.
    pub(crate) fn dispatched(&mut self, now: Timestamp, is_well: impl Fn(&ChannelKey) -> bool) {
        for (key, debt) in &mut self.0 {
            if let Debt::Seen = debt
                && is_well(key)
            {
                *debt = Debt::Due(now);
            }
        }
    }

    /// The channel that has been due for longest, and for how long.
    pub(crate) fn longest(&self, now: Timestamp) -> Option<(&ChannelKey, SignedDuration)> {
        let due = self.0.iter().filter_map(|(key, debt)| match debt {
            Debt::Unseen | Debt::Seen => None,
            Debt::Due(at) => Some((key, now.duration_since(*at))),
        });
        due.max_by_key(|(_, lost)| *lost)
    }
}
