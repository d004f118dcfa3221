use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// Why a port call failed, named by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Nothing happened; the same call may succeed later.
    #[error("throttled while {doing}")]
    Throttled {
        /// What was being done, and to what.
        doing: String,
        /// The cause below, if there is one.
        #[source]
        source: Option<Source>,
    },
    /// It may have happened, or the answer cannot be believed: look before doing it again.
    #[error("no sure answer while {doing}")]
    Unknown {
        /// What was being done, and to what.
        doing: String,
        /// The cause below, if there is one.
        #[source]
        source: Option<Source>,
    },
    /// It was refused and will be again: a person must change something.
    #[error("refused while {doing}")]
    Refused {
        /// What was being done, and to what.
        doing: String,
        /// The cause below, if there is one.
        #[source]
        source: Option<Source>,
    },
}

impl PortError {
    /// Nothing happened; try later.
    pub fn throttled(doing: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Throttled {
            doing: doing.into(),
            source: Some(source.into()),
        }
    }

    /// It may have happened.
    pub fn unknown(doing: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Unknown {
            doing: doing.into(),
            source: Some(source.into()),
        }
    }

    /// A person must change something.
    pub fn refused(doing: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Refused {
            doing: doing.into(),
            source: Some(source.into()),
        }
    }

    /// The error and all its causes in one line, for logs and alerts.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and all its causes in one line, for logs and alerts.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
