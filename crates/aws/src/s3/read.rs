//! Looking at one object.

use super::error::Failed;
use super::{S3Archive, metadata, restore};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use domain::ports::{ArchiveRead, PortError, StoredSegment};
use domain::storage::{Asked, Availability, RestoreTier};
use domain::{ChannelKey, ObjectKey, SegmentMeta};
use jiff::Timestamp;
use std::error::Error;
use std::ops::Range;

/// What S3 says of an object that will not be there at the next try either: it is gone, or lies in a storage class
/// that must be restored first ("List of error codes", Amazon S3 API Reference). A HEAD says it without a code.
const NOT_READABLE: [&str; 3] = ["NoSuchKey", "NotFound", "InvalidObjectState"];

impl ArchiveRead for S3Archive {
    async fn list_stored(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredSegment>, PortError> {
        self.list(channel, from, to).await
    }

    async fn availability(&self, key: &ObjectKey) -> Result<Availability, PortError> {
        restore::availability(self, key).await
    }

    async fn restore(&self, key: &ObjectKey, tier: RestoreTier, days: u32) -> Result<Asked, PortError> {
        restore::ask(self, key, tier, days).await
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>, PortError> {
        let doing = || format!("reading {key} from s3://{}", self.bucket);
        let size_max = range.end.saturating_sub(range.start);
        let last = range.end.saturating_sub(1);
        let get = self.client.get_object().bucket(&self.bucket).key(self.key(key));
        let answer = match get.range(format!("bytes={}-{last}", range.start)).send().await {
            Ok(answer) => answer,
            // The range begins past the end.
            Err(error) if error.code() == Some("InvalidRange") => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error, doing())),
        };
        let mut body = answer.body;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| PortError::unknown(doing(), error))?;
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > size_max {
                return Err(PortError::unknown(doing(), "more bytes came than were asked for"));
            }
        }
        Ok(bytes)
    }

    async fn describe(&self, key: &ObjectKey) -> Result<Option<SegmentMeta>, PortError> {
        let doing = || format!("asking s3://{} what {key} is", self.bucket);
        let head = self.client.head_object().bucket(&self.bucket).key(self.key(key));
        let head = head.send().await.map_err(|error| unreadable(error, doing()))?;
        metadata::read(head.metadata()).map_err(|why| PortError::refused(doing(), why))
    }
}

pub(super) fn unreadable<E>(error: SdkError<E>, doing: String) -> PortError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if error.code().is_some_and(|code| NOT_READABLE.contains(&code)) {
        PortError::refused(doing, error)
    } else {
        Failed::from(error).while_doing(doing)
    }
}
