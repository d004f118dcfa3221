//! One piece: asked for, played, stored.

use super::memory::{ENDED_EARLY, Fate, Memory};
use super::plan::{Piece, admits};
use super::policy::BackfillPolicy;
use super::run::Report;
use crate::coverage::JOIN;
use crate::id::ChannelKey;
use crate::ports::{Archive, Ended, Fetch, Footage, Playback, PortError};
use crate::segment::SegmentKey;
use jiff::{SignedDuration, Timestamp};
use std::ops::Range;

/// Devices give their files' times in whole seconds, cut off: a file may last so much longer than it says, and two
/// that follow each other may seem so far apart.
const FILE_TIMES: SignedDuration = SignedDuration::from_secs(1);

/// A playback may take this many times what it plays, besides what it takes to begin: the recorder gives up then.
const PLAYBACK_TIMES_MAX: i32 = 2;

/// What the backfill needs of the outside.
#[derive(Debug, Clone, Copy)]
pub struct Ports<'a, F, P, A, T, L> {
    /// Says what devices have.
    pub footage: &'a F,
    /// Brings it here.
    pub fetch: &'a P,
    /// Says what there is already.
    pub archive: &'a A,
    /// The channels, their gaps, and the memory.
    pub table: &'a T,
    /// Tells people.
    pub alerts: &'a L,
}

/// The time that a round has by its lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease<'a, C> {
    pub(super) policy: &'a BackfillPolicy,
    pub(super) clock: &'a C,
    /// When it is over.
    pub(super) until: Timestamp,
}

impl<C: Fn() -> Timestamp> Lease<'_, C> {
    /// Whether what is stored now is stored within the lease.
    fn may_store(&self) -> bool {
        self.lasts_for(SignedDuration::ZERO)
    }

    /// Whether a playback that begins now is over within the lease, however slow it is: the next worker may ask the
    /// same device as soon as the lease is over.
    fn may_play(&self, asked: &Range<Timestamp>) -> bool {
        let length = asked.end.duration_since(asked.start);
        self.lasts_for(length.saturating_mul(PLAYBACK_TIMES_MAX))
    }

    fn lasts_for(&self, time: SignedDuration) -> bool {
        let needed = time.saturating_add(self.policy.lease_reserve);
        self.until.duration_since((self.clock)()) > needed
    }
}

/// What came of one piece.
#[derive(Debug, Default)]
pub(super) struct Done {
    settled: Vec<(Range<Timestamp>, Fate)>,
    stored: Vec<SegmentKey>,
    discarded: usize,
    playbacks: usize,
    /// The lease was too short for the next playback.
    is_postponed: bool,
    /// Why the device did not do what it was asked.
    device_failed: Option<String>,
    /// What it was asked for when it ended a playback early.
    ended_early: Option<Range<Timestamp>>,
    /// Why what was fetched is not in the archive yet.
    store_failed: Option<String>,
}

/// Asks, plays and stores one piece. What is not sure is not settled, and is asked for again.
pub(super) async fn work<F, P, A, T, L, C>(
    ports: &Ports<'_, F, P, A, T, L>,
    piece: &Piece,
    lease: &Lease<'_, C>,
) -> Done
where
    F: Footage + Sync,
    P: Fetch,
    A: Archive,
    C: Fn() -> Timestamp,
{
    let mut done = Done::default();
    let missing = piece.missing.start..piece.missing.end;
    let asked = around(lease.policy, &missing);
    let found = match ports
        .footage
        .find_footage(&piece.key, asked.start, asked.end)
        .await
    {
        Ok(found) => stretches(found, &asked),
        Err(error) => {
            done.device_failed = Some(error.chain());
            return done;
        }
    };
    let mut at = missing.start;
    for stretch in found {
        let part = stretch.start.max(at)..stretch.end.min(missing.end);
        if part.start >= part.end {
            continue;
        }
        done.settle(at..part.start, Fate::NotOnDevice);
        match play(ports, piece, &part, &stretch, lease, &mut done).await {
            Ok(fate) => {
                if !keep(ports, &piece.key, lease, &mut done).await {
                    return done;
                }
                let Some(fate) = fate else { return done };
                done.settle(part.clone(), fate);
                at = part.end;
            }
            Err(error) => {
                done.device_failed = Some(error.chain());
                return done;
            }
        }
    }
    done.settle(at..missing.end, Fate::NotOnDevice);
    done
}

