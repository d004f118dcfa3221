//! What was recorded, what was lost, and why.

use super::script::{Script, Trouble};
use crate::archive::{AnyArchive, history};
use crate::show;
use domain::coverage::{Span, State, recorded_time};
use domain::ports::GapsTable;
use domain::{ChannelKey, GapCause};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// When the demo recorded.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Period {
    pub(super) started_at: Timestamp,
    pub(super) ended_at: Timestamp,
}

/// A channel that was wanted at some time of the demo.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The device's name and the channel's id, as people call it.
    pub(super) name: String,
    pub(super) since: Timestamp,
}

/// The whole summary.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    #[serde(flatten)]
    period: Period,
    channels: BTreeMap<String, Channel>,
    troubles: Vec<Checked>,
}

/// One channel.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Channel {
    name: String,
    segments: Vec<String>,
    wanted_seconds: f64,
    recorded_seconds: f64,
    gaps: Vec<Hole>,
}

/// Time without video.
#[derive(Debug, Serialize)]
struct Hole {
    start: Timestamp,
    end: Timestamp,
    /// None: nothing says why, which is a defect.
    cause: Option<GapCause>,
}

/// A scripted trouble and whether it shows with the right cause.
#[derive(Debug, Serialize)]
struct Checked {
    #[serde(flatten)]
    trouble: Trouble,
    found: Option<Found>,
}

/// How a trouble shows.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Found {
    /// As a gap with the right cause.
    Gap(GapCause),
    /// Not at all: the repair lost less than [`HOLE_MIN`].
    NothingLost,
}

/// Holes shorter than this are the rounding of the last frame's end, not losses.
const HOLE_MIN: SignedDuration = SignedDuration::from_millis(1000);

/// Puts archive and gaps together for every channel that was wanted.
pub(super) async fn summarize<T: GapsTable>(
    archive: &AnyArchive,
    table: &T,
    wanted: &BTreeMap<ChannelKey, Wanted>,
    script: &Script,
    period: &Period,
) -> anyhow::Result<Summary> {
    let mut channels = BTreeMap::new();
    for (key, Wanted { name, since }) in wanted {
        let history = history(archive, table, key, *since, period.ended_at).await?;
        let channel = Channel {
            name: name.clone(),
            segments: history
                .segments
                .iter()
                .map(|segment| segment.object_key().0)
                .collect(),
            wanted_seconds: period.ended_at.duration_since(*since).as_secs_f64(),
            recorded_seconds: recorded_time(&history.spans).as_secs_f64(),
            gaps: history.spans.iter().filter_map(hole).collect(),
        };
        channels.insert(key.to_string(), channel);
    }
    let troubles = script
        .troubles
        .iter()
        .map(|trouble| check(trouble, &channels))
        .collect();
    Ok(Summary {
        period: *period,
        channels,
        troubles,
    })
}

fn hole(span: &Span) -> Option<Hole> {
    let cause = match span.state {
        State::Recorded => return None,
        State::Gap(cause) => Some(cause),
        State::Unexplained => None,
    };
    (span.duration() >= HOLE_MIN).then_some(Hole {
        start: span.start,
        end: span.end,
        cause,
    })
}

fn check(trouble: &Trouble, channels: &BTreeMap<String, Channel>) -> Checked {
    let holes = channels
        .get(&trouble.channel.to_string())
        .map(|channel| &channel.gaps);
    let right = holes
        .iter()
        .flat_map(|holes| holes.iter())
        .filter_map(|hole| hole.cause)
        .find(|cause| (trouble.is_right)(*cause));
    let nothing = trouble.may_be_nothing && holes.is_some();
    let found = right.map(Found::Gap).or(nothing.then_some(Found::NothingLost));
    Checked {
        trouble: trouble.clone(),
        found,
    }
}

impl Summary {
    /// For people.
    pub(super) fn render(&self) -> String {
        let rows = self.channels.values().map(|channel| {
            vec![
                channel.name.clone(),
                channel.segments.len().to_string(),
                format!(
                    "{:.0} of {:.0} s",
                    channel.recorded_seconds, channel.wanted_seconds
                ),
                channel.gaps.iter().map(describe).collect::<Vec<_>>().join("; "),
            ]
        });
        let mut text = show::table(&["CHANNEL", "SEGMENTS", "RECORDED", "LOST, AND WHY"], rows).to_string();
        text.push_str("\n\n");
        for Checked { trouble, found } in &self.troubles {
            let verdict = match found {
                Some(Found::Gap(cause)) => {
                    format!("✓ {} {}: {cause}", self.name(&trouble.channel), trouble.what)
                }
                Some(Found::NothingLost) => {
                    format!(
                        "✓ {} {}: less than a second lost",
                        self.name(&trouble.channel),
                        trouble.what
                    )
                }
                None => format!(
                    "✗ {} {}: no gap with the right cause",
                    self.name(&trouble.channel),
                    trouble.what
                ),
            };
            writeln!(text, "{verdict}").expect("writing to a string cannot fail");
        }
        text
    }

    fn name(&self, key: &ChannelKey) -> String {
        let key = key.to_string();
        self.channels
            .get(&key)
            .map_or(key.clone(), |channel| channel.name.clone())
    }

    /// What is not as it should be.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.channels.is_empty() {
            problems.push("no channel was found".to_owned());
        }
        for (key, channel) in &self.channels {
            if channel.segments.len() < 2 {
                problems.push(format!("{key} has {} segments", channel.segments.len()));
            }
            for hole in channel.gaps.iter().filter(|hole| hole.cause.is_none()) {
                problems.push(format!("{key} has a hole without a cause: {}", describe(hole)));
            }
        }
        let unseen = self.troubles.iter().filter(|checked| checked.found.is_none());
        problems.extend(unseen.map(|checked| {
            format!(
                "{} {}: not in the summary",
                self.name(&checked.trouble.channel),
                checked.trouble.what
            )
        }));
        problems
    }
}

fn describe(hole: &Hole) -> String {
    let length = show::time_span(hole.end.duration_since(hole.start));
    let cause = hole
        .cause
        .map_or_else(|| "unexplained".to_owned(), |cause| cause.to_string());
    format!("{length} from {}: {cause}", show::local_time(hole.start))
}
