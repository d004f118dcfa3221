//! When numbered units of media are on air.

use jiff::Timestamp;

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// Units of equal length, numbered from the Unix epoch: unit `n` starts at `n * samples / rate` seconds. A
/// frame of video is one sample long; a unit of audio holds many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    samples: u32,
    rate: u32,
}

impl Rhythm {
    /// Units of `samples` samples at `rate` samples a second; both at least one.
    pub fn new(samples: u32, rate: u32) -> Self {
        Self {
            samples: samples.max(1),
            rate: rate.max(1),
        }
    }

    /// The number of the unit on air at `at`; 0 before the Unix epoch.
    pub fn on_air(self, at: Timestamp) -> u64 {
        let number = nanos(at) * u128::from(self.rate) / (u128::from(self.samples) * SECOND);
        u64::try_from(number).unwrap_or(u64::MAX)
    }

    /// The number of the first unit that starts at `from` or later.
    pub fn first_from(self, from: Timestamp) -> u64 {
        let on_air = self.on_air(from);
        if self.start_of(on_air) >= from {
            on_air
        } else {
            on_air + 1
        }
    }

    /// When a unit starts, rounded up to the nanosecond so that it is on air at that time.
    pub fn start_of(self, number: u64) -> Timestamp {
        let nanos = (u128::from(number) * u128::from(self.samples) * SECOND).div_ceil(u128::from(self.rate));
        i128::try_from(nanos)
            .ok()
            .and_then(|nanos| Timestamp::from_nanosecond(nanos).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

fn nanos(at: Timestamp) -> u128 {
    u128::try_from(at.as_nanosecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_on_air_from_its_start_until_the_next_one() {
        for (samples, rate) in [(1, 25), (1, 30), (1, 7), (1024, 16_000), (320, 8_000)] {
            let rhythm = Rhythm::new(samples, rate);
            let now: Timestamp = "2026-11-21T09:08:07.123456789Z".parse().unwrap();
            let from = rhythm.on_air(now);
            for number in from..from + 200 {
                let start = rhythm.start_of(number);
                assert_eq!(rhythm.on_air(start), number);
                assert_eq!(rhythm.first_from(start), number);
                let before = start - jiff::SignedDuration::from_nanos(1);
                assert_eq!(rhythm.on_air(before), number - 1);
                assert_eq!(rhythm.first_from(before), number);
            }
        }
    }
}