/// Plays one stretch; how it is settled, `None` when it was cut short or there is no time for it.
async fn play<F: Footage, P: Fetch, A, T, L, C: Fn() -> Timestamp>(
    ports: &Ports<'_, F, P, A, T, L>,
    piece: &Piece,
    part: &Range<Timestamp>,
    stretch: &Range<Timestamp>,
    lease: &Lease<'_, C>,
    done: &mut Done,
) -> Result<Option<Fate>, PortError> {
    let wide = around(lease.policy, part);
    let asked = wide.start.max(stretch.start)..wide.end.min(stretch.end);
    let url = ports
        .footage
        .playback_url(&piece.key, asked.start, asked.end)
        .await?;
    let Some(url) = url else {
        return Ok(Some(Fate::NotOnDevice));
    };
    let goes_on = piece.missing.goes_on && part.end == piece.missing.end;
    let playback = Playback {
        key: piece.key.clone(),
        url,
        asked,
        missing: part.clone(),
        goes_on,
        before: piece.before.clone().filter(|_| part.start == piece.missing.start),
        after: piece.after.clone().filter(|_| part.end == piece.missing.end),
        settings: piece.settings.clone(),
    };
    if !lease.may_play(&playback.asked) {
        done.is_postponed = true;
        return Ok(None);
    }
    done.playbacks += 1;
    match ports.fetch.fetch(&playback).await? {
        Ended::Complete => Ok(Some(Fate::Fetched)),
        Ended::Early => {
            done.ended_early = Some(part.clone());
            Ok(None)
        }
        Ended::CutShort => {
            done.device_failed = Some("the playback broke off".to_owned());
            Ok(None)
        }
    }
}

/// Stores what waits of a channel, if the archive still lacks it; whether nothing waits any more.
pub(super) async fn keep<F, P: Fetch, A: Archive, T, L, C: Fn() -> Timestamp>(
    ports: &Ports<'_, F, P, A, T, L>,
    key: &ChannelKey,
    lease: &Lease<'_, C>,
    done: &mut Done,
) -> bool {
    let result = async {
        for segment in ports.fetch.waiting().await? {
            if segment.channel != *key {
                continue;
            }
            let from = segment.start.saturating_sub(JOIN).unwrap_or(Timestamp::MIN);
            let to = segment.end().saturating_add(JOIN).unwrap_or(Timestamp::MAX);
            let there = ports.archive.list_segments(key, from, to).await?;
            if !lease.may_store() {
                return Err(PortError::throttled(
                    format!("storing {segment}"),
                    "the lease is over",
                ));
            }
            if admits(&there, &segment) {
                ports.fetch.store(&segment).await?;
                done.stored.push(segment);
            } else {
                ports.fetch.discard(&segment).await?;
                done.discarded += 1;
            }
        }
        Ok(())
    };
    match result.await {
        Ok(()) => true,
        Err(error) => {
            done.store_failed = Some(PortError::chain(&error));
            false
        }
    }
}

fn around(policy: &BackfillPolicy, range: &Range<Timestamp>) -> Range<Timestamp> {
    let start = range
        .start
        .saturating_sub(policy.margin)
        .unwrap_or(Timestamp::MIN);
    let end = range.end.saturating_add(policy.margin).unwrap_or(Timestamp::MAX);
    start..end
}

/// The footage in order, cut to what was asked; files that follow each other are one stretch.
fn stretches(mut found: Vec<Range<Timestamp>>, asked: &Range<Timestamp>) -> Vec<Range<Timestamp>> {
    found.sort_unstable_by_key(|file| (file.start, file.end));
    let mut stretches: Vec<Range<Timestamp>> = Vec::new();
    for file in found {
        let last = file.end.saturating_add(FILE_TIMES).unwrap_or(Timestamp::MAX);
        let (start, end) = (file.start.max(asked.start), last.min(asked.end));
        if start >= end {
            continue;
        }
        match stretches.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => stretches.push(start..end),
        }
    }
    stretches
}

impl Done {
    fn settle(&mut self, stretch: Range<Timestamp>, fate: Fate) {
        if stretch.start < stretch.end {
            self.settled.push((stretch, fate));
        }
    }

    /// Whether the archive did not take what was fetched.
    pub(super) fn store_failed(&self) -> bool {
        self.store_failed.is_some()
    }

    /// Into the memory and the report.
    pub(super) fn tell(
        self,
        policy: &BackfillPolicy,
        key: &ChannelKey,
        memory: &mut Memory,
        report: &mut Report,
        now: Timestamp,
    ) {
        for (stretch, fate) in &self.settled {
            memory.settle(key, stretch.start, stretch.end, *fate);
            if *fate == Fate::NotOnDevice {
                report.not_on_device = report
                    .not_on_device
                    .saturating_add(stretch.end.duration_since(stretch.start));
            }
        }
        report.playbacks += self.playbacks;
        report.postponed += usize::from(self.is_postponed);
        report.discarded += self.discarded;
        report.stored += self.stored.len();
        for segment in &self.stored {
            report.filled = report.filled.saturating_add(segment.duration);
        }
        if let Some(part) = self.ended_early {
            let gave = !self.stored.is_empty() || self.store_failed.is_some();
            if memory.ended_early(policy, &key.device, gave, now) {
                memory.settle(key, part.start, part.end, Fate::Fetched);
            } else {
                report.failed.insert(key.to_string(), ENDED_EARLY.to_owned());
            }
        } else if let Some(why) = self.device_failed {
            report.failed.insert(key.to_string(), why.clone());
            memory.failed(policy, &key.device, why, now);
        } else if !self.settled.is_empty() {
            memory.worked(&key.device);
        }
        if let Some(why) = self.store_failed {
            report.failed.insert(key.to_string(), why);
        }
    }
}
