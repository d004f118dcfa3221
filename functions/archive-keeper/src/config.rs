//! What the keeper is told by its environment.

use aws::s3::Location;
use clap::Parser;
use domain::coverage::HourPolicy;
use domain::keep::KeepPolicy;
use domain::settings::RecordingSettings;
use jiff::{SignedDuration, Timestamp};
use lambda::{Invocation, Stack};

/// What is kept of an invocation for the page that is under way when the time is over: a listing, a read of episodes
/// and a delete, each of which may take 65 s (`aws`: two tries of 30 s and a handshake), and for remembering it.
const FOR_THE_LAST_PAGE: SignedDuration = SignedDuration::from_secs(210);

#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) stack: Stack,
    /// Where the segments are: `s3://BUCKET`
    #[arg(long, env = "MILLRACE_ARCHIVE")]
    pub(crate) archive: Location,
    /// Segments that no episode covers are deleted so many days of 24 h after their last frame; 0 keeps all
    #[arg(long, env = "MILLRACE_RETENTION_DAYS", default_value_t = 0)]
    retention_days: u32,
    /// How many percent of an hour's wanted time are to be recorded
    #[arg(long, env = "MILLRACE_COVERAGE_OBJECTIVE", default_value_t = 99.9)]
    coverage_objective: f64,
}

impl Config {
    /// How the last hour is measured.
    pub(crate) fn hour(&self) -> HourPolicy {
        HourPolicy {
            objective_percent: self.coverage_objective,
            ..HourPolicy::default()
        }
    }

    /// How the archive is kept from `now` on, in what is left of the invocation.
    pub(crate) fn keep(&self, invocation: &Invocation, now: Timestamp) -> KeepPolicy {
        let left = invocation.deadline.duration_since(now);
        KeepPolicy {
            settings: RecordingSettings {
                retention_days: self.retention_days,
                ..RecordingSettings::default()
            },
            run_max: left.saturating_sub(FOR_THE_LAST_PAGE).max(SignedDuration::ZERO),
            ..KeepPolicy::default()
        }
    }
}
