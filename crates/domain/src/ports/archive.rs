use super::PortError;
use crate::id::ChannelKey;
use crate::segment::{ObjectKey, SegmentKey, SegmentMeta};
use jiff::Timestamp;
use std::path::Path;

/// What became of a write-once put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The object is new.
    New,
    /// The same content was there already (an earlier try whose answer was lost).
    Already,
}

/// Where segments and stills end up. Objects are written once and never replaced.
pub trait Archive: Send + Sync {
    /// Stores the file under `key` unless there is an object already (`If-None-Match: *`), whole or not at
    /// all. The content is checked against `meta.sha256` on the way.
    ///
    /// # Errors
    /// [`PortError::Refused`] when another content is stored under the key, or the file is not what
    /// `meta.sha256` says.
    fn put(
        &self,
        key: &ObjectKey,
        file: &Path,
        meta: &SegmentMeta,
    ) -> impl Future<Output = Result<Stored, PortError>> + Send;

    /// The channel's segments that overlap `[from, to)`, by start. Objects that are not segments are left out.
    fn list_segments(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Vec<SegmentKey>, PortError>> + Send;
}
