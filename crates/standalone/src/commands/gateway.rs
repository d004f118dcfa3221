//! `millrace gateway`: the gateway's own configuration.

mod setup;

pub(crate) use setup::Differs;

/// Exit code of a dry run that found a difference; 1 is a failure here as everywhere, and 2 is clap's for arguments it
/// does not understand.
pub(crate) const DIFFERS: u8 = 3;

/// Arguments of `millrace gateway`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Bring the gateway's password, name, clock and port maps to what is wanted; restart its software only if a
    /// change needs it.
    ///
    /// What is not said is left as it is. Exit code: 0 when it is in order, 3 when a dry run finds that it is not, 1
    /// when it could not be seen or brought in order.
    Setup(Box<setup::Args>),
}

/// Does what the arguments say.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Setup(args) => setup::run(*args).await,
    }
}
