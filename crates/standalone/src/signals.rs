//! The signals that ask a command to end.

use futures::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Some signals, each time that one of them comes.
#[derive(Debug)]
pub(crate) struct Signals(Vec<Signal>);

impl Signals {
    /// SIGTERM and Ctrl-C. A hangup is left to those who asked for it to be ignored (`nohup`).
    ///
    /// # Errors
    /// The system has no room for them.
    pub(crate) fn to_end() -> std::io::Result<Self> {
        Self::of(&[SignalKind::terminate(), SignalKind::interrupt()])
    }

    /// The same, and the end of the terminal.
    ///
    /// # Errors
    /// The system has no room for them.
    pub(crate) fn to_end_with_the_terminal() -> std::io::Result<Self> {
        Self::of(&[
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
        ])
    }

    fn of(kinds: &[SignalKind]) -> std::io::Result<Self> {
        kinds
            .iter()
            .map(|kind| signal(*kind))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        select_all(self.0.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
    }
}
