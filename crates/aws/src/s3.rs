//! The archive in an S3 bucket.
//!
//! The idea: S3 itself keeps the port's promises. `If-None-Match: *` makes an object write-once, and the SHA-256
//! sent along makes S3 refuse content that is not what the recorder closed. Keys sort by time, so a listing that
//! starts a day early and ends at the first segment past the interval is the timeline.
//!
//! A general purpose bucket is needed: directory buckets do not list in key order.

mod client;
mod error;
mod location;
mod metadata;
mod read;
mod restore;
mod sweep;

pub use location::{Location, NotALocation};

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::Object;
use domain::ports::{Archive, PortError, Stored, StoredSegment};
use domain::segment::format_start;
use domain::{ChannelKey, ObjectKey, SegmentKey, SegmentMeta, StorageClass};
use error::{Failed, is_already_there};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::io::ErrorKind;
use std::path::Path;

/// A bound on one listing: a thousand pages of a thousand keys are a year of a channel's 30 s segments.
const PAGES_MAX: usize = 1_000;

/// No segment is longer: what starts earlier than this before an interval does not reach into it.
const SEGMENT_MAX: SignedDuration = SignedDuration::from_hours(24);

/// What an upload reads of its file at a time. Each read is a turn of another thread: with the SDK's 4 KiB that was half
/// of what the recorder's uploads cost.
const READ_BYTES: usize = 256 * 1024;

/// An archive below one prefix of a bucket.
#[derive(Debug, Clone)]
pub struct S3Archive {
    client: Client,
    bucket: String,
    /// Empty, or ending in a slash.
    prefix: String,
}

impl S3Archive {
    /// An archive that uses `client`, whose time-outs and few tries are the caller's concern.
    pub fn new(client: Client, bucket: impl Into<String>, prefix: impl AsRef<str>) -> Self {
        let prefix = match prefix.as_ref().trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self {
            client,
            bucket: bucket.into(),
            prefix,
        }
    }

    /// An archive with region, credentials and endpoint from where the AWS SDK and command line look for them:
    /// environment, profile, ECS task role, instance role.
    pub async fn from_env(bucket: impl Into<String>, prefix: impl AsRef<str>) -> Self {
        Self::new(client::new(&crate::config_from_env().await), bucket, prefix)
    }

    /// The archive at `location`, by the region, credentials and time-outs of `config`.
    pub fn at(config: &SdkConfig, location: &Location) -> Self {
        Self::new(client::new(config), &location.bucket, &location.prefix)
    }

    fn key(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn put_object(
        &self,
        key: &ObjectKey,
        body: ByteStream,
        size_bytes: u64,
        meta: &SegmentMeta,
    ) -> Result<Result<PutObjectOutput, SdkError<PutObjectError>>, PortError> {
        let refused = |why| PortError::refused(format!("describing {key}"), why);
        let described = metadata::of(meta).map_err(refused)?;
        let checksum = metadata::checksum(meta).map_err(refused)?;
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(key))
            .if_none_match("*")
            .checksum_sha256(checksum)
            .set_content_type(metadata::content_type(key).map(str::to_owned))
            .set_metadata(Some(described))
            .body(body);
        let timed = client::with_upload_time(size_bytes);
        Ok(put.customize().config_override(timed).send().await)
    }

    /// Whether the object that is there has the content `meta` tells of.
    async fn compare(&self, key: &ObjectKey, meta: &SegmentMeta) -> Result<Stored, PortError> {
        let doing = || format!("comparing {key} with what s3://{} has", self.bucket);
        let head = self.client.head_object().bucket(&self.bucket).key(self.key(key));
        let head = head
            .send()
            .await
            .map_err(|error| Failed::from(error).while_doing(doing()))?;
        match metadata::sha256(head.metadata()) {
            Some(found) if found == meta.sha256 => Ok(Stored::Already),
            Some(_) | None => Err(PortError::refused(
                doing(),
                "another content is stored under the key",
            )),
        }
    }

    async fn page(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        continuation: Option<String>,
    ) -> Result<ListObjectsV2Output, PortError> {
        let earliest = from.saturating_sub(SEGMENT_MAX).unwrap_or(Timestamp::MIN);
        let day = SegmentKey::day_prefix(channel, earliest.to_zoned(TimeZone::UTC).date());
        self.client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(format!("{}{}/", self.prefix, channel.prefix()))
            .start_after(format!("{}{day}/{}", self.prefix, format_start(earliest)))
            .set_continuation_token(continuation)
            .send()
            .await
            .map_err(|error| Failed::from(error).while_doing(listing(channel)))
    }

    /// The page's segments, in key order.
    fn segments(&self, page: &ListObjectsV2Output) -> Vec<StoredSegment> {
        let segment = |object: &Object| {
            let key = object.key()?.strip_prefix(&self.prefix)?.parse().ok()?;
            Some(StoredSegment {
                key,
                size_bytes: size_bytes(object),
                class: class(object),
            })
        };
        page.contents().iter().filter_map(segment).collect()
    }

    /// The channel's segments that overlap `[from, to)`, by start.
    async fn list(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredSegment>, PortError> {
        let mut found = Vec::new();
        let mut continuation = None;
        for _ in 0..PAGES_MAX {
            let page = self.page(channel, from, continuation).await?;
            let segments = self.segments(&page);
            let past_the_end = segments.last().is_some_and(|segment| segment.key.start >= to);
            let overlaps = |StoredSegment { key, .. }: &StoredSegment| key.start < to && key.end() > from;
            found.extend(segments.into_iter().filter(overlaps));
            if past_the_end || page.is_truncated() != Some(true) {
                return Ok(found);
            }
            let Some(next) = page.next_continuation_token else {
                return Err(PortError::unknown(
                    listing(channel),
                    "a page has a next one but no way to it",
                ));
            };
            continuation = Some(next);
        }
        let why = format!("more than {PAGES_MAX} pages: ask for a shorter interval");
        Err(PortError::refused(listing(channel), why))
    }
}

fn size_bytes(object: &Object) -> u64 {
    object.size().and_then(|size| size.try_into().ok()).unwrap_or(0)
}

fn class(object: &Object) -> Option<StorageClass> {
    let Ok(class) = object.storage_class()?.as_str().parse();
    Some(class)
}

impl Archive for S3Archive {
    async fn put(&self, key: &ObjectKey, file: &Path, meta: &SegmentMeta) -> Result<Stored, PortError> {
        let doing = || format!("archiving {key} to s3://{}", self.bucket);
        let size_bytes = match tokio::fs::metadata(file).await {
            Ok(found) => found.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(PortError::refused(doing(), error));
            }
            Err(error) => return Err(PortError::throttled(doing(), error)),
        };
        let body = ByteStream::read_from()
            .path(file)
            .buffer_size(READ_BYTES)
            .build()
            .await;
        let body = body.map_err(|error| PortError::throttled(doing(), error))?;
        match self.put_object(key, body, size_bytes, meta).await? {
            Ok(_) => Ok(Stored::New),
            Err(error) if is_already_there(&error) => self.compare(key, meta).await,
            Err(error) => Err(Failed::from(error).while_doing(doing())),
        }
    }

    async fn list_segments(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SegmentKey>, PortError> {
        let stored = self.list(channel, from, to).await?;
        Ok(stored.into_iter().map(|segment| segment.key).collect())
    }
}

fn listing(channel: &ChannelKey) -> String {
    format!("listing the segments of {channel}")
}
