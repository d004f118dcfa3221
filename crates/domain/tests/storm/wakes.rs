//! What wakes the dispatcher: the table's stream, the ends of tasks, the schedule. As on AWS, a shard of the stream
//! brings its records in order and at least once, late, and again until the invocation succeeded or they are too old;
//! events of tasks come late, twice, and in any order; any of it may be lost.

use domain::ChannelKey;
use domain::death::Death;
use domain::dispatch::{Because, Report, again};
use domain::fakes::Random;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;

const SHARDS: usize = 2;
/// Records of one batch at most.
const BATCH_MAX: usize = 10;
/// Older records are no longer brought.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(10);
/// The time one invocation has.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// The wait before an event of a task is delivered again, and how often it is.
const REDELIVERY: SignedDuration = SignedDuration::from_secs(60);
const REDELIVERIES_MAX: u32 = 2;
/// Invocations at once at most (`ReservedConcurrentExecutions`).
const CONCURRENT_MAX: usize = 4;

/// An invocation of the dispatcher that goes on in rounds.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// The shard whose batch it has, if it has one.
    shard: Option<usize>,
    round: u32,
    next_at: Timestamp,
    deadline: Timestamp,
}

/// What becomes of an invocation after its round.
#[derive(Debug)]
pub(crate) enum After {
    GoesOn(Because),
    /// It has ended, and so has its batch.
    Ends,
    /// It has ended, and its batch comes again: it was not handled, or it was all the same.
    BatchAgain,
}

/// The end of a task, on its way.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) death: Death,
    /// Whether people should hear of it.
    pub(crate) alarming: bool,
    at: Timestamp,
    tries: u32,
}

#[derive(Debug, Default)]
struct Shard {
    records: VecDeque<Timestamp>,
    taken: usize,
    not_before: Option<Timestamp>,
}

/// All wakes that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    shards: [Shard; SHARDS],
    invocations: Vec<Invocation>,
    deliveries: Vec<Delivery>,
}

impl Wakes {
    /// A row of the channels table was written at this time.
    pub(crate) fn record(&mut self, key: &ChannelKey, at: Timestamp) {
        let shard = key.device.as_str().bytes().map(usize::from).sum::<usize>() % SHARDS;
        self.shards[shard].records.push_back(at);
    }

    /// A task has ended.
    pub(crate) fn ended(&mut self, death: &Death, alarming: bool, random: &mut Random) {
        for _ in 0..=u8::from(random.percent(20)) {
            if random.percent(5) {
                continue;
            }
            let late = SignedDuration::from_secs(i64::try_from(random.below(90)).unwrap());
            self.deliveries.push(Delivery {
                death: death.clone(),
                alarming,
                at: death.at + late,
                tries: 0,
            });
        }
    }

    /// The events of ended tasks that arrive now. Each wakes the dispatcher.
    pub(crate) fn arrivals(&mut self, now: Timestamp) -> Vec<Delivery> {
        let due: Vec<_> = self
            .deliveries
            .extract_if(.., |delivery| delivery.at <= now)
            .collect();
        due.iter().for_each(|_| self.wake(None, now));
        due
    }

    /// An event that was not handled comes again, if it has not come too often; whether it does.
    pub(crate) fn redeliver(&mut self, mut delivery: Delivery, now: Timestamp) -> bool {
        delivery.tries += 1;
        delivery.at = now + REDELIVERY;
        let comes = delivery.tries <= REDELIVERIES_MAX;
        if comes {
            self.deliveries.push(delivery);
        }
        comes
    }

    /// The schedule.
    pub(crate) fn schedule(&mut self, now: Timestamp) {
        self.wake(None, now);
    }

    fn wake(&mut self, shard: Option<usize>, now: Timestamp) {
        self.invocations.push(Invocation {
            shard,
            round: 1,
            next_at: now,
            deadline: now + TIMEOUT,
        });
    }

    /// The invocations whose next round is due, no more than may run at once.
    pub(crate) fn due(&mut self, now: Timestamp, random: &mut Random, stormy: bool) -> Vec<Invocation> {
        for index in 0..SHARDS {
            let late = i64::try_from(if stormy { random.below(60) } else { 1 }).unwrap();
            let shard = &mut self.shards[index];
            while shard.taken == 0
                && shard
                    .records
                    .front()
                    .is_some_and(|at| now.duration_since(*at) > AGE_MAX)
            {
                shard.records.pop_front();
            }
            let oldest = shard
                .records
                .front()
                .is_some_and(|at| now.duration_since(*at).as_secs() >= late);
            if shard.taken == 0 && oldest && shard.not_before.is_none_or(|at| at <= now) {
                shard.taken = shard.records.len().min(BATCH_MAX);
                self.wake(Some(index), now);
            }
        }
        let mut room = CONCURRENT_MAX;
        let due = self.invocations.extract_if(.., |invocation| {
            let taken = invocation.next_at <= now && room > 0;
            room -= usize::from(taken);
            taken
        });
        due.collect()
    }

    /// What becomes of an invocation after its round, of which there is a report unless it died.
    pub(crate) fn after(
        &mut self,
        mut invocation: Invocation,
        report: Option<&Report>,
        now: Timestamp,
        repeated: bool,
    ) -> After {
        if let Some(next) =
            report.and_then(|report| again(report, invocation.round, now, invocation.deadline))
        {
            invocation.round += 1;
            invocation.next_at = now + next.after;
            self.invocations.push(invocation);
            return After::GoesOn(next.because);
        }
        let Some(index) = invocation.shard else {
            return After::Ends;
        };
        let shard = &mut self.shards[index];
        let handled = report.is_some_and(|report| report.failure.is_none());
        let taken = std::mem::take(&mut shard.taken);
        if handled && !repeated {
            shard.records.drain(..taken);
            return After::Ends;
        }
        shard.not_before = Some(now + SignedDuration::from_secs(10));
        After::BatchAgain
    }

    /// Nothing is on its way.
    pub(crate) fn are_quiet(&self) -> bool {
        self.invocations.is_empty()
            && self.deliveries.is_empty()
            && self.shards.iter().all(|shard| shard.records.is_empty())
    }
}
