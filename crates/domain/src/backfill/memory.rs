use super::policy::BackfillPolicy;
use crate::id::{ChannelKey, DeviceIndex};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the control item.
pub const MEMORY: &str = "backfill";

/// Settled stretches remembered at most, of all channels: an item has room for them (DynamoDB: 400 KB). The oldest go
/// first, and would be asked for once more.
const SETTLED_MAX: usize = 2_000;

/// A device that ends a playback so often in a row without a picture, over an hour by default, has nothing more to give;
/// the first times it may have been busy.
const EARLY_MAX: u32 = 6;

/// What is said of a device that does that.
pub(super) const ENDED_EARLY: &str = "the device ended the playback before its end";

/// What the backfill remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// Who works, if somebody does.
    lease: Option<Lease>,
    /// Devices that failed lately.
    waiting: BTreeMap<DeviceIndex, Waiting>,
    /// What is not asked for again, by channel prefix, in order and without overlaps.
    settled: BTreeMap<String, Vec<Settled>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    holder: String,
    until: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    failures: u32,
    /// How often of late it ended a playback without giving anything.
    #[serde(default)]
    ended_early: u32,
    again_at: Timestamp,
    why: String,
}

/// A stretch that was asked for and is not asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Its first instant.
    pub start: Timestamp,
    /// The instant after its last.
    pub end: Timestamp,
    /// What came of it.
    pub fate: Fate,
}

/// What came of asking a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It was played to its end, or the device has ended playback after playback before it; what is missing of it still
    /// is not to be had.
    Fetched,
    /// The device says that it has nothing there.
    NotOnDevice,
}

impl Memory {
    /// Takes the lease, or says who has it. Who has it already takes it anew.
    pub(super) fn take_lease(
        &mut self,
        holder: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), String> {
        if let Some(lease) = &self.lease
            && lease.holder != holder
            && lease.until > now
        {
            return Err(format!("{} works until {}", lease.holder, lease.until));
        }
        let holder = holder.to_owned();
        self.lease = Some(Lease { holder, until });
        Ok(())
    }

    /// The lease is over by `until`, if it is this one's.
    pub(super) fn shorten_lease(&mut self, holder: &str, until: Timestamp) {
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.holder == holder) {
            lease.until = lease.until.min(until);
        }
    }

    /// Gives the lease back.
    pub(super) fn end_lease(&mut self) {
        self.lease = None;
    }

    /// Whether a device is left alone for now.
    pub(super) fn is_waiting(&self, device: &DeviceIndex, now: Timestamp) -> bool {
        self.waiting
            .get(device)
            .is_some_and(|waiting| waiting.again_at > now)
    }

    /// The device failed: it is left alone, longer each time.
    pub(super) fn failed(
        &mut self,
        policy: &BackfillPolicy,
        device: &DeviceIndex,
        why: String,
        now: Timestamp,
    ) {
        let (failures, ended_early) = self
            .waiting
            .get(device)
            .map_or((0, 0), |waiting| (waiting.failures, waiting.ended_early));
        let factor = 1_i32.checked_shl(failures).unwrap_or(i32::MAX);
        let wait = policy.retry_first.saturating_mul(factor).min(policy.retry_max);
        let waiting = Waiting {
            // Beyond 30 doublings any wait is the longest.
            failures: (failures + 1).min(30),
            ended_early,
            again_at: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
            why,
        };
        self.waiting.insert(device.clone(), waiting);
    }

    /// The device ended a playback early, which is a failure like others until it has done so [`EARLY_MAX`] times without
    /// giving anything; whether it is to be believed now.
    pub(super) fn ended_early(
        &mut self,
        policy: &BackfillPolicy,
        device: &DeviceIndex,
        gave: bool,
        now: Timestamp,
    ) -> bool {
        self.failed(policy, device, ENDED_EARLY.to_owned(), now);
        let waiting = self.waiting.get_mut(device);
        let times = waiting.map_or(0, |waiting| {
            waiting.ended_early = if gave { 0 } else { waiting.ended_early + 1 };
            waiting.ended_early
        });
        if times >= EARLY_MAX {
            self.worked(device);
        }
        times >= EARLY_MAX
    }

    /// The device did what it was asked.
    pub(super) fn worked(&mut self, device: &DeviceIndex) {
        self.waiting.remove(device);
    }

    /// What is settled of a channel, in order and without overlaps.
    pub fn settled(&self, key: &ChannelKey) -> &[Settled] {
        self.settled.get(&key.prefix()).map_or(&[], Vec::as_slice)
    }

    /// Why devices are left alone.
    pub(super) fn troubles(&self) -> impl Iterator<Item = (&DeviceIndex, u32, &str)> {
        let waiting = self.waiting.iter();
        waiting.map(|(device, waiting)| (device, waiting.failures, waiting.why.as_str()))
    }

    /// A stretch of a channel is not asked for again. What of it was settled before keeps its fate.
    pub fn settle(&mut self, key: &ChannelKey, start: Timestamp, end: Timestamp, fate: Fate) {
        let settled = self.settled.entry(key.prefix()).or_default();
        let mut at = start;
        let mut new = Vec::new();
        for known in settled
            .iter()
            .filter(|known| known.end > start && known.start < end)
        {
            if known.start > at {
                new.push(Settled {
                    start: at,
                    end: known.start,
                    fate,
                });
            }
            at = at.max(known.end);
        }
        if at < end {
            new.push(Settled { start: at, end, fate });
        }
        settled.extend(new);
        settled.sort_by_key(|known| known.start);
        join(settled);
    }

    /// Forgets what is past the horizon, then the oldest that has no room.
    pub(super) fn prune(&mut self, horizon: Timestamp) {
        for settled in self.settled.values_mut() {
            settled.retain(|known| known.end > horizon);
        }
        let count = self.settled.values().map(Vec::len).sum::<usize>();
        if count > SETTLED_MAX {
            let mut ends: Vec<Timestamp> = self.settled.values().flatten().map(|known| known.end).collect();
            ends.sort_unstable();
            let oldest = ends[count - SETTLED_MAX];
            for settled in self.settled.values_mut() {
                settled.retain(|known| known.end > oldest);
            }
        }
        self.settled.retain(|_, settled| !settled.is_empty());
        // A device that failed and has not been asked since is nobody's concern any more.
        self.waiting.retain(|_, waiting| waiting.again_at > horizon);
    }
}

/// Neighbours of one fate become one.
fn join(settled: &mut Vec<Settled>) {
    settled.dedup_by(|later, earlier| {
        let joins = later.start == earlier.end && later.fate == earlier.fate;
        if joins {
            earlier.end = later.end;
        }
        joins
    });
}
