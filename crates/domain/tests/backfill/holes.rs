//! The holes of the storm: how each came about, what of it may be asked for and when, and what must be filled in the end.

use super::{World, at, check_filled_between, gap, live, live_between};
use domain::backfill::{BackfillPolicy, Fate, Missing};
use domain::fakes::Random;
use domain::ports::GapsTable;
use domain::{ChannelKey, Gap, GapCause, Generation, SegmentKey};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use std::ops::Range;

/// When the storm begins.
pub(crate) const BEGIN: i64 = 1_000_000;
/// What is unexplained so far beside a row of a gap may be filled with it.
const AROUND: SignedDuration = SignedDuration::from_mins(10);
/// Names of segments are cut to milliseconds, and ends may touch by as much as coverage joins.
const BLUR: SignedDuration = SignedDuration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    OneCause,
    TwoCauses,
    /// Its second half was not wanted.
    PartlyNotWanted,
    /// Nothing says why its second half is missing.
    PartlyUnexplained,
    TooShort,
    /// It lasts when the storm begins.
    NotOver,
    /// It is soon too old.
    Old,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::OneCause,
        Self::TwoCauses,
        Self::PartlyNotWanted,
        Self::PartlyUnexplained,
        Self::TooShort,
        Self::NotOver,
        Self::Old,
    ];

    /// Where it begins and how long it lasts.
    fn place(self, random: &mut Random) -> (Timestamp, SignedDuration) {
        let mut below = |bound| i64::try_from(random.below(bound)).unwrap();
        let usual = 5 + below(1_500);
        match self {
            Self::OneCause | Self::TwoCauses | Self::PartlyNotWanted | Self::PartlyUnexplained => (
                at(BEGIN - 50_000 + below(1_000)),
                SignedDuration::from_secs(usual),
            ),
            Self::TooShort => (at(BEGIN - 50_000), SignedDuration::from_millis(600)),
            Self::NotOver => (at(BEGIN - 600), SignedDuration::from_secs(3_600 + usual)),
            Self::Old => {
                let horizon = BackfillPolicy::default().horizon;
                (
                    at(BEGIN) - horizon + SignedDuration::from_secs(below(20_000)),
                    SignedDuration::from_secs(usual),
                )
            }
        }
    }
}

/// A stretch of a channel that nobody recorded.
#[derive(Debug)]
pub(crate) struct Hole {
    pub(crate) key: ChannelKey,
    pub(crate) kind: Kind,
    start: Timestamp,
    middle: Timestamp,
    pub(crate) end: Timestamp,
    is_over: bool,
}

impl Hole {
    /// Makes the hole, and has the device record around it; mostly with a hole of its own, seldom nothing at all.
    pub(crate) fn dig(world: &World, key: &ChannelKey, kind: Kind, random: &mut Random) -> Self {
        let (start, length) = kind.place(random);
        let hole = Self {
            key: key.clone(),
            kind,
            start,
            middle: start + SignedDuration::from_secs(length.as_secs() / 2),
            end: start + length,
            is_over: kind != Kind::NotOver,
        };
        world.want(key, true);
        world
            .archive
            .place(live_between(key, at(0), start).object_key(), b"live");
        if hole.is_over {
            world
                .archive
                .place(live_between(key, hole.end, at(BEGIN)).object_key(), b"live");
        }
        for row in hole.rows() {
            block_on(world.tables.put_gap(&row)).unwrap();
        }
        if random.percent(90) {
            let from = start.as_second() - 30 + i64::try_from(random.below(120)).unwrap();
            world.footage.record(key, at(from)..at(from + 400));
            world.footage.record(key, at(from + 450)..at(from + 6_000));
        }
        hole
    }

    fn rows(&self) -> Vec<Gap> {
        let row = |start: Timestamp, end, cause| Gap {
            key: self.key.clone(),
            start,
            end,
            cause,
        };
        let network = GapCause::Network;
        match self.kind {
            Kind::OneCause | Kind::TooShort | Kind::Old => vec![row(self.start, Some(self.end), network)],
            Kind::TwoCauses => vec![
                row(self.start, Some(self.middle), network),
                row(self.middle, Some(self.end), GapCause::RecorderRestarted),
            ],
            Kind::PartlyNotWanted => vec![
                row(self.start, Some(self.middle), network),
                row(self.middle, Some(self.end), GapCause::NotWanted),
            ],
            Kind::PartlyUnexplained => vec![row(self.start, Some(self.middle), network)],
            Kind::NotOver => vec![row(self.start, None, network)],
        }
    }

    /// A hole that lasts is over when its time has come: the recorder has pictures again, and for good.
    pub(crate) fn end_in_time(&mut self, world: &World) {
        if self.is_over || world.now() < self.end {
            return;
        }
        self.is_over = true;
        let (start, end) = (self.start.as_second(), self.end.as_second());
        let over = gap(&self.key, start, end, GapCause::Network);
        block_on(world.tables.calm().put_gap(&over)).unwrap();
        world
            .archive
            .place(live(&self.key, end, end + 1_000_000).object_key(), b"live");
    }

