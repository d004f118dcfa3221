//! I13: what is to be had is recorded soon.

use domain::ChannelKey;
use domain::dispatch::Report;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// The channels that could be recorded, gateway and host permitting, and are not; each with the URL it is to be had under.
#[derive(Debug, Default)]
pub(crate) struct Owed(BTreeMap<ChannelKey, (String, Debt)>);

/// How far the loops have come with it since.
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
        let is_same =
            |key: &ChannelKey, url: &String| offered.get(key) == Some(url) && !recorded.contains_key(key);
        self.0.retain(|key, (url, _)| is_same(key, url));
        let missing = offered.iter().filter(|(key, _)| !recorded.contains_key(*key));
        for (key, url) in missing {
            let begins = || (url.clone(), Debt::Unseen);
            self.0.entry(key.clone()).or_insert_with(begins);
        }
    }

    /// A poll has come to its end, and could do all it wanted to.
    pub(crate) fn polled(&mut self) {
        for (_, debt) in self.0.values_mut() {
            if let Debt::Unseen = debt {
                *debt = Debt::Seen;
            }
        }
    }

    /// A dispatch has, as far as these channels go.
    pub(crate) fn dispatched(&mut self, now: Timestamp, report: &Report) {
        if report.failure.is_some() || report.credentials_rejected.is_some() || report.launches_left > 0 {
            return;
        }
        for (key, (_, debt)) in &mut self.0 {
            let name = key.to_string();
            let failed = report.failed.iter().any(|step| step.contains(&name));
            if let Debt::Seen = debt
                && !failed
            {
                *debt = Debt::Due(now);
            }
        }
    }

    /// The channel that has been due for longest, and for how long.
    pub(crate) fn longest(&self, now: Timestamp) -> Option<(&ChannelKey, SignedDuration)> {
        let due = self.0.iter().filter_map(|(key, (_, debt))| match debt {
            Debt::Unseen | Debt::Seen => None,
            Debt::Due(at) => Some((key, now.duration_since(*at))),
        });
        due.max_by_key(|(_, lost)| *lost)
    }
}
