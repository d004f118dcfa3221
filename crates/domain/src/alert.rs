//! What a person is told, and how often.
//!
//! A loop looks many times an hour; a person wants to hear once that something broke and once that it is well
//! again. [`Watch`] is the memory in between: a loop names everything that is wrong *now*, and the watch says
//! which of it is news.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A message a person understands: what, since when, what happens next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// How urgent.
    pub severity: Severity,
    /// What it is about, stable across repetitions, for example `poll` or `channel A/1`.
    pub subject: String,
    /// The message, with what was seen and what to do.
    pub text: String,
    /// Since when it is so.
    pub since: Timestamp,
}

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It was wrong and is right again.
    Resolved,
    /// Somebody should look during the day.
    Warning,
    /// Video is being lost, or nobody can tell whether it is.
    Critical,
}

/// Something that is wrong at this look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is about; the same trouble has the same subject at every look.
    pub subject: String,
    /// How urgent.
    pub severity: Severity,
    /// What is wrong and what to do.
    pub text: String,
    /// How many looks in a row must see it before a person is told; at least 1.
    pub patience_looks: u32,
}

/// A person is reminded of a trouble that lasts this often.
pub const REMINDER: SignedDuration = SignedDuration::from_hours(6);

/// What an alert says that could not be remembered.
pub const UNREMEMBERED: &str = "; this could not be written down, so nobody may hear when it is over";

/// Which troubles stand, and which of them people know of. It changes only when there is news, so a quiet or an
/// unchanged world writes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watch(BTreeMap<String, Standing>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    since: Timestamp,
    looks: u32,
    told_at: Option<Timestamp>,
    /// When somebody set out to tell people. Until they are known to be told they may have been, or may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claimed_at: Option<Timestamp>,
}

/// Who set out to tell people and has not done so after this time never will.
const CLAIM: SignedDuration = SignedDuration::from_secs(30);

impl Standing {
    fn is_being_told(&self, now: Timestamp) -> bool {
        let age = |claimed_at| now.duration_since(claimed_at).abs();
        self.claimed_at.is_some_and(|claimed_at| age(claimed_at) < CLAIM)
    }
}

impl Watch {
    /// Takes in one look: the watch once the alerts are delivered, and the alerts that are news. A trouble no longer
    /// named is resolved, and said to be if people may have been told of it. What somebody is telling people of right
    /// now is left to them.
    pub fn look(&self, troubles: &[Trouble], now: Timestamp) -> (Self, Vec<Alert>) {
        let mut after = Self::default();
        let mut alerts = Vec::new();
        for trouble in troubles {
            let (standing, alert) = self.follow(trouble, now);
            after.0.insert(trouble.subject.clone(), standing);
            alerts.extend(alert);
        }
        for (subject, standing) in &self.0 {
            if after.0.contains_key(subject) {
                continue;
            }
            if standing.is_being_told(now) {
                after.0.insert(subject.clone(), standing.clone());
            } else if standing.told_at.is_some() || standing.claimed_at.is_some() {
                alerts.push(resolved(subject, standing.since));
            }
        }
        (after, alerts)
    }

    /// The watch to remember before the alerts of a look are sent, with `after` from that look: whoever finds it knows
    /// that people may have been told.
    #[must_use]
    pub fn claim(&self, after: &Self, news: &[Alert], now: Timestamp) -> Self {
        let mut claimed = after.clone();
        for alert in news {
            let before = self.0.get(&alert.subject);
            match (alert.severity, before) {
                (Severity::Resolved, Some(before)) => {
                    claimed.0.insert(alert.subject.clone(), before.clone());
                }
                (Severity::Resolved, None) => {}
                (Severity::Warning | Severity::Critical, before) => {
                    if let Some(standing) = claimed.0.get_mut(&alert.subject) {
                        standing.told_at = before.and_then(|before| before.told_at);
                        standing.claimed_at = Some(now);
                    }
                }
            }
        }
        claimed
    }

    /// Takes in that an alert was delivered, with `before` and `after` from the look that gave it. A trouble that
    /// somebody has set out to tell people of since is not over.
    pub fn settle(&mut self, before: &Self, after: &Self, alert: &Alert) {
        match after.0.get(&alert.subject) {
            Some(standing) => _ = self.0.insert(alert.subject.clone(), standing.clone()),
            None if self.0.get(&alert.subject) == before.0.get(&alert.subject) => {
                self.0.remove(&alert.subject);
            }
            None => {}
        }
    }

    /// What people were told of and not yet that it is over, by subject, each with since when it is so.
    pub fn told(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        let told = self.0.iter().filter(|(_, standing)| standing.told_at.is_some());
        told.map(|(subject, standing)| (subject.as_str(), standing.since))
    }

