//! How things are shown to people.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How often what moves by itself moves.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// Shows, where there is a terminal, that something is being done, until it is dropped or finished.
pub(crate) fn spinner(doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed_precise}");
    let style = style.expect("the template is well formed");
    let spinner = ProgressBar::new_spinner().with_style(style).with_message(doing);
    spinner.enable_steady_tick(TICK);
    spinner
}

/// A plain table with a header.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec());
    table.add_rows(rows);
    table
}

/// `4 s`, `3 min 20 s`, `2 h 5 min`: as exact as a person needs it.
pub(crate) fn time_span(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    match seconds {
        ..10 => format!("{:.1} s", span.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600.. => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `999 B`, `12.3 MB`: powers of 1000.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// How long ago something was; `never` when it was not.
pub(crate) fn ago(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(
        || "never".to_owned(),
        |then| format!("{} ago", time_span(now.duration_since(then))),
    )
}

/// Local date and time, to the second.
pub(crate) fn local(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// Local time of day, to the second.
pub(crate) fn local_time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_read_as_people_say_them() {
        let spans = [400, 9_990, 59_900, 200_000, 7_500_000]
            .map(SignedDuration::from_millis)
            .map(time_span);
        assert_eq!(spans, ["0.4 s", "10.0 s", "59 s", "3 min 20 s", "2 h 5 min"]);
    }
}
