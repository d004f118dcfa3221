//! The log of commands that run for long.

use anyhow::{Context, bail};
use std::env::VarError;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Which log lines are written, in the syntax of `tracing-subscriber`; `millrace` and its recorders read the same
/// variable.
pub(crate) const LOG_ENV: &str = "MILLRACE_LOG";

/// Starts it, on standard error.
///
/// # Errors
/// The variable is no filter: the recorders would not start with it either.
pub(crate) fn to_stderr() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(filter(std::env::var(LOG_ENV))?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| anyhow::anyhow!(error))
}

fn filter(told: Result<String, VarError>) -> anyhow::Result<EnvFilter> {
    match told {
        Ok(text) => EnvFilter::try_new(text).with_context(|| format!("reading {LOG_ENV}")),
        Err(VarError::NotPresent) => Ok(EnvFilter::new("info")),
        Err(VarError::NotUnicode(_)) => bail!("{LOG_ENV} is no text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error_and_not_the_default() {
        assert!(filter(Ok("info,retina=nonsense".to_owned())).is_err());
        assert_eq!(filter(Err(VarError::NotPresent)).unwrap().to_string(), "info");
        assert_eq!(filter(Ok("debug".to_owned())).unwrap().to_string(), "debug");
    }
}
