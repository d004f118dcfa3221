//! What every function is told by its environment, its log, and where its wide events go.

use crate::metrics::{Metrics, wide_event};
use aws::SdkConfig;
use aws::dynamodb::{TableNames, Tables};
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::io::Write;
use std::str::FromStr;
use tracing_subscriber::EnvFilter;

/// Options of every function. Names of the environment are those of the template.
#[derive(Debug, Clone, Args)]
pub struct Stack {
    /// Name of the stack: the dimension of its metrics, and what its tasks are known by
    #[arg(long, env = "MILLRACE_STACK")]
    pub stack: String,
    /// Where the tables are: `dynamodb:channels=NAME,tasks=NAME,gaps=NAME,control=NAME`
    #[arg(long, env = "MILLRACE_STATE")]
    pub state: TableNames,
    /// ARN of the SNS topic people are told by; empty: only the log says it
    #[arg(long, env = "MILLRACE_ALERTS_TOPIC", default_value = "")]
    pub alerts_topic: Maybe<String>,
    /// What is logged: a level, or directives such as `info,aws=debug`
    #[arg(long, env = "MILLRACE_LOG", default_value = "info")]
    pub log: String,
    /// How it is logged
    #[arg(long, env = "MILLRACE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// An object a line, for CloudWatch Logs Insights.
    Json,
    /// For people.
    Text,
}

impl Stack {
    /// Starts logging to standard output, which Lambda keeps, and opens the tables; the other clients are made from the
    /// same configuration.
    ///
    /// # Errors
    /// The log's filter is none.
    pub async fn start(&self) -> anyhow::Result<(SdkConfig, Tables)> {
        self.start_logging()?;
        let sdk = aws::config_from_env().await;
        let tables = Tables::new(&sdk, self.state.clone());
        Ok((sdk, tables))
    }

    fn start_logging(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log)?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
        let started = match self.log_format {
            LogFormat::Json => log.json().flatten_event(true).try_init(),
            LogFormat::Text => log.try_init(),
        };
        started.map_err(|error| anyhow::anyhow!(error))
    }

    /// Writes the wide event of an invocation, with its metrics, as one line to standard output, where CloudWatch
    /// takes the metrics from.
    pub fn emit(&self, name: &str, report: &impl Serialize, metrics: &Metrics, now: Timestamp) {
        let event = wide_event(&self.stack, name, report, metrics, now.as_millisecond());
        // Standard output that is gone takes the log with it: there is nobody left to tell.
        let _ = writeln!(std::io::stdout().lock(), "{event}");
    }
}

/// A duration as options have it, such as `90s` or `24h`: longer than nothing.
///
/// # Errors
/// What is wrong with it, in words.
pub fn positive_duration(text: &str) -> Result<SignedDuration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    match duration.is_positive() {
        true => Ok(duration),
        false => Err("it must be longer than nothing".to_owned()),
    }
}

/// A value that may be given as nothing: an environment of a template cannot leave a variable out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maybe<T>(pub Option<T>);

impl<T: FromStr> FromStr for Maybe<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Ok(Self(None)),
            text => Ok(Self(Some(text.parse()?))),
        }
    }
}
