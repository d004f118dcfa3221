//! The poll's plan: a pure function of one look.

use super::PollPolicy;
use crate::channel::{ChannelRow, DeviceState, Revision};
use crate::device::{Device, DeviceStatus, OfflineHint};
use crate::id::{ChannelId, ChannelKey, DeviceIndex};
use crate::settings::Overrides;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One possibly stale look at the world.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// The gateway's whole device list.
    pub devices: &'a [Device],
    /// The channels table.
    pub rows: &'a [ChannelRow],
    /// Settings people gave to single channels.
    pub overrides: &'a Overrides,
    /// What the gateway said of the devices that were looked into.
    pub lookups: &'a BTreeMap<DeviceIndex, DeviceLookup>,
}

/// What looking into a device gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceLookup {
    /// Its channels.
    Found(Vec<FoundChannel>),
    /// No answer: nothing is concluded.
    Failed,
}

/// A channel a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundChannel {
    /// Its id at the device.
    pub id: ChannelId,
    /// Its name.
    pub name: String,
    /// Its URL; `None` when it was not asked for, or was not to be had.
    pub url: Option<String>,
}

/// What to do, in key order, and what was held back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Idempotent one by one.
    pub actions: Vec<Action>,
    /// Removals a person must accept first.
    pub hold: Option<Hold>,
}

/// One conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Store the row if the stored revision is still `expected`.
    Put {
        /// The row to store, complete.
        row: Box<ChannelRow>,
        /// The revision the plan is based on; `None` for a new row.
        expected: Option<Revision>,
        /// Why.
        why: Why,
    },
    /// Delete the row if its revision is still `expected`.
    Remove {
        /// Which channel.
        key: ChannelKey,
        /// The revision the plan is based on.
        expected: Revision,
        /// Since when its device has been missing.
        missing_since: Timestamp,
    },
}

/// Why a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The channel is new.
    Added,
    /// The gateway hands out another URL.
    UrlChanged,
    /// The device was missing and is back.
    Returned,
    /// The device is missing at one more poll.
    Missed,
    /// A name, a setting or the device's number of inputs changed.
    Details,
}

/// Removals that were not planned because too many channels would go at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The channels that would go.
    pub keys: BTreeSet<ChannelKey>,
    /// How many channels are known.
    pub known: usize,
}

impl Action {
    /// The channel it is about.
    pub fn key(&self) -> &ChannelKey {
        match self {
            Self::Put { row, .. } => &row.key,
            Self::Remove { key, .. } => key,
        }
    }
}

/// Plans one poll. Total and deterministic: any observation gives a plan, the same one each time.
pub fn plan(policy: &PollPolicy, observed: &Observed<'_>, now: Timestamp) -> Plan {
    let devices: BTreeMap<&DeviceIndex, &Device> = observed
        .devices
        .iter()
        .map(|device| (&device.index, device))
        .collect();
    let known: BTreeSet<&ChannelKey> = observed.rows.iter().map(|row| &row.key).collect();
    let mut actions: Vec<Action> = additions(policy, observed, &devices, &known, now);
    let mut removals = Vec::new();
    for row in observed.rows {
        let device = devices
            .get(&row.key.device)
            .copied()
            .filter(|device| policy.records(device));
        let found = find(observed, row);
        let state = state_after(row, device, &found, now);
        match removal(policy, row, state, now) {
            Some(removal) => removals.push(removal),
            None => actions.extend(update(policy, observed, row, device, &found, state)),
        }
    }
    let hold = hold(policy, &removals, known.len());
    if hold.is_none() {
        actions.append(&mut removals);
    }
    actions.sort_by(|a, b| a.key().cmp(b.key()));
    Plan { actions, hold }
}

/// What this poll's lookup says of one known channel.
enum Found<'a> {
    NotAsked,
    Gone,
    Here {
        channel: &'a FoundChannel,
        listed_channels: u32,
    },
}

fn find<'a>(observed: &Observed<'a>, row: &ChannelRow) -> Found<'a> {
    match observed.lookups.get(&row.key.device) {
        None | Some(DeviceLookup::Failed) => Found::NotAsked,
        Some(DeviceLookup::Found(channels)) => channels
            .iter()
            .find(|channel| channel.id == row.key.channel)
            .map_or(Found::Gone, |channel| Found::Here {
                channel,
                listed_channels: count(channels),
            }),
    }
}

fn count(channels: &[FoundChannel]) -> u32 {
    u32::try_from(channels.len()).unwrap_or(u32::MAX)
}

fn additions(
    policy: &PollPolicy,
    observed: &Observed<'_>,
    devices: &BTreeMap<&DeviceIndex, &Device>,
    known: &BTreeSet<&ChannelKey>,
    now: Timestamp,
) -> Vec<Action> {
    let mut actions = Vec::new();
    for (index, lookup) in observed.lookups {
        let (DeviceLookup::Found(channels), Some(device)) = (lookup, devices.get(index)) else {
            continue;
        };
        if device.status != DeviceStatus::Online || !policy.records(device) {
            continue;
        }
        for channel in channels {
            let key = ChannelKey {
                device: index.clone(),
                channel: channel.id.clone(),
            };
            let Some(url) = channel.url.clone().filter(|_| !known.contains(&key)) else {
                continue;
            };
            let row = ChannelRow {
                settings: observed.overrides.settings(&key, &policy.settings),
                key,
                media_url: url,
                device_name: device.name.clone(),
                channel_name: channel.name.clone(),
                state: DeviceState::Present,
                device_channels: device.video_channels,
                listed_channels: count(channels),
                wanted_since: now,
                revision: Revision(1),
            };
            actions.push(Action::Put {
                row: Box::new(row),
                expected: None,
                why: Why::Added,
            });
        }
    }
    actions
}

