//! The archive that the configuration names, for reading.

use anyhow::Context;
use domain::coverage::{Span, coverage};
use domain::ports::{Archive, GapsTable};
use domain::{ChannelKey, SegmentKey};
use jiff::Timestamp;
use local::Folder;
use recorder::cli::ArchiveUrl;

/// The archive behind an address like `file:DIR`.
#[derive(Debug, Clone)]
pub(crate) enum AnyArchive {
    Folder(Folder),
    #[cfg(feature = "s3")]
    S3(aws::s3::S3Archive),
}

impl AnyArchive {
    /// Opens it.
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let url: ArchiveUrl = address
            .parse()
            .map_err(anyhow::Error::msg)
            .context("reading the archive's address")?;
        match url {
            ArchiveUrl::Folder(root) => Ok(Self::Folder(
                Folder::open(&root).await.context("opening the archive")?,
            )),
            #[cfg(feature = "s3")]
            ArchiveUrl::S3 { bucket, prefix } => {
                Ok(Self::S3(aws::s3::S3Archive::from_env(bucket, prefix).await))
            }
        }
    }

    /// The channel's segments that overlap the range, by start.
    pub(crate) async fn segments(
        &self,
        channel: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> anyhow::Result<Vec<SegmentKey>> {
        let segments = match self {
            Self::Folder(folder) => folder.list_segments(channel, from, to).await,
            #[cfg(feature = "s3")]
            Self::S3(bucket) => bucket.list_segments(channel, from, to).await,
        };
        segments.with_context(|| format!("listing the segments of {channel}"))
    }
}

/// What became of a channel in a range.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) segments: Vec<SegmentKey>,
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
    let segments = archive.segments(channel, from, to).await?;
    let gaps = table
        .list_gaps(channel, from, to)
        .await
        .with_context(|| format!("listing the gaps of {channel}"))?;
    let spans = coverage(&segments, &gaps, from, to);
    Ok(History { segments, spans })
}
