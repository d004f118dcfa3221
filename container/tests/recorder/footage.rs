//! What an archive really shows: every segment decoded, every frame named.

use domain::SegmentKey;
use jiff::{SignedDuration, Timestamp};
use simulator::frames;
use simulator::media::LoopSpec;
use std::path::Path;

/// The frames of a channel's archive, in the order in which they are shown.
pub(crate) struct Footage {
    pub(crate) frames: Vec<Shown>,
}

/// One frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    /// Its absolute number: which frame of the camera it is.
    pub(crate) number: u64,
    /// UTC, by the segment's name and the frame's time in it.
    pub(crate) at: Timestamp,
}

/// A hole between two frames of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) frames: u64,
}

/// Decodes segments strictly and reads their frames.
pub(crate) fn footage(archive: &Path, segments: &[SegmentKey], spec: &LoopSpec) -> Footage {
    let mut shown = Vec::new();
    for segment in segments {
        let path = archive.join(segment.object_key().0);
        let read = frames::read(&path).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
        assert!(!read.is_empty(), "{} has no frames", path.display());
        for frame in read {
            let at = segment.start + SignedDuration::from_millis(frame.pts_ms);
            let index = frame.index.expect("every frame is readable");
            let number = frames::absolute(index, at, spec);
            shown.push(Shown { number, at });
        }
    }
    Footage { frames: shown }
}

impl Footage {
    /// The holes; fails when a frame is there twice or out of order.
    pub(crate) fn holes(&self) -> Vec<Missing> {
        let mut holes = Vec::new();
        for pair in self.frames.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            assert!(after.number > before.number, "{before:?} comes before {after:?}");
            assert!(after.at > before.at, "{before:?} is shown before {after:?}");
            let frames = after.number - before.number - 1;
            if frames > 0 {
                holes.push(Missing {
                    from: before.at,
                    to: after.at,
                    frames,
                });
            }
        }
        holes
    }

    /// Fails unless every frame from the first to the last is there, once.
    pub(crate) fn is_whole(&self) {
        assert_eq!(self.holes(), vec![], "of {} frames", self.frames.len());
    }

    /// Seconds of video at 25 frames a second.
    pub(crate) fn seconds(&self) -> f64 {
        f64::from(u32::try_from(self.frames.len()).unwrap()) / 25.0
    }
}
