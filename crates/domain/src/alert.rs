//! What a person is told.

use jiff::Timestamp;
use serde::Serialize;

/// A message a person understands: what, since when, what happens next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// How urgent.
    pub severity: Severity,
    /// What it is about, stable across repetitions, for example `poll` or `channel A/1`.
    pub subject: String,
    /// The message, with what was seen and what to do.
    pub text: String,
    /// Since when it is so.
    pub since: Timestamp,
}

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It was wrong and is right again.
    Resolved,
    /// Somebody should look during the day.
    Warning,
    /// Video is being lost, or nobody can tell whether it is.
    Critical,
}
