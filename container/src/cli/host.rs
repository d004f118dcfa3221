//! What every program of the recorder's is told of where it runs.

#[cfg(feature = "aws")]
use super::ecs;
use anyhow::Context;
use clap::ValueEnum;
use domain::TaskArn;
use std::io::IsTerminal;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// Where a program runs, as whom, and where it tells what.
#[derive(Debug, Clone, clap::Args)]
pub struct Host {
    /// The name by which others know this program; on ECS its task's, which it asks for when not told.
    #[arg(long, env = "MILLRACE_TASK_ARN", value_name = "NAME")]
    pub task_arn: Option<String>,
    /// The folder where recordings wait for the archive; recorders of one machine share it.
    #[arg(long, env = "MILLRACE_SPOOL", value_name = "DIR")]
    pub spool: PathBuf,
    /// The gateway's user; its password is read from MILLRACE_GATEWAY_PASSWORD.
    #[arg(
        long,
        env = "MILLRACE_GATEWAY_USERNAME",
        value_name = "NAME",
        default_value = "admin"
    )]
    pub gateway_username: String,
    /// The SNS topic that is told what people should know; the log is told in any case.
    #[cfg(feature = "aws")]
    #[arg(long, env = "MILLRACE_ALERTS_TOPIC", value_name = "ARN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub alerts_topic: Option<String>,
    /// How log lines look.
    #[arg(long, env = "MILLRACE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
    /// Which log lines are written, in the syntax of the crate `tracing-subscriber`.
    #[arg(
        long,
        env = "MILLRACE_LOG",
        value_name = "FILTER",
        default_value = "info,retina=warn,mp4_atom=error"
    )]
    pub log: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

impl Host {
    /// The program's name: what it was told, or its task's.
    pub(super) async fn own_name(&self) -> anyhow::Result<TaskArn> {
        if let Some(name) = &self.task_arn {
            return Ok(TaskArn::new(name.as_str()));
        }
        #[cfg(feature = "aws")]
        if let Some(metadata) = std::env::var_os(ecs::METADATA_ENV) {
            let metadata = metadata.to_string_lossy();
            return ecs::own_task(&metadata)
                .await
                .context("asking ECS for this task's name");
        }
        anyhow::bail!("this program has no name: --task-arn is missing, and this is not a task of ECS")
    }

    /// Starts the log.
    pub(super) fn log_to_stderr(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log).context("reading the log filter")?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        let installed = match self.log_format {
            LogFormat::Human => lines.try_init(),
            LogFormat::Json => lines.json().flatten_event(true).try_init(),
        };
        installed
            .map_err(|error| anyhow::anyhow!(error))
            .context("starting the log")
    }
}
