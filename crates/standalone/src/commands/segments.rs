//! `millrace segments`: what there is of a channel, what is missing, and why.

use super::recordings::Recordings;
use crate::archive::History;
use crate::fleet::{Standing, observe};
use crate::show;
use crate::source::SourceArgs;
use crate::when::when;
use domain::coverage::{Span, State, recorded_time};
use domain::{ChannelKey, Generation};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::io::Write;

/// Arguments of `millrace segments`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The device's index at the gateway.
    device: String,
    /// The channel's id.
    channel: String,
    /// From when: `2026-11-21T08:00:00Z`, `2026-11-21 08:00` in local time, or `2h` for that long ago.
    #[arg(long, value_name = "WHEN", default_value = "24h", value_parser = when)]
    from: Timestamp,
    /// Until when, in the same ways.
    #[arg(long, value_name = "WHEN", default_value = "0s", value_parser = when)]
    to: Timestamp,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints coverage and gaps of a channel.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let source = args.source.open().await?;
    let recordings = Recordings::find(source, args.device, &args.channel, args.from..args.to).await?;
    let Recordings {
        source, key, history, ..
    } = recordings;
    let fleet = observe(&source.tables, Timestamp::now(), source.silent_after).await?;
    let recording_now = fleet
        .iter()
        .any(|channel| channel.key == key && channel.standing == Standing::Recording);
    let mut out = std::io::stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &as_json(&key, &history, recording_now))?;
        writeln!(out)?;
    } else {
        write!(out, "{}", render(&key, &history, recording_now))?;
    }
    Ok(())
}

fn as_json(key: &ChannelKey, history: &History, recording_now: bool) -> serde_json::Value {
    let segments: Vec<String> = history
        .segments
        .iter()
        .map(|segment| segment.object_key().0)
        .collect();
    json!({
        "channel": key,
        "recordingNow": recording_now,
        "recordedSeconds": recorded_time(&history.spans).as_secs_f64(),
        "spans": history.spans,
        "segments": segments,
        "backfilled": backfilled(history),
    })
}

fn render(key: &ChannelKey, history: &History, recording_now: bool) -> String {
    let newest = history
        .spans
        .last()
        .filter(|_| recording_now)
        .map(|span| span.start);
    let rows = history.spans.iter().map(|span| {
        let Span { start, end, state } = span;
        vec![
            show::local(*start),
            show::local(*end),
            show::time_span(span.duration()),
            if newest == Some(*start) && *state == State::Unexplained {
                "being recorded, not in the archive yet".to_owned()
            } else {
                describe(*state)
            },
        ]
    });
    let table = show::table(&["FROM", "TO", "FOR", ""], rows);
    let whole: SignedDuration = history.spans.iter().map(Span::duration).sum();
    let recorded = recorded_time(&history.spans);
    let percent = 100.0 * recorded.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
    let (segments, backfilled) = (history.segments.len(), backfilled(history));
    let backfilled = match backfilled {
        0 => String::new(),
        some => format!(" ({some} from the device's own storage)"),
    };
    format!(
        "{key}\n{table}\n{segments} segments{backfilled}, {} of {} recorded ({percent:.2} %)\n",
        show::time_span(recorded),
        show::time_span(whole)
    )
}

/// How many segments were fetched later from the device's own storage.
fn backfilled(history: &History) -> usize {
    let segments = history.segments.iter();
    segments
        .filter(|segment| segment.generation == Generation::BACKFILL)
        .count()
}

/// The words for a stretch of time.
pub(crate) fn describe(state: State) -> String {
    match state {
        State::Recorded => "recorded".to_owned(),
        State::Gap(cause) => format!("gap: {cause}"),
        State::Unexplained => "nothing in the archive, and nothing says why".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_seconds_of_a_running_recording_are_not_called_lost() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let span = |start, end, state| Span {
            start: at(start),
            end: at(end),
            state,
        };
        let spans = vec![
            span(0, 10, State::Unexplained),
            span(10, 40, State::Recorded),
            span(40, 60, State::Unexplained),
        ];
        let history = History {
            objects: Vec::new(),
            segments: Vec::new(),
            spans,
        };
        let lines = |recording_now| {
            let text = render(&ChannelKey::new("A", "1"), &history, recording_now);
            text.matches("nothing says why").count()
        };
        assert_eq!((lines(true), lines(false)), (1, 2));
    }
}
