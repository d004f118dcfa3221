//! What S3's errors mean to a caller of the archive.
//!
//! A refusal is about the object alone and makes the recorder set the segment aside. What is wrong with the whole
//! archive (no permission, no such bucket, expired credentials) will be mended by a person while segments wait in
//! the spool, so it is `Throttled`: nothing happened, try later.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use domain::ports::PortError;
use std::error::Error;

/// A failed call, and what its failure means.
pub(super) struct Failed {
    meaning: Meaning,
    source: Box<dyn Error + Send + Sync>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Throttled,
    Unknown,
    Refused,
}

/// `400 Bad Request` codes that are not about the object ("List of error codes", Amazon S3 API Reference).
const NOT_THE_OBJECT: [&str; 9] = [
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "IllegalLocationConstraintException",
    "IncompleteBody",
    "InvalidBucketName",
    "InvalidToken",
    "RequestTimeout",
    "SlowDown",
    "TokenRefreshRequired",
];

impl Failed {
    pub(super) fn while_doing(self, doing: String) -> PortError {
        match self.meaning {
            Meaning::Throttled => PortError::throttled(doing, self.source),
            Meaning::Unknown => PortError::unknown(doing, self.source),
            Meaning::Refused => PortError::refused(doing, self.source),
        }
    }
}

impl<E> From<SdkError<E>> for Failed
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        let meaning = match (&error, status) {
            (SdkError::ServiceError(_), Some(status)) => meaning(status, error.code()),
            // It never left: no credentials, no region. A person mends that for the whole archive.
            (SdkError::ConstructionFailure(_), _) => Meaning::Throttled,
            // Time-outs, broken connections, answers that do not parse: it may have happened.
            _ => Meaning::Unknown,
        };
        Self {
            meaning,
            source: Box::new(error),
        }
    }
}

fn meaning(status: u16, code: Option<&str>) -> Meaning {
    match status {
        400 if code.is_some_and(|code| NOT_THE_OBJECT.contains(&code)) => Meaning::Throttled,
        400 => Meaning::Refused,
        // 409 answers a conditional write that raced with a delete; S3 asks to send it again.
        401 | 403 | 404 | 409 | 429 | 503 => Meaning::Throttled,
        301 | 307 => Meaning::Throttled,
        405..=499 => Meaning::Refused,
        _ => Meaning::Unknown,
    }
}

/// Whether a conditional write failed on its condition.
pub(super) fn is_already_there<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error
        .raw_response()
        .is_some_and(|answer| answer.status().as_u16() == 412)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_object_is_refused() {
        for code in [
            "BadDigest",
            "InvalidDigest",
            "MetadataTooLarge",
            "KeyTooLongError",
            "EntityTooLarge",
        ] {
            assert_eq!(meaning(400, Some(code)), Meaning::Refused, "{code}");
        }
        assert_eq!(meaning(411, Some("MissingContentLength")), Meaning::Refused);
    }

    #[test]
    fn what_is_wrong_with_the_archive_never_costs_a_segment() {
        for (status, code) in [
            (403, "AccessDenied"),
            (403, "RequestTimeTooSkewed"),
            (404, "NoSuchBucket"),
            (400, "ExpiredToken"),
            (503, "SlowDown"),
            (409, "ConditionalRequestConflict"),
        ] {
            assert_eq!(meaning(status, Some(code)), Meaning::Throttled, "{code}");
        }
    }

    #[test]
    fn a_server_error_may_have_stored_the_object() {
        assert_eq!(meaning(500, Some("InternalError")), Meaning::Unknown);
        assert_eq!(meaning(504, None), Meaning::Unknown);
    }
}
