//! `millrace timeline`: a day of every channel as a picture.

use super::segments::describe;
use crate::archive::{AnyArchive, ensure_archived, history};
use crate::show;
use crate::source::{CHANNELS_AT_ONCE, SourceArgs};
use crate::tables::AnyTables;
use anyhow::Context;
use domain::coverage::{Span, State, Totals, since_wanted};
use domain::ports::{ChannelsTable, EpisodesTable, StoredSegment};
use domain::{ChannelKey, DeviceIndex, Episode, GapCause, StorageClass};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

/// Arguments of `millrace timeline`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The device's index at the gateway; without it, all known channels.
    #[arg(requires = "channel")]
    device: Option<String>,
    /// The channel's id.
    channel: Option<String>,
    /// Which day, local time [default: today].
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<Date>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Columns of the picture: a quarter of an hour each, on days of 24 h.
const COLUMNS: i32 = 96;

/// One channel's day.
struct Day {
    key: ChannelKey,
    spans: Vec<Span>,
    episodes: Vec<Episode>,
    objects: Vec<StoredSegment>,
}

/// Prints the picture, the percentages, and what the letters mean.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let source = args.source.open().await?;
    let (table, archive) = (&source.tables, source.archive().await);
    let now = Timestamp::now();
    let day = whole_day(args.day)?;
    let rows = table.list_channels().await.context("reading the channels")?;
    let wanted_since: BTreeMap<ChannelKey, Timestamp> =
        rows.into_iter().map(|row| (row.key, row.wanted_since)).collect();
    let keys = match args.device.zip(args.channel) {
        Some((device, channel)) => {
            let key = ChannelKey::new(DeviceIndex::new(device), channel.as_str());
            if !wanted_since.contains_key(&key) {
                ensure_archived(&archive, &key).await?;
            }
            vec![key]
        }
        None => wanted_since.keys().cloned().collect(),
    };
    let progress = ProgressBar::new(keys.len() as u64);
    let days: Vec<Day> = stream::iter(keys)
        .map(async |key| {
            let wanted = wanted_since.get(&key).copied();
            let one = look(&archive, table, key, wanted, day.start..day.end.min(now)).await;
            progress.inc(1);
            one
        })
        .buffered(CHANNELS_AT_ONCE)
        .try_collect()
        .await?;
    progress.finish_and_clear();
    let mut out = std::io::stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &as_json(&days))?;
        writeln!(out)?;
    } else {
        write!(out, "{}", picture(&days, &day))?;
    }
    Ok(())
}

fn whole_day(day: Option<Date>) -> anyhow::Result<Range<Timestamp>> {
    let zone = TimeZone::system();
    let day = day.unwrap_or_else(|| Zoned::now().date());
    let start = day.to_zoned(zone.clone())?.timestamp();
    let end = day.tomorrow()?.to_zoned(zone)?.timestamp();
    Ok(start..end)
}

async fn look(
    archive: &AnyArchive,
    table: &AnyTables,
    key: ChannelKey,
    wanted_since: Option<Timestamp>,
    range: Range<Timestamp>,
) -> anyhow::Result<Day> {
    if range.start >= range.end {
        return Ok(Day {
            key,
            spans: Vec::new(),
            episodes: Vec::new(),
            objects: Vec::new(),
        });
    }
    let history = history(archive, table, &key, range.start, range.end).await?;
    let spans = match wanted_since {
        Some(since) => since_wanted(&history.spans, &history.segments, since, range.end),
        None => history.spans,
    };
    let episodes = table
        .list_episodes(&key, range.start, range.end)
        .await
        .with_context(|| format!("reading the episodes of {key}"))?;
    Ok(Day {
        key,
        spans,
        episodes,
        objects: history.objects,
    })
}

fn as_json(days: &[Day]) -> serde_json::Value {
    let mut fleet = Totals::default();
    let mut channels = Vec::new();
    for day in days {
        let totals = Totals::of(&day.spans);
        fleet.add(&totals);
        channels.push(json!({
            "channel": day.key,
            "coveragePercent": totals.percent(),
            "totals": totals,
            "spans": day.spans,
            "episodes": day.episodes,
            "bytesByClass": by_class(&day.objects),
        }));
    }
    json!({"channels": channels, "coveragePercent": fleet.percent(), "totals": fleet})
}

/// How many bytes lie in each class; those without one are in a folder.
fn by_class(objects: &[StoredSegment]) -> BTreeMap<&'static str, u64> {
    let mut classes = BTreeMap::new();
    for object in objects {
        let class = object.class.map_or("FOLDER", StorageClass::name);
        *classes.entry(class).or_default() += object.size_bytes;
    }
    classes
}

fn picture(days: &[Day], day: &Range<Timestamp>) -> String {
    let widest = days.iter().map(|day| day.key.to_string().chars().count()).max();
    let width = widest.unwrap_or(0);
    let mut text = String::new();
    let mut fleet = Totals::default();
    let hours: String = (0..24).map(|hour| format!("{hour:<4}")).collect();
    text.push_str(&format!("{:width$}  {hours}\n", ""));
    for one in days {
        let totals = Totals::of(&one.spans);
        let cells: String = columns(day).map(|column| cell(&one.spans, &column)).collect();
        let percent = percent(&totals);
        text.push_str(&format!("{:width$}  {cells}  {percent}\n", one.key.to_string()));
        let marks: String = columns(day).map(|column| mark(one, &column)).collect();
        if !marks.trim().is_empty() {
            text.push_str(&format!("{:width$}  {}\n", "", marks.trim_end()));
        }
        fleet.add(&totals);
    }
    text.push_str(&format!("\n{} of what was wanted is recorded", percent(&fleet)));
    for (cause, lost) in &fleet.lost {
        text.push_str(&format!(
            "\n  {} {cause}: {}",
            letter(*cause),
            show::time_span(*lost)
        ));
    }
    if fleet.unexplained > SignedDuration::ZERO {
        let what = describe(State::Unexplained);
        text.push_str(&format!("\n  ? {what}: {}", show::time_span(fleet.unexplained)));
    }
    text.push_str("\n  █ recorded  ▒ in part  · not wanted or not yet  ^ kept by an episode\n");
    let needs_restore = |object: &StoredSegment| object.class.is_some_and(StorageClass::needs_restore);
    if days.iter().flat_map(|day| &day.objects).any(needs_restore) {
        text.push_str(
            "  z in an archive class, `millrace export` restores it  * that, and kept by an episode\n",
        );
    }
    text
}

