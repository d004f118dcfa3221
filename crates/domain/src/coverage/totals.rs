use super::{Span, State};
use crate::gap::GapCause;
use jiff::SignedDuration;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// How much of a range is what; of several channels together when they are added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// There is video.
    #[serde(rename = "recordedSeconds", serialize_with = "seconds")]
    pub recorded: SignedDuration,
    /// There is none, by cause; without [`GapCause::NotWanted`].
    #[serde(rename = "lostSeconds", serialize_with = "seconds_by_cause")]
    pub lost: BTreeMap<GapCause, SignedDuration>,
    /// There is none, and nothing says why.
    #[serde(rename = "unexplainedSeconds", serialize_with = "seconds")]
    pub unexplained: SignedDuration,
    /// Nobody wanted any.
    #[serde(rename = "notWantedSeconds", serialize_with = "seconds")]
    pub not_wanted: SignedDuration,
}

impl Totals {
    /// Adds up the spans of one channel.
    pub fn of(spans: &[Span]) -> Self {
        let mut totals = Self::default();
        for span in spans {
            let sum = match span.state {
                State::Recorded => &mut totals.recorded,
                State::Gap(GapCause::NotWanted) => &mut totals.not_wanted,
                State::Gap(cause) => totals.lost.entry(cause).or_default(),
                State::Unexplained => &mut totals.unexplained,
            };
            *sum = sum.saturating_add(span.duration());
        }
        totals
    }

    /// Adds another channel's.
    pub fn add(&mut self, other: &Self) {
        self.recorded = self.recorded.saturating_add(other.recorded);
        self.unexplained = self.unexplained.saturating_add(other.unexplained);
        self.not_wanted = self.not_wanted.saturating_add(other.not_wanted);
        for (cause, lost) in &other.lost {
            let sum = self.lost.entry(*cause).or_default();
            *sum = sum.saturating_add(*lost);
        }
    }

    /// What took the most of what was wanted, and how much that is; `None` when nothing is missing.
    pub fn worst(&self) -> Option<(State, SignedDuration)> {
        let explained = self.lost.iter().map(|(cause, lost)| (State::Gap(*cause), *lost));
        let all = explained.chain([(State::Unexplained, self.unexplained)]);
        all.filter(|(_, lost)| *lost > SignedDuration::ZERO)
            .max_by_key(|(_, lost)| *lost)
    }

    /// All that was wanted, recorded or not.
    pub fn wanted(&self) -> SignedDuration {
        let lost = self
            .lost
            .values()
            .fold(SignedDuration::ZERO, |sum, lost| sum.saturating_add(*lost));
        self.recorded
            .saturating_add(lost)
            .saturating_add(self.unexplained)
    }

    /// How many percent of what was wanted are recorded; `None` when nothing was wanted.
    pub fn percent(&self) -> Option<f64> {
        let wanted = self.wanted();
        (wanted > SignedDuration::ZERO).then(|| 100.0 * self.recorded.as_secs_f64() / wanted.as_secs_f64())
    }
}

pub(crate) fn seconds<S: Serializer>(time: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn seconds_by_cause<S: Serializer>(
    lost: &BTreeMap<GapCause, SignedDuration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        lost.iter()
            .map(|(cause, time)| (cause.to_string(), time.as_secs_f64())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn span(start: i64, end: i64, state: State) -> Span {
        let at = |second| Timestamp::from_second(second).unwrap();
        Span {
            start: at(start),
            end: at(end),
            state,
        }
    }

    #[test]
    fn what_nobody_wanted_is_not_counted_as_lost() {
        let mut totals = Totals::of(&[
            span(0, 50, State::Gap(GapCause::NotWanted)),
            span(50, 140, State::Recorded),
            span(140, 149, State::Gap(GapCause::Network)),
            span(149, 150, State::Unexplained),
        ]);
        assert_eq!(totals.percent(), Some(90.0));
        totals.add(&Totals::of(&[span(0, 100, State::Recorded)]));
        assert_eq!(totals.percent(), Some(95.0));
        assert_eq!(totals.wanted(), SignedDuration::from_secs(200));
    }

    #[test]
    fn a_channel_that_nobody_wanted_has_no_percentage() {
        assert_eq!(
            Totals::of(&[span(0, 50, State::Gap(GapCause::NotWanted))]).percent(),
            None
        );
        assert_eq!(Totals::default().percent(), None);
    }
}
