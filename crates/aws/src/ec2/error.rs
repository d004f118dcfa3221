//! What EC2 says instead of doing it ("Error codes for the Amazon EC2 API", Amazon EC2 API Reference). Unlike other
//! services it says that it is throttling, or has no room, with a status of the 500s; the code tells.

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use domain::ports::PortError;
use std::error::Error;

/// Codes that say nothing happened and a later try may succeed: there is no room just now, too many copies of disks
/// are under way, or the instance is on its way from one state to another.
const LATER: [&str; 9] = [
    "ConcurrentSnapshotLimitExceeded",
    "IncorrectInstanceState",
    "IncorrectState",
    "InsufficientCapacity",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "PendingSnapshotLimitExceeded",
    "RequestLimitExceeded",
    "SnapshotCreationPerVolumeRateExceeded",
];

/// An error and its code, for callers to whom some codes are an answer.
#[derive(Debug)]
pub(super) struct Said {
    code: Option<String>,
    error: PortError,
}

impl Said {
    /// What EC2 said while `doing` that.
    pub(super) fn new<E>(error: SdkError<E, HttpResponse>, doing: &str) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let later = code.as_deref().is_some_and(|code| LATER.contains(&code));
        let error = match later {
            true => PortError::throttled(doing, error),
            false => crate::error::failed(error, doing),
        };
        Self { code, error }
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// The same cause with another meaning: it may have happened after all.
    pub(super) fn unknown(self, doing: &str) -> PortError {
        PortError::unknown(doing, self.error)
    }

    /// The same cause with another meaning: it will never happen.
    pub(super) fn refused(self, doing: &str) -> PortError {
        PortError::refused(doing, self.error)
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.error, PortError::Refused { .. })
    }
}

impl From<Said> for PortError {
    fn from(said: Said) -> Self {
        said.error
    }
}
