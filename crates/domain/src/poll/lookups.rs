//! Which devices a poll asks for their channels and URLs. An unchanged world asks for none.

use super::PollPolicy;
use crate::channel::{ChannelRow, DeviceState};
use crate::device::{Device, DeviceStatus};
use crate::id::{ChannelKey, DeviceIndex};
use crate::task::AssignmentRow;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One device to look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Which device.
    pub device: DeviceIndex,
    /// Why.
    pub reason: LookupReason,
    /// Known channels whose URL is still good: not asked again.
    pub urls_known: BTreeSet<ChannelKey>,
}

/// Why a device is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LookupReason {
    /// No channel of it is known.
    New,
    /// It was missing and is online again, perhaps with other URLs.
    Returned,
    /// The device list gives it another number of inputs than when it was last looked into.
    ChannelCountChanged,
    /// Fewer of its channels are known than it has: one had no URL, or a crash came between two writes.
    Incomplete,
    /// A recorder has trouble with one of its channels: the URL may have changed.
    RecorderTrouble,
}

/// The devices to look into now, at most `policy.lookups_max` of them. Where there are more, the first one
/// moves with the minute, so that devices that never answer cannot starve the others.
pub fn lookups(
    policy: &PollPolicy,
    devices: &[Device],
    rows: &[ChannelRow],
    assignments: &[AssignmentRow],
    now: Timestamp,
) -> Vec<Lookup> {
    let mut rows_of: BTreeMap<&DeviceIndex, Vec<&ChannelRow>> = BTreeMap::new();
    for row in rows {
        rows_of.entry(&row.key.device).or_default().push(row);
    }
    let troubled: BTreeSet<&ChannelKey> = assignments
        .iter()
        .filter(|row| row.heartbeat.last_error.is_some())
        .map(|row| &row.assignment.key)
        .collect();
    let mut wanted: Vec<Lookup> = devices
        .iter()
        .filter(|device| device.status == DeviceStatus::Online && policy.records(device))
        .filter_map(|device| {
            lookup(
                device,
                rows_of.get(&device.index).map_or(&[], Vec::as_slice),
                &troubled,
            )
        })
        .collect();
    wanted.sort_by(|a, b| a.device.cmp(&b.device));
    if wanted.len() > policy.lookups_max {
        let minute = usize::try_from(now.as_second().unsigned_abs() / 60).unwrap_or(0);
        let first = minute.wrapping_mul(policy.lookups_max) % wanted.len();
        wanted.rotate_left(first);
        wanted.truncate(policy.lookups_max);
    }
    wanted
}

fn lookup(device: &Device, rows: &[&ChannelRow], troubled: &BTreeSet<&ChannelKey>) -> Option<Lookup> {
    let reason = if rows.is_empty() {
        if device.video_channels == 0 {
            return None;
        }
        LookupReason::New
    } else if rows.iter().any(|row| row.state != DeviceState::Present) {
        LookupReason::Returned
    } else if rows
        .iter()
        .any(|row| row.device_channels != device.video_channels)
    {
        LookupReason::ChannelCountChanged
    } else if rows
        .iter()
        .any(|row| usize::try_from(row.listed_channels) != Ok(rows.len()))
    {
        LookupReason::Incomplete
    } else if rows.iter().any(|row| troubled.contains(&row.key)) {
        LookupReason::RecorderTrouble
    } else {
        return None;
    };
    let urls_known = rows
        .iter()
        .filter(|row| reason != LookupReason::Returned && !troubled.contains(&row.key))
        .map(|row| row.key.clone())
        .collect();
    Some(Lookup {
        device: device.index.clone(),
        reason,
        urls_known,
    })
}