fn percent(totals: &Totals) -> String {
    match totals.percent() {
        // Rounding must not make a loss invisible.
        Some(percent) => format!("{:.2} %", (percent * 100.0).floor() / 100.0),
        None => "nothing".to_owned(),
    }
}

/// The day in equal columns; on a day of another length than 24 h they are a little more or less than a quarter.
fn columns(day: &Range<Timestamp>) -> impl Iterator<Item = Range<Timestamp>> {
    let (start, width) = (day.start, day.end.duration_since(day.start) / COLUMNS);
    (0..COLUMNS).map(move |column| start + width * column..start + width * (column + 1))
}

/// A column's worst news: the letter of the longest loss, or how much is recorded.
fn cell(spans: &[Span], column: &Range<Timestamp>) -> char {
    let begin = spans.partition_point(|span| span.end <= column.start);
    let inside: Vec<Span> = spans[begin..]
        .iter()
        .take_while(|span| span.start < column.end)
        .map(|span| Span {
            start: span.start.max(column.start),
            end: span.end.min(column.end),
            state: span.state,
        })
        .collect();
    let totals = Totals::of(&inside);
    let worst = totals.lost.iter().max_by_key(|(_, lost)| **lost);
    let lost = worst.map_or(SignedDuration::ZERO, |(_, lost)| *lost);
    if totals.wanted() == SignedDuration::ZERO {
        return '·';
    }
    if totals.unexplained > lost {
        return '?';
    }
    match worst {
        Some((cause, lost)) if *lost >= totals.recorded => letter(*cause),
        Some(_) => '▒',
        None => '█',
    }
}

/// What there is to say below a column: kept by an episode, not to be read at once, or both.
fn mark(day: &Day, column: &Range<Timestamp>) -> char {
    let inside =
        |episode: &Episode| episode.start < column.end && episode.end.is_none_or(|end| column.start <= end);
    let frozen = |object: &StoredSegment| {
        object.class.is_some_and(StorageClass::needs_restore)
            && object.key.start < column.end
            && column.start < object.key.end()
    };
    match (day.episodes.iter().any(inside), day.objects.iter().any(frozen)) {
        (true, true) => '*',
        (true, false) => '^',
        (false, true) => 'z',
        (false, false) => ' ',
    }
}

/// A letter for each cause; those of one kind share theirs.
fn letter(cause: GapCause) -> char {
    match cause {
        GapCause::Starting => 's',
        GapCause::DeviceOffline(_) => 'O',
        GapCause::GatewayDown => 'G',
        GapCause::Network => 'N',
        GapCause::StreamStalled => 'S',
        GapCause::StreamRefused | GapCause::CredentialsRejected => 'X',
        GapCause::UnsupportedStream => 'U',
        GapCause::TransformFailed => 'T',
        GapCause::RecorderRestarted | GapCause::RecorderMoved => 'R',
        GapCause::SpoolOverflow | GapCause::ArchiveRefused | GapCause::SpoolDamaged => 'A',
        GapCause::NotWanted => '·',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::fakes::rows;
    use domain::{Generation, SegmentKey};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_day_shows_what_is_there_what_is_lost_and_what_is_kept() {
        let hour = 3_600;
        let span = |start, end, state| Span {
            start: at(start * hour),
            end: at(end * hour),
            state,
        };
        let spans = vec![
            span(0, 2, State::Gap(GapCause::NotWanted)),
            span(2, 6, State::Recorded),
            span(6, 7, State::Gap(GapCause::Network)),
            span(7, 12, State::Recorded),
            span(12, 13, State::Unexplained),
        ];
        let key = ChannelKey::new("A", "1");
        let episodes = vec![rows::episode(key, at(3 * hour), Some(at(3 * hour + 1)))];
        let frozen = StoredSegment {
            key: SegmentKey::new(
                ChannelKey::new("A", "1"),
                at(3 * hour),
                SignedDuration::from_mins(30),
                Generation(1),
            ),
            size_bytes: 7,
            class: Some(StorageClass::Glacier),
        };
        let day = Day {
            key: ChannelKey::new("A", "1"),
            spans,
            episodes,
            objects: vec![frozen],
        };
        assert_eq!(by_class(&day.objects), BTreeMap::from([("GLACIER", 7)]));
        let text = picture(&[day], &(at(0)..at(24 * hour)));
        let lines: Vec<&str> = text.lines().collect();
        let cells = |n: usize, cell: &str| cell.repeat(4 * n);
        let row = [
            cells(2, "·"),
            cells(4, "█"),
            cells(1, "N"),
            cells(5, "█"),
            cells(1, "?"),
            cells(11, "·"),
        ]
        .concat();
        assert_eq!(lines[1], format!("A/1  {row}  81.81 %"));
        assert_eq!(lines[2], format!("{}*z", " ".repeat(5 + 12)));
        assert!(text.contains("N network: 1 h 0 min"), "{text}");
        assert!(text.contains("nothing says why: 1 h 0 min"), "{text}");
    }
}
