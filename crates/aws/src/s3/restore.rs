//! Objects that lie in an archive class, and getting a readable copy of them.
//!
//! S3 answers a request for a restore in five ways ("RestoreObject", Amazon S3 API Reference): it has begun, the copy
//! that is there stays for longer now, it is under way, the object is read at once, or the tier has no capacity at the
//! moment. All but the last are fine, so asking again is.

use super::S3Archive;
use super::error::Failed;
use super::read::unreadable;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::restore_object::RestoreObjectError;
use aws_sdk_s3::types::{GlacierJobParameters, RestoreRequest, Tier};
use domain::ports::PortError;
use domain::storage::{Asked, Availability, RestoreTier};
use domain::{ObjectKey, StorageClass};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// Whether the object can be read now.
pub(super) async fn availability(archive: &S3Archive, key: &ObjectKey) -> Result<Availability, PortError> {
    let doing = || format!("asking s3://{} whether {key} can be read", archive.bucket);
    let head = archive
        .client
        .head_object()
        .bucket(&archive.bucket)
        .key(archive.key(key));
    let head = head.send().await.map_err(|error| unreadable(error, doing()))?;
    let restore = head.restore().map(Restore::read);
    Ok(match restore {
        Some(Restore::Ongoing) => Availability::Restoring,
        Some(Restore::Done { until }) => Availability::Restored { until },
        None if class(&head).needs_restore() => Availability::Archived,
        None => Availability::AtOnce,
    })
}

/// The header is left out for the standard class.
fn class(head: &HeadObjectOutput) -> StorageClass {
    let Some(class) = head.storage_class() else {
        return StorageClass::Standard;
    };
    let Ok(class) = class.as_str().parse();
    class
}

/// What the header `x-amz-restore` says: `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restore {
    Ongoing,
    Done { until: Option<Timestamp> },
}

impl Restore {
    fn read(header: &str) -> Self {
        if !header.contains("ongoing-request=\"false\"") {
            return Self::Ongoing;
        }
        let until = header
            .split_once("expiry-date=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .and_then(|(date, _)| rfc2822::parse(date).ok());
        Self::Done {
            until: until.map(|until| until.timestamp()),
        }
    }
}

/// Asks for a copy that stays for so many days.
pub(super) async fn ask(
    archive: &S3Archive,
    key: &ObjectKey,
    tier: RestoreTier,
    days: u32,
) -> Result<Asked, PortError> {
    let doing = || format!("restoring {key} of s3://{}", archive.bucket);
    let refused = |why: &'static str| PortError::refused(doing(), why);
    let days = i32::try_from(days).map_err(|_| refused("nobody waits for so many days"))?;
    let job = GlacierJobParameters::builder().tier(tier_name(tier)).build();
    let job = job.map_err(|error| PortError::refused(doing(), error))?;
    let request = RestoreRequest::builder().days(days).glacier_job_parameters(job);
    let restore = archive
        .client
        .restore_object()
        .bucket(&archive.bucket)
        .key(archive.key(key));
    let asked = restore.restore_request(request.build()).send().await;
    match asked {
        Ok(_) => Ok(Asked::Begun),
        Err(error) => harmless(&error).ok_or_else(|| refusal(error, doing())),
    }
}

fn tier_name(tier: RestoreTier) -> Tier {
    match tier {
        RestoreTier::Expedited => Tier::Expedited,
        RestoreTier::Standard => Tier::Standard,
        RestoreTier::Bulk => Tier::Bulk,
    }
}

type AskError = SdkError<RestoreObjectError, HttpResponse>;

/// What an error means that is none.
fn harmless(error: &AskError) -> Option<Asked> {
    match error.code()? {
        "RestoreAlreadyInProgress" => Some(Asked::Already),
        // The second is the answer for the instant archive.
        "ObjectAlreadyInActiveTierError" | "InvalidObjectState" => Some(Asked::NotNeeded),
        _ => None,
    }
}

/// "GlacierExpeditedRetrievalNotAvailable" comes with 503 and is throttled as every other; a tier the class does not
/// have is a 400.
fn refusal(error: AskError, doing: String) -> PortError {
    match error.code() {
        Some("NoSuchKey") => PortError::refused(doing, error),
        Some(_) | None => Failed::from(error).while_doing(doing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_how_far_a_restore_is() {
        let until = "2012-12-21T00:00:00Z".parse().ok();
        for (header, expected) in [
            (r#"ongoing-request="true""#, Restore::Ongoing),
            (
                r#"ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT""#,
                Restore::Done { until },
            ),
            (r#"ongoing-request="false""#, Restore::Done { until: None }),
            (
                r#"ongoing-request="false", expiry-date="soon""#,
                Restore::Done { until: None },
            ),
            ("?", Restore::Ongoing),
        ] {
            assert_eq!(Restore::read(header), expected, "{header}");
        }
    }
}
