use crate::device::{Device, DeviceKind};
use crate::settings::RecordingSettings;
use jiff::SignedDuration;

/// What the operator decided about polling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollPolicy {
    /// A channel is removed when its device has been missing this long (`OfflineGrace`). Recorders reconnect
    /// by themselves, so a flap must not stop them.
    pub offline_grace: SignedDuration,
    /// And when at least this many good polls in a row missed it: one look is never proof, however long ago the
    /// one before it was.
    pub missed_polls_min: u32,
    /// Removals of more than this percentage of the known channels at once are held, and a person is told
    /// (`MassRemovalPercent`). The channels of a single device are never held.
    pub mass_removal_percent: u32,
    /// Lifts the hold: a person has said that the removals are right.
    pub accept_removals: bool,
    /// Whether door terminals (`AccessControl`) are recorded too.
    pub record_access_control: bool,
    /// Settings of all channels; a channel's own lie over them.
    pub settings: RecordingSettings,
    /// How many devices one poll looks into for channels and URLs; the rest wait for the next poll.
    pub lookups_max: usize,
    /// How many of them at once.
    pub lookups_concurrent: usize,
}

impl Default for PollPolicy {
    fn default() -> Self {
        Self {
            offline_grace: SignedDuration::from_mins(5),
            missed_polls_min: 2,
            mass_removal_percent: 30,
            accept_removals: false,
            record_access_control: false,
            settings: RecordingSettings::default(),
            lookups_max: 100,
            lookups_concurrent: 8,
        }
    }
}

impl PollPolicy {
    /// Whether a device is of a kind that is recorded.
    pub(super) fn records(&self, device: &Device) -> bool {
        match device.kind {
            DeviceKind::Encoder | DeviceKind::Other(_) => true,
            DeviceKind::AccessControl => self.record_access_control,
        }
    }
}
