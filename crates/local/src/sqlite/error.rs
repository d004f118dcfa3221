//! What SQLite's errors mean to a caller of a port.

use domain::ports::PortError;
use rusqlite::ErrorCode;

/// Why a statement, or reading its rows, failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("a stored {what} does not read as one")]
    Damaged {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("a count does not fit: {0}")]
    TooLarge(#[from] std::num::TryFromIntError),
    #[error("a row does not fit into JSON")]
    Json(#[from] serde_json::Error),
    #[error("schema {found} is newer than this program's {known}: use the newer program")]
    Newer { found: i64, known: usize },
}

impl Failure {
    pub(super) fn damaged(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self::Damaged { what, source }
    }

    pub(super) fn while_doing(self, doing: String) -> PortError {
        match &self {
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    PortError::throttled(doing, self)
                }
                Some(
                    ErrorCode::CannotOpen
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::PermissionDenied
                    | ErrorCode::ReadOnly
                    | ErrorCode::ConstraintViolation,
                ) => PortError::refused(doing, self),
                // A full disk, an I/O error and whatever else: the commit may have reached the file.
                Some(_) | None => PortError::unknown(doing, self),
            },
            Self::Damaged { .. } | Self::TooLarge(_) | Self::Json(_) | Self::Newer { .. } => {
                PortError::refused(doing, self)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn port_error(code: i32) -> PortError {
        Failure::Sql(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
            .while_doing("testing".into())
    }

    #[test]
    fn a_busy_file_is_throttled_because_nothing_happened() {
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_SNAPSHOT, ffi::SQLITE_LOCKED] {
            assert!(matches!(port_error(code), PortError::Throttled { .. }), "{code}");
        }
    }

    #[test]
    fn a_full_or_failing_disk_may_have_taken_the_write() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_FSYNC] {
            assert!(matches!(port_error(code), PortError::Unknown { .. }), "{code}");
        }
    }

    #[test]
    fn what_a_person_must_repair_is_refused() {
        for code in [
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_READONLY,
        ] {
            assert!(matches!(port_error(code), PortError::Refused { .. }), "{code}");
        }
    }
}
