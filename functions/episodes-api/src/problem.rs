//! What is wrong with a request, as RFC 9457 has it told.

use domain::episode::EditError;
use domain::ports::PortError;
use serde_json::{Value, json};

/// Why a request was not granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// There is nothing but `/episodes`.
    #[error("there is nothing here but /episodes")]
    NoSuchPath,
    /// Nothing can be done this way.
    #[error("episodes are made by POST, listed by GET, changed by PATCH and deleted by DELETE")]
    NoSuchMethod,
    /// The request is not one.
    #[error("{0}")]
    Invalid(String),
    /// The body is longer than any episode.
    #[error("the body is longer than any episode")]
    TooLarge,
    /// It is one, and was not granted.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        Self::Edit(error.into())
    }
}

impl Problem {
    /// The request is not one, and why.
    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    /// The HTTP status, and its words (RFC 9110, section 15).
    pub(crate) fn status(&self) -> (u16, &'static str) {
        match self {
            Self::Invalid(_) => (400, "Bad Request"),
            Self::NoSuchPath => (404, "Not Found"),
            Self::NoSuchMethod => (405, "Method Not Allowed"),
            Self::TooLarge => (413, "Content Too Large"),
            Self::Edit(error) => match error {
                EditError::NotAnEpisode(_) | EditError::Expired { .. } => (422, "Unprocessable Content"),
                EditError::Missing { .. } => (404, "Not Found"),
                EditError::Exists { .. }
                | EditError::ReachesAlready { .. }
                | EditError::GoesOn
                | EditError::Changed => (409, "Conflict"),
                EditError::Table(PortError::Refused { .. }) => (500, "Internal Server Error"),
                EditError::Table(PortError::Throttled { .. } | PortError::Unknown { .. }) => {
                    (503, "Service Unavailable")
                }
            },
        }
    }

    /// The cause that only our log is told.
    pub(crate) fn cause(&self) -> Option<String> {
        match self {
            Self::Edit(EditError::Table(error)) => Some(error.chain()),
            Self::Edit(_) | Self::NoSuchPath | Self::NoSuchMethod | Self::Invalid(_) | Self::TooLarge => None,
        }
    }

    /// The body: `application/problem+json` (RFC 9457, section 3).
    pub(crate) fn body(&self) -> Value {
        let (status, title) = self.status();
        json!({"type": "about:blank", "title": title, "status": status, "detail": self.to_string()})
    }
}
