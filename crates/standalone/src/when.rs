//! Points in time, as people write them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Reads a point in time: `2026-11-21T08:00:00Z`, `2026-11-21 08:00` in local time, or `2h` for that long ago.
pub(crate) fn when(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(local) = text.parse::<DateTime>() {
        return local
            .to_zoned(TimeZone::system())
            .map(|zoned| zoned.timestamp())
            .map_err(|error| error.to_string());
    }
    let ago: SignedDuration = text
        .parse()
        .map_err(|_| "expected a time like `2026-11-21 08:00`, or `2h` for that long ago".to_owned())?;
    Timestamp::now()
        .checked_sub(ago)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_local_or_ago() {
        assert_eq!(
            when("2026-11-21T08:00:00Z").unwrap().to_string(),
            "2026-11-21T08:00:00Z"
        );
        let ago = Timestamp::now().duration_since(when("2h").unwrap()).as_secs();
        assert!((7199..=7201).contains(&ago));
        assert!(when("2026-11-21 08:00").is_ok());
        assert!(when("soon").is_err());
    }
}
