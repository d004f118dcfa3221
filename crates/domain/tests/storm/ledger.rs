//! Who keeps which picture: the truth that M1 is held against.

use super::fleet::STEP;
use super::recording::Settlement;
use domain::{ChannelKey, Generation, SegmentKey, TaskArn};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What follows a first picture by more is kept by both ...
const VOUCHED_FOR: SignedDuration = SignedDuration::from_secs(60);
/// ... give or take what two recorders' clocks are apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(4);

/// One recorder in one generation of a channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Keeper {
    pub(crate) task: TaskArn,
    pub(crate) generation: Generation,
}

impl Keeper {
    pub(super) fn new(task: &TaskArn, generation: Generation) -> Self {
        let task = task.clone();
        Self { task, generation }
    }
}

/// All pictures that anybody recorded, each with all who have it on disk or in the archive.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    kept: BTreeMap<ChannelKey, BTreeMap<Timestamp, BTreeSet<Keeper>>>,
}

impl Ledger {
    /// The pictures of the step that ends now.
    pub(super) fn enter(&mut self, now: Timestamp, recorded: &BTreeMap<ChannelKey, BTreeSet<Keeper>>) {
        for (key, keepers) in recorded {
            let pictures = self.kept.entry(key.clone()).or_default();
            pictures.insert(now - STEP, keepers.clone());
        }
    }

    /// This keeper has the segment no more.
    pub(super) fn lose(&mut self, task: &TaskArn, segment: &SegmentKey) {
        let keeper = Keeper::new(task, segment.generation);
        let Some(kept) = self.kept.get_mut(&segment.channel) else {
            return;
        };
        for (_, keepers) in kept.range_mut(segment.start..segment.end()) {
            keepers.remove(&keeper);
        }
    }

    /// M1: what a recorder drops at the end of a handover another one has, unless that died or hung in the very minute after it
    /// began; and what it keeps the other one has not, where it heard of that one in time and found what it began with. Where
    /// somebody deleted the row the other one stops at once, too.
    pub(super) fn settle(&mut self, settlement: &Settlement, goes_on: impl Fn(&Keeper, Timestamp) -> bool) {
        let Some(first) = settlement.began_with else {
            assert_eq!(settlement.theirs, [], "M1: nobody knows whether somebody has it");
            return;
        };
        let follows = |segment: &SegmentKey| segment.start.duration_since(first.at);
        let heir_works = settlement
            .heir
            .as_ref()
            .is_some_and(|heir| goes_on(heir, first.at));
        for segment in &settlement.theirs {
            self.lose(&settlement.keeper.task, segment);
            let is_lost = self.pictures(segment).any(|(_, keepers)| keepers.is_empty());
            let is_vouched_for = follows(segment) <= VOUCHED_FOR + CLOCKS_APART;
            assert!(
                !is_lost || !heir_works && is_vouched_for,
                "M1: {segment} is dropped, and nobody else has it: {settlement:?}"
            );
        }
        let (Some(heir), Some(_), true) = (&settlement.heir, settlement.found, settlement.in_time) else {
            return;
        };
        let vouched_for = |segment: &&SegmentKey| follows(segment) <= VOUCHED_FOR - CLOCKS_APART;
        for segment in settlement.ours.iter().filter(vouched_for) {
            let twice = self.pictures(segment).find(|(_, keepers)| keepers.contains(heir));
            assert!(
                twice.is_none(),
                "M1: {segment} is kept twice: {twice:?}, {settlement:?}"
            );
        }
    }

    /// The channels of which somebody had the picture before the last one and nobody has the last one, although one of
    /// those who had it goes on: that one.
    pub(super) fn broken_off(
        &self,
        now: Timestamp,
        goes_on: &impl Fn(&ChannelKey, &Keeper) -> bool,
    ) -> Vec<(ChannelKey, Keeper)> {
        let broken_off = self.kept.iter().filter_map(|(key, pictures)| {
            let mut of_before = pictures.get(&(now - STEP - STEP)).into_iter().flatten();
            let is_kept = pictures
                .get(&(now - STEP))
                .is_some_and(|keepers| !keepers.is_empty());
            let keeper = of_before.find(|keeper| !is_kept && goes_on(key, keeper))?;
            Some((key.clone(), keeper.clone()))
        });
        broken_off.collect()
    }

    fn pictures(&self, segment: &SegmentKey) -> impl Iterator<Item = (&Timestamp, &BTreeSet<Keeper>)> {
        let kept = self.kept.get(&segment.channel).into_iter();
        kept.flat_map(|pictures| pictures.range(segment.start..segment.end()))
    }
}
