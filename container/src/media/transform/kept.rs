//! Frames that wait for a child, and frames that the next child may need.

use crate::media::frame::{Frame, MediaTime};
use jiff::SignedDuration;
use std::collections::VecDeque;

/// Frames that wait for a child: beyond, taking more has to wait. Two seconds at 25 a second.
const WAITING_MAX: usize = 50;
/// Bytes kept for the next child: 20 s at 12 Mbit/s. Beyond, the oldest are given up.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What has not come out again.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Frames that no child has been given, oldest first.
    waiting: VecDeque<Frame>,
    /// Frames that the child has been given, from the first that what is not out yet depends on.
    given: VecDeque<Frame>,
}

impl Kept {
    pub(super) fn push(&mut self, frame: Frame) {
        self.waiting.push_back(frame);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.given.is_empty()
    }

    /// More frames wait than a child should ever be behind.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() > WAITING_MAX
    }

    /// The next frame for the child.
    pub(super) fn next(&self) -> Option<&Frame> {
        self.waiting.front()
    }

    /// Leaves out frames before the first that a child can use.
    pub(super) fn skip_until(&mut self, is_useful: impl Fn(&Frame) -> bool) {
        while self.waiting.pop_front_if(|frame| !is_useful(frame)).is_some() {}
    }

    /// The child was given the next frame.
    pub(super) fn was_given(&mut self) {
        self.given.extend(self.waiting.pop_front());
    }

    /// From the oldest frame that is kept to the newest.
    pub(super) fn span(&self) -> SignedDuration {
        let oldest = self.given.front().or(self.waiting.front());
        let newest = self.waiting.back().or(self.given.back());
        match (oldest, newest) {
            (Some(oldest), Some(newest)) => newest.time.since_start() - oldest.time.since_start(),
            (None, _) | (_, None) => SignedDuration::ZERO,
        }
    }

    /// Everything until `time` is out: what comes after it depends on nothing before its key frame.
    pub(super) fn forget_pictures(&mut self, time: MediaTime) {
        let is_out = |frame: &Frame| frame.time.since_start() <= time.since_start();
        let needed = self.given.iter().rposition(|frame| frame.key && is_out(frame));
        self.given.drain(..needed.unwrap_or(0));
    }

    /// Everything until `time` is out, and nothing depends on it.
    pub(super) fn forget(&mut self, time: MediaTime) {
        let is_out = |frame: &Frame| frame.time.since_start() <= time.since_start();
        let last = self.given.iter().rposition(is_out);
        self.given.drain(..last.map_or(0, |last| last + 1));
    }

    /// Nothing that the child was given is given to another.
    pub(super) fn forget_given(&mut self) {
        self.given.clear();
    }

    /// What the last child was given and did not answer comes first for the next.
    pub(super) fn give_again(&mut self) {
        while let Some(frame) = self.given.pop_back() {
            self.waiting.push_front(frame);
        }
    }

    /// Gives up the oldest frames when too much is kept: what is lost then follows the last picture that came out,
    /// and no hole is in between.
    pub(super) fn bound(&mut self) {
        let frames = self.given.iter().chain(&self.waiting);
        let mut bytes: usize = frames.map(|frame| frame.data.len()).sum();
        while bytes > BYTES_MAX {
            let Some(oldest) = self.given.pop_front().or_else(|| self.waiting.pop_front()) else {
                return;
            };
            bytes -= oldest.data.len();
        }
    }
}
