use super::memory::Memory;
use super::missing::Missing;
use super::policy::BackfillPolicy;
use crate::coverage::JOIN;
use crate::id::{ChannelKey, Generation};
use crate::segment::SegmentKey;
use crate::settings::RecordingSettings;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;

/// What one look found of a channel that is to be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Which channel.
    pub key: ChannelKey,
    /// How it is recorded.
    pub settings: RecordingSettings,
    /// What is missing, oldest first.
    pub missing: Vec<Missing>,
    /// What there is around it, by start.
    pub segments: Vec<SegmentKey>,
}

/// What is asked for next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// At most one piece a device, oldest first.
    pub pieces: Vec<Piece>,
    /// Devices that are not asked yet, because they failed lately.
    pub devices_waiting: usize,
}

/// A stretch to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Of which channel.
    pub key: ChannelKey,
    /// What is missing.
    pub missing: Missing,
    /// The segment that ends where it begins.
    #[serde(skip)]
    pub before: Option<SegmentKey>,
    /// The segment that begins where it ends.
    #[serde(skip)]
    pub after: Option<SegmentKey>,
    /// How the channel is recorded.
    #[serde(skip)]
    pub settings: RecordingSettings,
}

/// Chooses what to ask for: the oldest first, for devices overwrite their oldest footage first; one piece a device, for
/// more than one playback is refused or starves the live stream.
pub fn plan(policy: &BackfillPolicy, looks: &[Look], memory: &Memory, now: Timestamp) -> Plan {
    let mut oldest: Vec<(&Look, &Missing)> = looks
        .iter()
        .flat_map(|look| look.missing.iter().map(move |missing| (look, missing)))
        .collect();
    oldest.sort_by_key(|(look, missing)| (missing.start, &look.key));
    let mut plan = Plan::default();
    let mut asked = BTreeSet::new();
    for (look, missing) in oldest {
        let is_first = asked.insert(&look.key.device);
        if !is_first {
            continue;
        }
        if memory.is_waiting(&look.key.device, now) {
            plan.devices_waiting += 1;
        } else if plan.pieces.len() < policy.playbacks_max {
            plan.pieces.push(piece(look, missing));
        }
    }
    plan
}

fn piece(look: &Look, missing: &Missing) -> Piece {
    let touches = |a: Timestamp, b: Timestamp| a.duration_since(b).abs() <= JOIN;
    let mut segments = look.segments.iter();
    let before = segments.rfind(|segment| touches(segment.end(), missing.start));
    let after = look
        .segments
        .iter()
        .find(|segment| touches(segment.start, missing.end));
    Piece {
        key: look.key.clone(),
        missing: *missing,
        before: before.cloned(),
        after: after.cloned(),
        settings: look.settings.clone(),
    }
}

/// Whether a fetched segment may be stored beside what the archive shows in a fresh look: nothing there has its time,
/// but for itself. Names are cut to milliseconds and clocks are compared by frames, so ends may touch by [`JOIN`].
pub fn admits(archive: &[SegmentKey], fetched: &SegmentKey) -> bool {
    archive.iter().all(|there| {
        let is_itself = there == fetched && there.generation == Generation::BACKFILL;
        let shared = there
            .end()
            .min(fetched.end())
            .duration_since(there.start.max(fetched.start));
        is_itself || shared <= JOIN
    })
}