/// An online device is present even where its lookup had no answer: a later miss must start its grace anew. A
/// URL that changed meanwhile shows as recorder trouble.
fn state_after(row: &ChannelRow, device: Option<&Device>, found: &Found<'_>, now: Timestamp) -> DeviceState {
    match (device.map(|device| device.status), found) {
        (Some(DeviceStatus::Online), Found::Gone) | (None, _) => missed(row, None, now),
        (Some(DeviceStatus::Offline(hint)), _) => missed(row, Some(hint), now),
        (Some(DeviceStatus::Sleep), _) => row.state,
        (Some(DeviceStatus::Online), Found::NotAsked | Found::Here { .. }) => DeviceState::Present,
    }
}

fn is_missing(row: &ChannelRow) -> bool {
    matches!(row.state, DeviceState::Missing { .. })
}

fn missed(row: &ChannelRow, hint: Option<OfflineHint>, now: Timestamp) -> DeviceState {
    match row.state {
        DeviceState::Present => DeviceState::Missing {
            since: now,
            missed_polls: 1,
            hint,
        },
        DeviceState::Missing {
            since, missed_polls, ..
        } => DeviceState::Missing {
            since,
            missed_polls: missed_polls.saturating_add(1),
            hint,
        },
    }
}

/// A removal, if the row's device has now been missing long enough. A device that sleeps keeps its old state
/// and is not removed on it.
fn removal(policy: &PollPolicy, row: &ChannelRow, state: DeviceState, now: Timestamp) -> Option<Action> {
    let DeviceState::Missing {
        since, missed_polls, ..
    } = state
    else {
        return None;
    };
    let long_enough = now.duration_since(since) >= policy.offline_grace;
    (state != row.state && long_enough && missed_polls >= policy.missed_polls_min).then(|| Action::Remove {
        key: row.key.clone(),
        expected: row.revision,
        missing_since: since,
    })
}

fn update(
    policy: &PollPolicy,
    observed: &Observed<'_>,
    row: &ChannelRow,
    device: Option<&Device>,
    found: &Found<'_>,
    state: DeviceState,
) -> Option<Action> {
    let mut next = row.clone();
    next.state = state;
    next.settings = observed.overrides.settings(&row.key, &policy.settings);
    if let Some(device) = device {
        next.device_name.clone_from(&device.name);
    }
    if let (
        Found::Here {
            channel,
            listed_channels,
        },
        Some(device),
    ) = (found, device)
    {
        next.listed_channels = *listed_channels;
        next.channel_name.clone_from(&channel.name);
        next.device_channels = device.video_channels;
        if let Some(url) = &channel.url {
            next.media_url.clone_from(url);
        }
    }
    if next == *row {
        return None;
    }
    let why = match state {
        DeviceState::Missing { .. } if state != row.state => Why::Missed,
        _ if next.media_url != row.media_url => Why::UrlChanged,
        DeviceState::Present if is_missing(row) => Why::Returned,
        DeviceState::Present | DeviceState::Missing { .. } => Why::Details,
    };
    next.revision = row.revision.next();
    Some(Action::Put {
        row: Box::new(next),
        expected: Some(row.revision),
        why,
    })
}

fn hold(policy: &PollPolicy, removals: &[Action], known: usize) -> Option<Hold> {
    let devices: BTreeSet<&DeviceIndex> = removals.iter().map(|action| &action.key().device).collect();
    let percent = u32::try_from(removals.len() * 100 / known.max(1)).unwrap_or(u32::MAX);
    let too_many = devices.len() > 1 && percent > policy.mass_removal_percent;
    (too_many && !policy.accept_removals).then(|| Hold {
        keys: removals.iter().map(|action| action.key().clone()).collect(),
        known,
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for action in &self.actions {
            writeln!(f, "{action}")?;
        }
        if let Some(hold) = &self.hold {
            writeln!(
                f,
                "hold {} removals of {} known channels",
                hold.keys.len(),
                hold.known
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { row, why, .. } => {
                let ChannelRow {
                    key,
                    device_name,
                    media_url,
                    ..
                } = row.as_ref();
                match why {
                    Why::Added => write!(f, "add {key} ({device_name}) from {media_url}"),
                    Why::UrlChanged => write!(f, "record {key} from {media_url} now"),
                    Why::Returned => write!(f, "{key} is back"),
                    Why::Missed => write!(f, "miss {key}: {}", Missed(row.state)),
                    Why::Details => write!(f, "update details of {key}"),
                }
            }
            Self::Remove {
                key, missing_since, ..
            } => write!(f, "remove {key}, missing since {missing_since}"),
        }
    }
}

struct Missed(DeviceState);

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DeviceState::Present => f.write_str("present"),
            DeviceState::Missing {
                missed_polls,
                hint: None,
                ..
            } => write!(f, "not listed, poll {missed_polls}"),
            DeviceState::Missing {
                missed_polls,
                hint: Some(hint),
                ..
            } => {
                write!(f, "offline ({hint}), poll {missed_polls}")
            }
        }
    }
}