    /// The device writes over what it has of the hole's first seconds.
    pub(crate) fn overwrite(&self, world: &World, seconds: u64) {
        let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        world.footage.overwrite(&self.key, self.start + seconds);
    }

    /// A spool that was thought lost comes back, with some seconds of the hole where the archive has none. It comes late:
    /// the part of a hole that a segment follows may be ripe before the whole is.
    pub(crate) fn spool_comes_back(&self, world: &World, policy: &BackfillPolicy, second: u64) {
        let start = self.start + SignedDuration::from_secs(i64::try_from(second).unwrap());
        let end = start + SignedDuration::from_secs(10);
        let is_late = end < self.end && self.is_ripe(policy, world.now());
        let is_free = |segment: &SegmentKey| segment.end() <= start || end <= segment.start;
        if is_late && world.segments(&self.key).iter().all(is_free) {
            let late = live_between(&self.key, start, end);
            world.archive.place(late.object_key(), b"late");
        }
    }

    /// What may be asked for, and since when.
    fn ripe(&self, policy: &BackfillPolicy) -> (Range<Timestamp>, Timestamp) {
        let seen_end = self.end.min(self.middle + AROUND);
        let a_day_later = seen_end + policy.unexplained_after;
        match self.kind {
            Kind::OneCause | Kind::TwoCauses | Kind::TooShort | Kind::NotOver | Kind::Old => {
                (self.start..self.end, self.end + policy.ripe_after)
            }
            Kind::PartlyNotWanted if self.end < self.middle + AROUND => {
                (self.start..self.middle, self.end + policy.ripe_after)
            }
            Kind::PartlyNotWanted => (self.start..self.middle, a_day_later),
            Kind::PartlyUnexplained => (self.start..seen_end, a_day_later),
        }
    }

    pub(crate) fn is_ripe(&self, policy: &BackfillPolicy, now: Timestamp) -> bool {
        self.ripe(policy).1 <= now
    }

    /// A piece of it was asked for in this round. A worker that sleeps between its look at the clock and that at the
    /// archive sees what another has filled meanwhile, so by its own clock it asks for the rest too early.
    pub(crate) fn assert_may_be_asked_for(
        &self,
        policy: &BackfillPolicy,
        piece: &Missing,
        round: Range<Timestamp>,
    ) {
        let (wanted, since) = self.ripe(policy);
        assert!(
            since <= round.end,
            "asked too early for {piece:?} of {self:?}, at {}",
            round.end
        );
        assert!(
            wanted.start - BLUR <= piece.start && piece.end <= wanted.end + BLUR,
            "asked for {piece:?} of {self:?}"
        );
        assert_ne!(self.kind, Kind::TooShort, "asked for {piece:?}");
        assert!(
            piece.start >= round.start - policy.horizon,
            "{piece:?} is too old at {}",
            round.start
        );
        assert!(piece.duration() <= policy.piece_max, "{piece:?}");
    }

    /// B4 of a device that gives what it has.
    pub(crate) fn assert_filled(&self, world: &World, policy: &BackfillPolicy) {
        match self.kind {
            Kind::OneCause | Kind::TwoCauses | Kind::NotOver => {
                check_filled_between(world, &self.key, self.start..self.end);
            }
            Kind::PartlyNotWanted | Kind::PartlyUnexplained => {
                check_filled_between(world, &self.key, self.start..self.middle);
            }
            Kind::TooShort => assert!(self.fetched(world).is_empty(), "{self:?} is too short"),
            Kind::Old => assert!(
                world.now() - policy.horizon > self.end,
                "{self:?} is to be too old by now"
            ),
        }
    }

    /// Of a device that never gives anything, what it has is settled in the end.
    pub(crate) fn assert_given_up(&self, world: &World) {
        assert!(
            self.fetched(world).is_empty(),
            "{self:?}: the device gave nothing"
        );
        let memory = world.memory();
        let mut moment = self.start;
        while moment < self.end {
            let settled = memory
                .settled(&self.key)
                .iter()
                .find(|s| s.start <= moment && moment < s.end);
            let fate = settled.map(|settled| settled.fate);
            assert!(
                fate == Some(Fate::Fetched) || !world.footage.has(&self.key, moment),
                "{self:?}: {moment} is {fate:?}"
            );
            moment += SignedDuration::from_millis(500);
        }
    }

    /// What is backfilled of it.
    pub(crate) fn fetched(&self, world: &World) -> Vec<SegmentKey> {
        let mut segments = world.segments(&self.key);
        segments.retain(|segment| segment.generation == Generation::BACKFILL);
        segments
    }
}