    fn follow(&self, trouble: &Trouble, now: Timestamp) -> (Standing, Option<Alert>) {
        let mut standing = self.0.get(&trouble.subject).cloned().unwrap_or(Standing {
            since: now,
            looks: 0,
            told_at: None,
            claimed_at: None,
        });
        if standing.is_being_told(now) {
            return (standing, None);
        }
        let due = match standing.told_at {
            Some(told_at) => now.duration_since(told_at) >= REMINDER,
            None => {
                standing.looks = standing.looks.saturating_add(1);
                standing.looks >= trouble.patience_looks
            }
        };
        if !due {
            return (standing, None);
        }
        standing.told_at = Some(now);
        standing.claimed_at = None;
        let alert = Alert {
            severity: trouble.severity,
            subject: trouble.subject.clone(),
            text: trouble.text.clone(),
            since: standing.since,
        };
        (standing, Some(alert))
    }
}

fn resolved(subject: &str, since: Timestamp) -> Alert {
    Alert {
        severity: Severity::Resolved,
        subject: subject.to_owned(),
        text: format!("{subject} is well again"),
        since,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(patience_looks: u32) -> Trouble {
        Trouble {
            subject: "poll".into(),
            severity: Severity::Critical,
            text: "broken".into(),
            patience_looks,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_lasting_trouble_is_told_once_and_its_end_once() {
        let mut watch = Watch::default();
        let mut told = Vec::new();
        for second in 0..100 {
            let standing = if second < 50 { vec![trouble(1)] } else { vec![] };
            let (after, alerts) = watch.look(&standing, at(second));
            told.extend(alerts.into_iter().map(|alert| (second, alert.severity)));
            watch = after;
        }
        assert_eq!(told, [(0, Severity::Critical), (50, Severity::Resolved)]);
    }

    #[test]
    fn a_hiccup_shorter_than_the_patience_is_not_told() {
        let (watch, alerts) = Watch::default().look(&[trouble(2)], at(0));
        assert!(alerts.is_empty());
        let (watch, alerts) = watch.look(&[], at(1));
        assert!(alerts.is_empty());
        assert_eq!(watch, Watch::default());
    }

    #[test]
    fn a_lasting_trouble_changes_the_memory_only_when_told() {
        let (watch, _) = Watch::default().look(&[trouble(1)], at(0));
        let (again, alerts) = watch.look(&[trouble(1)], at(60));
        assert_eq!((again, alerts.len()), (watch.clone(), 0));
        let (_, reminder) = watch.look(&[trouble(1)], at(REMINDER.as_secs()));
        assert_eq!(reminder.len(), 1);
    }

    #[test]
    fn an_alert_that_was_not_delivered_is_told_again_or_at_least_its_end() {
        let before = Watch::default();
        let (after, news) = before.look(&[trouble(1)], at(0));
        let claimed = before.claim(&after, &news, at(0));
        assert_eq!(
            claimed.look(&[trouble(1)], at(60)).1[0].severity,
            Severity::Critical
        );
        assert_eq!(claimed.look(&[], at(60)).1[0].severity, Severity::Resolved);
    }

    #[test]
    fn what_somebody_is_telling_is_told_by_nobody_else() {
        let before = Watch::default();
        let (after, news) = before.look(&[trouble(1)], at(0));
        let claimed = before.claim(&after, &news, at(0));
        for troubles in [vec![], vec![trouble(1)]] {
            assert_eq!(claimed.look(&troubles, at(5)), (claimed.clone(), vec![]));
        }
    }

    #[test]
    fn an_end_that_was_not_delivered_is_told_again() {
        let (told, _) = Watch::default().look(&[trouble(1)], at(0));
        let (well, news) = told.look(&[], at(1));
        let mut claimed = told.claim(&well, &news, at(1));
        assert_eq!(claimed.look(&[], at(2)).1[0].severity, Severity::Resolved);
        claimed.settle(&told, &well, &news[0]);
        assert_eq!(claimed, Watch::default());
    }

    #[test]
    fn an_end_does_not_hide_what_somebody_has_set_out_to_tell_since() {
        let (told, _) = Watch::default().look(&[trouble(1)], at(0));
        let (well, ended) = told.look(&[], at(1));
        let (again, news) = Watch::default().look(&[trouble(1)], at(1));
        let mut claimed = Watch::default().claim(&again, &news, at(1));
        claimed.settle(&told, &well, &ended[0]);
        assert_eq!(claimed.look(&[], at(60)).1[0].severity, Severity::Resolved);
    }
}
