//! Pictures that a segment begins with only so that its first can be decoded.
//!
//! ```text
//! decoded   K p p p | P P P P K P ..      K p p p: the archive has them already, in the segment before
//! shown             | P P P P K P ..
//! ```
//! Each lasts one tick, so that a player that shows them all the same shows them for less than a millisecond; the
//! track's edit list leaves them out.

use crate::media::frame::{Frame, MediaTime};
use crate::media::mux::Sample;

/// A lead-in has at most so many pictures, and so lasts 11 ms at most: 33 s at 30 a second, 10 s are played before a hole.
pub const LEAD_IN_MAX: usize = 1_000;

/// Some pictures in decode order, a key frame first; or none.
#[derive(Debug, Default)]
pub(super) struct LeadIn(Vec<Frame>);

impl LeadIn {
    /// None of them when they are of no use: too many, or without a key frame to begin with.
    pub(super) fn new(pictures: Vec<Frame>) -> Self {
        let is_decodable = pictures.first().is_some_and(|first| first.key);
        if is_decodable && pictures.len() <= LEAD_IN_MAX {
            Self(pictures)
        } else {
            Self::default()
        }
    }

    /// None before a key frame.
    pub(super) fn needed_by(self, next: &Frame) -> Self {
        if next.key { Self::default() } else { self }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How long it lasts.
    pub(super) fn ticks(&self) -> u32 {
        u32::try_from(self.0.len()).expect("LEAD_IN_MAX fits")
    }

    /// When its first picture was taken.
    pub(super) fn start(&self) -> Option<MediaTime> {
        self.0.first().map(|first| first.time)
    }

    /// Each with its decode time; shown in their own order.
    pub(super) fn samples(&self) -> impl Iterator<Item = (i64, Sample)> {
        let mut shown: Vec<i64> = self.0.iter().map(|picture| picture.time.ticks).collect();
        shown.sort_unstable();
        (0_i32..).zip(&self.0).map(move |(decode, picture)| {
            let before = shown.partition_point(|ticks| *ticks < picture.time.ticks);
            let presentation = i32::try_from(before).expect("LEAD_IN_MAX fits");
            let sample = Sample {
                data: picture.data.clone(),
                duration: 1,
                offset: presentation - decode,
                key: decode == 0,
            };
            (i64::from(decode), sample)
        })
    }
}
