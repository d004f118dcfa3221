//! Where the commands about recordings look: the data folder of this machine, or a stack on AWS.

use crate::archive::AnyArchive;
#[cfg(feature = "aws")]
use crate::config::PLACE;
use crate::config::{ArchiveOptions, Config, DataOptions, Options};
use crate::silence;
use crate::tables::{AnyTables, open};
use jiff::SignedDuration;

/// Channels looked at at once: of a stack, each is some questions across a network.
pub(crate) const CHANNELS_AT_ONCE: usize = 8;

/// Which tables and archive.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SourceArgs {
    #[command(flatten)]
    data: DataOptions,
    #[command(flatten)]
    archive: ArchiveOptions,
    /// A stack on AWS, by name or ARN, instead of a data folder: its tables, archive and retention. Region and
    /// credentials come from where the AWS command line has them: environment, or `~/.aws`.
    #[cfg(feature = "aws")]
    #[arg(long, global = true, help_heading = PLACE, value_name = "NAME")]
    stack: Option<String>,
}

/// What was found there.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) tables: AnyTables,
    /// What is in force there.
    pub(crate) config: Config,
    /// A recorder that has not reported for longer is called silent.
    pub(crate) silent_after: SignedDuration,
    /// The Region of a stack.
    pub(crate) region: Option<String>,
}

impl SourceArgs {
    /// Opens the tables.
    ///
    /// # Errors
    /// There are none, or the configuration is wrong.
    pub(crate) async fn open(self) -> anyhow::Result<Source> {
        self.open_with(Options::default()).await
    }

    /// Opens the tables, for a command that takes other options too.
    ///
    /// # Errors
    /// There are none, or the configuration is wrong.
    pub(crate) async fn open_with(self, options: Options) -> anyhow::Result<Source> {
        #[cfg(feature = "aws")]
        if let Some(name) = &self.stack {
            return of_stack(name, options).await;
        }
        let config = Config::load_without_gateway(self.local(options))?;
        let tables = open(&config).await?;
        Ok(Source {
            silent_after: silence::read(&tables, config.dispatch.heartbeat_stale).await?,
            tables: AnyTables::Sqlite(tables),
            config,
            region: None,
        })
    }

    /// The stack that is meant, if it is one.
    pub(crate) fn stack(&self) -> Option<&str> {
        #[cfg(feature = "aws")]
        {
            self.stack.as_deref()
        }
        #[cfg(not(feature = "aws"))]
        {
            None
        }
    }

    /// The options, with where to look on this machine.
    pub(crate) fn local(self, options: Options) -> Options {
        Options {
            data: self.data,
            archive: self.archive,
            ..options
        }
    }
}

#[cfg(feature = "aws")]
async fn of_stack(name: &str, options: Options) -> anyhow::Result<Source> {
    use anyhow::Context;

    let sdk = aws::config_from_env().await;
    let described = aws::cloudformation::Stacks::new(&sdk);
    let found = async {
        let stack = crate::stack::Stack::find(&sdk, &described, name).await?;
        let config = Config::of_stack(options, stack.archive()?, stack.retention_days()?)?;
        anyhow::Ok((stack.tables, config))
    };
    let (tables, config) = found.await.with_context(|| name.to_owned())?;
    Ok(Source {
        tables: AnyTables::Stack(tables),
        silent_after: config.dispatch.heartbeat_stale,
        config,
        region: sdk.region().map(ToString::to_string),
    })
}

impl Source {
    /// The archive, which not every command needs: tables can be read while it is away.
    pub(crate) async fn archive(&self) -> AnyArchive {
        AnyArchive::at(&self.config.archive).await
    }
}
