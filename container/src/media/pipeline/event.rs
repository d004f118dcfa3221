//! What a pipeline tells its caller.

use crate::media::mux::MuxError;
use crate::media::segmenter::SegmentError;
use crate::media::spool::{Pending, SpoolError};
use crate::media::transform::TransformError;
use domain::{FirstPicture, PictureMark};
use jiff::Timestamp;
use std::time::Duration;
use tokio::task::JoinError;

/// Why recording cannot go on as it is. What is open can still be closed by [`Pipeline::finish`](super::Pipeline::finish).
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The disk said no. What was not written is lost; the rest is pending or will be salvaged.
    #[error("while writing to the spool")]
    Spool(#[from] SpoolError),
    /// The stream cannot be cut into segments.
    #[error("while cutting segments")]
    Segment(#[from] SegmentError),
    /// A blocking task died, which only a bug makes it do.
    #[error("while waiting for the disk")]
    Task(#[from] JoinError),
}

impl From<MuxError> for PipelineError {
    fn from(error: MuxError) -> Self {
        Self::Segment(error.into())
    }
}

/// What the caller should know.
#[derive(Debug)]
pub enum Event {
    /// Recording began, or began again: the first picture that is recorded. In the first segment of a session
    /// the segment's own start may turn out to be a little earlier, never before [`Event::Stopped`].
    Started {
        /// UTC of the picture.
        at: Timestamp,
    },
    /// Recording ended: no picture after this is in a segment until [`Event::Started`].
    Stopped {
        /// UTC of the end of the last picture.
        at: Timestamp,
        /// Why.
        because: Break,
    },
    /// The first pictures since [`Event::Started`] are in a file.
    OnDisk(FirstPicture),
    /// A segment is complete, durable and hashed.
    Closed {
        /// The segment.
        pending: Pending,
        /// Its first picture.
        opens_with: PictureMark,
    },
    /// Pictures that had been recorded are not in any file: the disk refused them.
    Lost {
        /// UTC of the first.
        start: Timestamp,
        /// UTC of the end of the last.
        end: Timestamp,
    },
    /// A still picture is complete, durable and hashed.
    Still(Pending),
    /// An ffmpeg child died and is started again. Pictures it had been given go to the next one; recording has
    /// a hole only if [`Event::Stopped`] follows.
    TransformFailed {
        /// What it did.
        what: What,
        /// Why it died.
        error: TransformError,
        /// The pause before the next start.
        again_in: Duration,
    },
}

/// Why recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// [`Pipeline::finish`](super::Pipeline::finish) or [`Pipeline::begin`](super::Pipeline::begin) was called.
    Asked,
    /// The stream changed in the middle of a group of pictures; the next key frame goes on.
    Parameters,
    /// The camera's media clock jumped; the next key frame goes on.
    ClockJump,
    /// The transform of the pictures died again and again.
    Transform,
}

/// What an ffmpeg child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Encodes pictures.
    Pictures,
    /// Encodes sound.
    Sound,
    /// Makes still pictures.
    Stills,
}
