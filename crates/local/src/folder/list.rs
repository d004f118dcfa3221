//! Listing: the day folders are the index.

use super::Failure;
use domain::ports::StoredSegment;
use domain::{ChannelKey, SegmentKey};
use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::Path;

/// The channel's segments that overlap `[from, to)`, by start, with their sizes.
pub(super) fn stored(
    root: &Path,
    channel: &ChannelKey,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<StoredSegment>, Failure> {
    let mut found = Vec::new();
    for key in segments(root, channel, from, to)? {
        match std::fs::metadata(root.join(key.to_string())) {
            Ok(object) => found.push(StoredSegment {
                key,
                size_bytes: object.len(),
                class: None,
            }),
            // It was deleted since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::Before(error)),
        }
    }
    Ok(found)
}

/// The channel's segments that overlap `[from, to)`, by start.
pub(super) fn segments(
    root: &Path,
    channel: &ChannelKey,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<SegmentKey>, Failure> {
    let mut found = Vec::new();
    for day in days(&root.join(channel.prefix()), &span(from, to)).map_err(Failure::Before)? {
        let prefix = SegmentKey::day_prefix(channel, day);
        for name in names(&root.join(&prefix)).map_err(Failure::Before)? {
            let Ok(segment) = format!("{prefix}/{name}").parse::<SegmentKey>() else {
                continue;
            };
            if segment.start < to && segment.end() > from {
                found.push(segment);
            }
        }
    }
    found.sort_by_key(|segment| segment.start);
    Ok(found)
}

/// The days that may hold overlapping segments: one that began the day before `from` may reach into it.
fn span(from: Timestamp, to: Timestamp) -> RangeInclusive<civil::Date> {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    day(from).saturating_sub(1.day())..=day(to)
}

/// The days in `span` that have a folder, in order: what exists bounds the work, however long the span.
pub(super) fn days(channel: &Path, span: &RangeInclusive<civil::Date>) -> io::Result<Vec<civil::Date>> {
    let mut days = Vec::new();
    for year in numbers::<i16>(channel)? {
        if !(span.start().year()..=span.end().year()).contains(&year) {
            continue;
        }
        let year_folder = channel.join(format!("{year:04}"));
        for month in numbers::<i8>(&year_folder)? {
            for day in numbers::<i8>(&year_folder.join(format!("{month:02}")))? {
                days.extend(
                    civil::Date::new(year, month, day)
                        .ok()
                        .filter(|date| span.contains(date)),
                );
            }
        }
    }
    days.sort_unstable();
    Ok(days)
}

fn numbers<N: std::str::FromStr>(folder: &Path) -> io::Result<Vec<N>> {
    let names = names(folder)?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The UTF-8 names in a folder; none when there is no folder.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok());
    }
    Ok(names)
}
