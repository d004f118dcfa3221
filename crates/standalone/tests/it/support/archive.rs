//! What an archive really holds: every frame of every segment, decoded.

use domain::ports::{Archive, GapsTable};
use domain::{ChannelKey, Gap, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use local::{Folder, Sqlite};
use simulator::frames;
use simulator::media::LoopSpec;
use std::path::Path;

/// A channel's recording, frame by frame.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) segments: Vec<SegmentKey>,
    /// Absolute frame numbers in the order of the archive.
    pub(crate) frames: Vec<u64>,
    pub(crate) gaps: Vec<Gap>,
}

/// A stretch of frames that are not in the archive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Missing {
    /// When the first missing frame was on air.
    pub(crate) start: Timestamp,
    /// When the first frame after them was on air.
    pub(crate) end: Timestamp,
}

impl Missing {
    pub(crate) fn duration(&self) -> SignedDuration {
        self.end.duration_since(self.start)
    }
}

impl Recording {
    /// Lists and decodes everything of a channel; fails on a segment that does not decode in full.
    pub(crate) async fn read(archive: &Path, state: &Path, key: &ChannelKey, picture: &LoopSpec) -> Self {
        let folder = Folder::at(archive);
        let all = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let segments = folder.list_segments(key, all.0, all.1).await.unwrap();
        let gaps = Sqlite::open(state)
            .await
            .unwrap()
            .list_gaps(key, all.0, all.1)
            .await
            .unwrap();
        let mut numbers = Vec::new();
        for segment in &segments {
            for frame in frames::read(&archive.join(&segment.object_key().0)).unwrap() {
                let index = frame
                    .index
                    .unwrap_or_else(|| panic!("{segment}: an unreadable frame"));
                let shown = segment
                    .start
                    .checked_add(SignedDuration::from_millis(frame.pts_ms))
                    .unwrap();
                numbers.push(frames::absolute(index, shown, picture));
            }
        }
        Self {
            segments,
            frames: numbers,
            gaps,
        }
    }

    /// The stretches that are missing between the first frame and the last, and that no frame is there twice.
    pub(crate) fn missing(&self, key: &ChannelKey, picture: &LoopSpec) -> Vec<Missing> {
        let mut missing = Vec::new();
        for pair in self.frames.windows(2) {
            assert!(
                pair[0] < pair[1],
                "{key}: frame {} comes after {}",
                pair[1],
                pair[0]
            );
            if pair[1] > pair[0] + 1 {
                let rhythm = picture.rhythm();
                missing.push(Missing {
                    start: rhythm.start_of(pair[0] + 1),
                    end: rhythm.start_of(pair[1]),
                });
            }
        }
        missing
    }
}
