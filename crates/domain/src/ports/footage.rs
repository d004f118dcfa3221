use super::PortError;
use crate::id::ChannelKey;
use crate::segment::SegmentKey;
use crate::settings::RecordingSettings;
use jiff::Timestamp;
use std::ops::Range;

/// What devices recorded themselves, as their gateway gives access to it.
pub trait Footage: Send + Sync {
    /// The stretches of a channel's main stream that the device has between two moments, by its own clock, in any
    /// order; they may begin earlier and end later.
    ///
    /// # Errors
    /// An answer that is not whole and consistent is [`PortError::Unknown`], never an empty list.
    fn find_footage(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Vec<Range<Timestamp>>, PortError>> + Send;

    /// The RTSP URL that plays a stretch, without credentials; `None` when the device says that it has no file
    /// there after all.
    fn playback_url(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Option<String>, PortError>> + Send;
}

/// One playback, and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playback {
    /// Which channel.
    pub key: ChannelKey,
    /// Where to play it from, without credentials.
    pub url: String,
    /// What is asked of the device: more than what is missing, so that frames which are there already tell how its
    /// clock and ours compare.
    pub asked: Range<Timestamp>,
    /// What is missing, by our clock.
    pub missing: Range<Timestamp>,
    /// More is missing after it: the last picture wanted is the one before the first key frame after `missing`.
    pub goes_on: bool,
    /// The segment that ends where `missing` begins.
    pub before: Option<SegmentKey>,
    /// The segment that begins where `missing` ends.
    pub after: Option<SegmentKey>,
    /// How the channel is recorded.
    pub settings: RecordingSettings,
}

/// How a playback ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All that was asked for was played.
    Complete,
    /// The device ended it before that, and said so: it has no more, or no time.
    Early,
    /// The connection broke or fell silent: there may be more.
    CutShort,
}

/// Where footage goes on its way from the device to the archive. What was fetched outlives the process.
pub trait Fetch: Send + Sync {
    /// Plays and keeps what is missing, as segments of [`Generation::BACKFILL`](crate::Generation::BACKFILL) that wait
    /// from then on.
    ///
    /// # Errors
    /// Nothing could be played. What came before a playback broke waits nevertheless.
    fn fetch(&self, playback: &Playback) -> impl Future<Output = Result<Ended, PortError>> + Send;

    /// The segments that were fetched, and neither stored nor dropped yet.
    fn waiting(&self) -> impl Future<Output = Result<Vec<SegmentKey>, PortError>> + Send;

    /// Stores a waiting segment in the archive, once, and waits for it no more.
    ///
    /// # Errors
    /// It waits on; it may be stored, and is when this is repeated.
    fn store(&self, segment: &SegmentKey) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Gives up a waiting segment: the archive has that time already.
    fn discard(&self, segment: &SegmentKey) -> impl Future<Output = Result<(), PortError>> + Send;
}
