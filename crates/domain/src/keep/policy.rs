use crate::settings::RecordingSettings;
use jiff::SignedDuration;

/// Limits of a keep run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepPolicy {
    /// Settings of all channels; a channel's own lie over them, and so its retention.
    pub settings: RecordingSettings,
    /// Episodes read longer ago than this are read again before anything is deleted on their word.
    pub episodes_fresh: SignedDuration,
    /// A clock that is so far ahead of the last run's is not believed until a second run sees the same.
    pub clock_step_max: SignedDuration,
    /// Pages one run lists at most; the next goes on where it stopped.
    pub pages_max: usize,
    /// A run that lasts longer lists no further page; the next goes on where it stopped.
    pub run_max: SignedDuration,
}

impl Default for KeepPolicy {
    fn default() -> Self {
        Self {
            settings: RecordingSettings::default(),
            episodes_fresh: SignedDuration::from_secs(30),
            clock_step_max: SignedDuration::from_hours(48),
            // A million objects: a function's quarter of an hour, at half a second a page with its delete.
            pages_max: 1_000,
            run_max: SignedDuration::from_hours(1),
        }
    }
}
