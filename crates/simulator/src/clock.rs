//! The gateway's own clock: right or skewed, and the UTC offset it shows.

use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// A clock that runs at the machine's pace.
#[derive(Debug)]
pub(crate) struct GatewayClock {
    skew: SignedDuration,
    offset: Offset,
    follows_ntp: bool,
}

impl GatewayClock {
    /// A right clock; the offset is in whole minutes within 14 hours (validated by the scenario).
    pub(crate) fn new(utc_offset_minutes: i32) -> Self {
        Self {
            skew: SignedDuration::ZERO,
            offset: Offset::from_seconds(utc_offset_minutes * 60).unwrap_or(Offset::UTC),
            follows_ntp: true,
        }
    }

    /// `2021-10-26T09:47:25+08:00`.
    pub(crate) fn local_time(&self, now: Timestamp) -> String {
        let shown = now.checked_add(self.skew).unwrap_or(now);
        let local = shown.to_zoned(TimeZone::fixed(self.offset));
        local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// `manual` or `NTP`.
    pub(crate) fn mode(&self) -> &'static str {
        if self.follows_ntp { "NTP" } else { "manual" }
    }

    /// Sets the clock by hand.
    pub(crate) fn set_manually(&mut self, local: LocalTime, now: Timestamp) {
        self.skew = local.instant.duration_since(now);
        self.offset = local.offset;
        self.follows_ntp = false;
    }

    /// Lets the clock follow NTP, which makes it right; the offset of `local` is adopted.
    pub(crate) fn follow_ntp(&mut self, local: Option<LocalTime>) {
        self.skew = SignedDuration::ZERO;
        self.offset = local.map_or(self.offset, |local| local.offset);
        self.follows_ntp = true;
    }
}

/// A `localTime`: an instant and the offset it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    instant: Timestamp,
    offset: Offset,
}

impl LocalTime {
    /// Reads a `localTime`, which needs its UTC offset.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let instant = text.parse().ok()?;
        let offset = Pieces::parse(text).ok()?.to_numeric_offset()?;
        Some(Self { instant, offset })
    }
}
