use super::PortError;
use crate::id::ChannelKey;
use crate::segment::{ObjectKey, SegmentKey, SegmentMeta};
use crate::storage::{Asked, Availability, RestoreTier, StorageClass};
use jiff::Timestamp;
use std::ops::Range;

/// The most objects of one delete, and of one page: what S3 takes (`DeleteObjects`, `ListObjectsV2`).
pub const DELETE_MAX: usize = 1_000;

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its key; not necessarily one of ours.
    pub key: ObjectKey,
    /// Its size in bytes, without its metadata.
    pub size_bytes: u64,
    /// The class it lies in; `None` where there are none, or the listing does not say.
    pub class: Option<StorageClass>,
}

/// A segment as a listing shows its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSegment {
    /// Its key.
    pub key: SegmentKey,
    /// Its size in bytes, without its metadata.
    pub size_bytes: u64,
    /// The class it lies in; `None` where there are none, or the listing does not say.
    pub class: Option<StorageClass>,
}

/// Part of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// At most [`DELETE_MAX`] objects, in the order of their keys' bytes.
    pub objects: Vec<StoredObject>,
    /// The key after which the next page begins; `None` when this is the last.
    pub next: Option<ObjectKey>,
}

/// The archive as the keep loop needs it. Recorders do not have these rights.
pub trait ArchiveSweep: Send + Sync {
    /// The channels that have objects, in key order: also those whose device is gone.
    fn list_channels(&self) -> impl Future<Output = Result<Vec<ChannelKey>, PortError>> + Send;

    /// A page of everything below the channel's days, also what is no segment, after a key.
    fn list_page(
        &self,
        channel: &ChannelKey,
        after: Option<&ObjectKey>,
    ) -> impl Future<Output = Result<Page, PortError>> + Send;

    /// Deletes at most [`DELETE_MAX`] objects with their metadata; one that is gone already is deleted. Answers
    /// which could not be deleted, and why.
    ///
    /// # Errors
    /// When none was deleted, or nobody knows which: it can be repeated. More than [`DELETE_MAX`] is
    /// [`PortError::Refused`].
    fn delete_objects(
        &self,
        keys: &[ObjectKey],
    ) -> impl Future<Output = Result<Vec<(ObjectKey, String)>, PortError>> + Send;
}

/// The archive as those who look at video need it.
pub trait ArchiveRead: Send + Sync {
    /// The channel's segments that overlap `[from, to)`, by start, as [`Archive::list_segments`] finds them.
    ///
    /// [`Archive::list_segments`]: super::Archive::list_segments
    fn list_stored(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Vec<StoredSegment>, PortError>> + Send;

    /// Whether the object can be read now.
    ///
    /// # Errors
    /// [`PortError::Refused`] when it is not there.
    fn availability(&self, key: &ObjectKey) -> impl Future<Output = Result<Availability, PortError>> + Send;

    /// Asks for a copy of an archived object, to be read for so many days. It may be asked again at any time.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the object is not there, or its class has no such tier; [`PortError::Throttled`]
    /// when the tier has no capacity at the moment.
    fn restore(
        &self,
        key: &ObjectKey,
        tier: RestoreTier,
        days: u32,
    ) -> impl Future<Output = Result<Asked, PortError>> + Send;

    /// The object's bytes in the range, or as many of them as it has.
    ///
    /// # Errors
    /// [`PortError::Refused`] when it is not there, or lies in a storage class that must be restored first.
    fn read(
        &self,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> impl Future<Output = Result<Vec<u8>, PortError>> + Send;

    /// What was stored beside the object; `None` when the metadata is lost.
    ///
    /// # Errors
    /// [`PortError::Refused`] when the object is not there, or its metadata does not read as such.
    fn describe(
        &self,
        key: &ObjectKey,
    ) -> impl Future<Output = Result<Option<SegmentMeta>, PortError>> + Send;
}
