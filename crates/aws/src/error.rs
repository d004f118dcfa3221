//! What the errors of DynamoDB, EC2, ECS, SNS and SSM mean to a caller of a port. S3's have meanings of their own
//! (`s3/error.rs`).
//!
//! The idea: *nothing happened* is only claimed when the service said so or the request never left. Whatever is
//! not understood may have happened.
//!
//! The client tries a call twice, and this judges the last try alone: a first one whose answer was lost is not
//! seen here. A call that must not be done twice is therefore made with
//! `client::one_try`.

use aws_smithy_runtime_api::client::dns::ResolveDnsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use domain::ports::PortError;
use std::error::Error;
use std::io::{self, ErrorKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Throttled,
    Unknown,
    Refused,
}

/// Codes that say nothing happened and a later try may succeed: what these services have of the SDK's throttling
/// codes (`THROTTLING_ERRORS` in `aws-runtime`; a `LimitExceededException` is a quota, which only a person raises),
/// the errors of Publish in the SNS API Reference, and credentials that ran out between their fetch and their use.
const LATER: [&str; 17] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "ExpiredToken",
    "ExpiredTokenException",
    "KMSThrottling",
    "KMSThrottlingException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "Throttled",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// The port's error for a call that failed while `doing` that.
pub(crate) fn failed<E>(error: SdkError<E, HttpResponse>, doing: impl Into<String>) -> PortError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let meaning = match (&error, status) {
        (SdkError::ServiceError(_), Some(status)) => meaning(status, error.code()),
        (SdkError::ConstructionFailure(_), _) => Meaning::Throttled,
        (SdkError::DispatchFailure(_), _) if was_not_connected(&error) => Meaning::Throttled,
        // Time-outs, broken connections, answers that do not parse.
        _ => Meaning::Unknown,
    };
    match meaning {
        Meaning::Throttled => PortError::throttled(doing, error),
        Meaning::Unknown => PortError::unknown(doing, error),
        Meaning::Refused => PortError::refused(doing, error),
    }
}

fn meaning(status: u16, code: Option<&str>) -> Meaning {
    match status {
        400..=499 if code.is_some_and(|code| LATER.contains(&code)) => Meaning::Throttled,
        // 408: the service gave up waiting for a request, of which it may have had enough.
        408 => Meaning::Unknown,
        429 => Meaning::Throttled,
        400..=499 => Meaning::Refused,
        _ => Meaning::Unknown,
    }
}

/// Whether the connection was never made, so that no request can have left on it.
fn was_not_connected(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| {
        let refused = cause.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
            )
        });
        refused || cause.is::<ResolveDnsError>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttled_call_did_nothing() {
        for code in [
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "RequestLimitExceeded",
            "ExpiredTokenException",
        ] {
            assert_eq!(meaning(400, Some(code)), Meaning::Throttled, "{code}");
        }
        assert_eq!(meaning(403, Some("Throttled")), Meaning::Throttled);
        assert_eq!(meaning(429, None), Meaning::Throttled);
    }

    #[test]
    fn a_server_error_may_have_done_it() {
        assert_eq!(meaning(500, Some("InternalServerError")), Meaning::Unknown);
        assert_eq!(meaning(503, Some("ServiceUnavailable")), Meaning::Unknown);
        assert_eq!(meaning(504, None), Meaning::Unknown);
        assert_eq!(meaning(408, None), Meaning::Unknown);
        assert_eq!(meaning(200, None), Meaning::Unknown);
    }

    #[test]
    fn what_a_person_must_change_is_refused() {
        for code in [
            "AccessDeniedException",
            "ValidationException",
            "ResourceNotFoundException",
            "ClusterNotFoundException",
            "UnrecognizedClientException",
        ] {
            assert_eq!(meaning(400, Some(code)), Meaning::Refused, "{code}");
        }
        assert_eq!(meaning(403, Some("AuthorizationError")), Meaning::Refused);
        assert_eq!(meaning(404, Some("NotFound")), Meaning::Refused);
    }
}
