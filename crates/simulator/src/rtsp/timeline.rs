//! The three times of a session: when media was on air, when it leaves, and what the camera's clock says.

use super::CameraClock;
use jiff::{SignedDuration, Timestamp};

/// How fast media leaves, in thousandths of real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speed(u32);

impl Speed {
    /// Real time.
    pub(super) const NORMAL: Self = Self(1_000);
    /// The fastest on offer.
    pub(super) const FASTEST: Self = Self(8_000);

    /// Reads a `Speed` header (RFC 2326 section 12.35), held within a tenth and the fastest.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let speed: f64 = text.trim().parse().ok().filter(|speed: &f64| speed.is_finite())?;
        let thousandths = (speed * 1_000.0).clamp(100.0, f64::from(Self::FASTEST.0));
        Some(Self(thousandths as u32))
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

/// Maps media time to the time it leaves, to the camera's clock and to RTP time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeline {
    /// The media time of the session's first frame, where RTP time begins.
    pub(super) base: Timestamp,
    /// When that frame leaves.
    pub(super) started: Timestamp,
    /// How fast the others follow.
    pub(super) speed: Speed,
    /// The camera's clock,
    pub(super) clock: CameraClock,
    /// and the time at which it was wrong by no more than its offset.
    pub(super) clock_set_at: Timestamp,
}

impl Timeline {
    /// When the media of time `at` leaves.
    pub(super) fn due(&self, at: Timestamp) -> Timestamp {
        let since = at.duration_since(self.base).as_nanos();
        later(self.started, since * 1_000 / i128::from(self.speed.0))
    }

    /// The media time that leaves at `now`.
    pub(super) fn position(&self, now: Timestamp) -> Timestamp {
        let since = now.duration_since(self.started).as_nanos();
        later(self.base, since * i128::from(self.speed.0) / 1_000)
    }

    /// What the camera's clock showed at `at`.
    pub(super) fn camera_time(&self, at: Timestamp) -> Timestamp {
        let since = at.duration_since(self.clock_set_at).as_nanos();
        let ahead = i128::from(self.clock.offset_ms) * 1_000_000
            + since * i128::from(self.clock.drift_ppm) / 1_000_000;
        later(at, ahead)
    }

    /// RTP ticks at `rate` a second from the session's first frame to `at`, by the camera's clock, to the
    /// nearest tick and modulo 2^32.
    pub(super) fn ticks(&self, at: Timestamp, rate: u32) -> u32 {
        /// Nanoseconds in a second, times the millionths drift is counted in.
        const SCALE: i128 = 1_000_000_000 * 1_000_000;
        let since = at.duration_since(self.base).as_nanos();
        let scaled = since * i128::from(rate) * (1_000_000 + i128::from(self.clock.drift_ppm));
        // RTP time is modulo 2^32: the cut is the wrap.
        (scaled + SCALE / 2).div_euclid(SCALE) as u32
    }
}

fn later(at: Timestamp, nanos: i128) -> Timestamp {
    let by = SignedDuration::from_nanos_i128(nanos);
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(speed: Speed, clock: CameraClock) -> Timeline {
        Timeline {
            base: "2026-11-21T09:00:00Z".parse().unwrap(),
            started: "2026-11-21T12:00:00Z".parse().unwrap(),
            speed,
            clock,
            clock_set_at: "2026-11-21T08:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn media_leaves_at_its_speed_and_positions_are_the_inverse() {
        let timeline = timeline(Speed::parse("4.0").unwrap(), CameraClock::default());
        let media = "2026-11-21T09:00:10Z".parse().unwrap();
        let due = timeline.due(media);
        assert_eq!(due.to_string(), "2026-11-21T12:00:02.5Z");
        assert_eq!(timeline.position(due), media);
    }

    #[test]
    fn a_fast_camera_clock_shows_in_ticks_and_reports() {
        let clock = CameraClock {
            offset_ms: -500,
            drift_ppm: 100,
        };
        let timeline = timeline(Speed::NORMAL, clock);
        let media = "2026-11-21T09:00:10Z".parse().unwrap();
        assert_eq!(timeline.ticks(media, 90_000), 900_090);
        // An hour and ten seconds at 100 ppm are 361 ms.
        assert_eq!(
            timeline.camera_time(media).to_string(),
            "2026-11-21T09:00:09.861Z"
        );
    }

    #[test]
    fn speeds_are_held_within_what_is_on_offer() {
        let speeds = ["1.0", "8", "100", "-3", "0.5"].map(|text| Speed::parse(text).unwrap().to_string());
        assert_eq!(speeds, ["1.000", "8.000", "8.000", "0.100", "0.500"]);
        assert_eq!(Speed::parse("NaN"), None);
        assert_eq!(Speed::parse("fast"), None);
    }
}
