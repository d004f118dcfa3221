//! The archive that the configuration names.

use anyhow::{Context, ensure};
use domain::coverage::{Span, coverage};
use domain::ports::{
    Archive, ArchiveRead, ArchiveSweep, ChannelsTable, GapsTable, Page, PortError, Stored, StoredSegment,
};
use domain::storage::{Asked, Availability};
use domain::{ChannelKey, ObjectKey, RestoreTier, SegmentKey, SegmentMeta};
use jiff::Timestamp;
use local::{Folder, Found, Sqlite};
use recorder::cli::ArchiveUrl;
use std::ops::Range;
use std::path::Path;

/// No object of ours is larger; one is in memory at a time.
pub(crate) const OBJECT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// The archive behind an address like `file:DIR`.
#[derive(Debug, Clone)]
pub(crate) enum AnyArchive {
    Folder(Folder),
    #[cfg(feature = "s3")]
    S3(aws::s3::S3Archive),
}

/// Hands a call to whichever archive it is.
macro_rules! either {
    ($self:ident, $archive:ident => $call:expr) => {
        match $self {
            Self::Folder($archive) => $call,
            #[cfg(feature = "s3")]
            Self::S3($archive) => $call,
        }
    };
}

impl AnyArchive {
    /// The archive at this address, which is asked nothing yet.
    pub(crate) async fn at(url: &ArchiveUrl) -> Self {
        match url {
            ArchiveUrl::Folder(root) => Self::Folder(Folder::at(root)),
            #[cfg(feature = "s3")]
            ArchiveUrl::S3 { bucket, prefix } => {
                let (bucket, prefix) = (bucket.clone(), prefix.clone());
                Self::S3(aws::s3::S3Archive::from_env(bucket, prefix).await)
            }
        }
    }

    /// Whether it is there; a bucket is taken to be.
    ///
    /// # Errors
    /// Its folder is not there: its share is not mounted, say.
    pub(crate) async fn look(&self) -> Result<(), PortError> {
        match self {
            Self::Folder(folder) => folder.look().await,
            #[cfg(feature = "s3")]
            Self::S3(_) => Ok(()),
        }
    }
}

/// Makes the archive at the first start with these tables; a bucket is made by others. A later start that does not find it
/// goes on: recorders keep what they record until it is back.
///
/// # Errors
/// It cannot be made, or the tables do not say whether it was.
pub(crate) async fn make_once(url: &ArchiveUrl, table: &Sqlite) -> anyhow::Result<()> {
    match url {
        ArchiveUrl::Folder(root) => {
            if let Found::Away(error) = Folder::at(root).make_once(table).await? {
                tracing::warn!(archive = %url, error = error.chain(), "recordings wait in the spool");
            }
        }
        #[cfg(feature = "s3")]
        ArchiveUrl::S3 { .. } => {}
    }
    Ok(())
}

impl Archive for AnyArchive {
    async fn put(&self, key: &ObjectKey, file: &Path, meta: &SegmentMeta) -> Result<Stored, PortError> {
        either!(self, archive => archive.put(key, file, meta).await)
    }

    async fn list_segments(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SegmentKey>, PortError> {
        either!(self, archive => archive.list_segments(channel, from, to).await)
    }
}

impl ArchiveSweep for AnyArchive {
    async fn list_channels(&self) -> Result<Vec<ChannelKey>, PortError> {
        either!(self, archive => archive.list_channels().await)
    }

    async fn list_page(&self, channel: &ChannelKey, after: Option<&ObjectKey>) -> Result<Page, PortError> {
        either!(self, archive => archive.list_page(channel, after).await)
    }

    async fn delete_objects(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, String)>, PortError> {
        either!(self, archive => archive.delete_objects(keys).await)
    }
}

impl ArchiveRead for AnyArchive {
    async fn list_stored(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredSegment>, PortError> {
        either!(self, archive => archive.list_stored(channel, from, to).await)
    }

    async fn availability(&self, key: &ObjectKey) -> Result<Availability, PortError> {
        either!(self, archive => archive.availability(key).await)
    }

    async fn restore(&self, key: &ObjectKey, tier: RestoreTier, days: u32) -> Result<Asked, PortError> {
        either!(self, archive => archive.restore(key, tier, days).await)
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>, PortError> {
        either!(self, archive => archive.read(key, range).await)
    }

    async fn describe(&self, key: &ObjectKey) -> Result<Option<SegmentMeta>, PortError> {
        either!(self, archive => archive.describe(key).await)
    }
}

/// Refuses a channel of which neither the tables nor the archive know: its name is mistyped.
///
/// # Errors
/// They do not, or cannot be read.
pub(crate) async fn ensure_known<T: ChannelsTable>(
    archive: &AnyArchive,
    table: &T,
    channel: &ChannelKey,
) -> anyhow::Result<()> {
    if is_listed(table, channel).await? {
        return Ok(());
    }
    ensure_archived(archive, channel).await
}

/// Refuses a channel that is not one of the known ones and of which nothing is in the archive.
///
/// # Errors
/// Nothing is, or the archive cannot be read.
pub(crate) async fn ensure_archived(archive: &AnyArchive, channel: &ChannelKey) -> anyhow::Result<()> {
    let page = archive.list_page(channel, None).await;
    let page = page.with_context(|| format!("listing the archive of {channel}"))?;
    ensure!(
        !page.objects.is_empty(),
        "there is no channel {channel}: it is not known, and nothing of it is in the archive; `millrace channels` lists \
         the known ones"
    );
    Ok(())
}

/// Whether the channel is one of the known ones.
///
/// # Errors
/// They cannot be read.
pub(crate) async fn is_listed<T: ChannelsTable>(table: &T, channel: &ChannelKey) -> anyhow::Result<bool> {
    let rows = table.list_channels().await.context("reading the channels")?;
    Ok(rows.iter().any(|row| row.key == *channel))
}

/// What became of a channel in a range.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) segments: Vec<SegmentKey>,
    /// The same, as they are stored.
    pub(crate) objects: Vec<StoredSegment>,
    pub(crate) spans: Vec<Span>,
}

/// Reads segments and gaps and puts them together.
pub(crate) async fn history<T: GapsTable>(
    archive: &AnyArchive,
    table: &T,
    channel: &ChannelKey,
    from: Timestamp,
    to: Timestamp,
) -> anyhow::Result<History> {
    let objects = archive
        .list_stored(channel, from, to)
        .await
        .with_context(|| format!("listing the segments of {channel}"))?;
    let segments: Vec<SegmentKey> = objects.iter().map(|object| object.key.clone()).collect();
    let gaps = table
        .list_gaps(channel, from, to)
        .await
        .with_context(|| format!("listing the gaps of {channel}"))?;
    let spans = coverage(&segments, &gaps, from, to);
    Ok(History {
        segments,
        objects,
        spans,
    })
}
