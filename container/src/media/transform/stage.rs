//! The way of one track from source to segmenter: copied, transformed, or left out, and how that changes.
//!
//! The one idea: a change of way is a new lane behind the old one, and a lane is read only when the one before
//! it is empty. So frames stay in order, and what an old child still holds comes out before anything new.

use super::{Job, Output, Source, Transform, TransformError};
use crate::media::codec;
use crate::media::frame::{Frame, VideoParams};
use crate::media::mux::MuxError;
use std::collections::VecDeque;
use std::time::Duration;

/// What happens to the frames of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// Nothing: they are stored as received. Pictures say how they are encoded.
    Direct(Option<VideoParams>),
    /// They pass through a child.
    Through(Job, Source),
    /// They are left out.
    LeftOut,
}

/// What comes out of a stage.
#[derive(Debug)]
pub enum Passed {
    /// How the pictures that follow are encoded.
    Pictures(VideoParams),
    /// One frame.
    Frame(Frame),
    /// A child died; see [`Output::Failed`].
    Failed {
        /// Why.
        error: TransformError,
        /// The pause before the next start.
        again_in: Duration,
    },
    /// Everything is out, after [`Stage::close`].
    End,
}

/// One track's way.
#[derive(Debug, Default)]
pub struct Stage {
    lanes: VecDeque<Lane>,
}

#[derive(Debug)]
enum Lane {
    Direct {
        announce: Option<VideoParams>,
        frames: VecDeque<Frame>,
    },
    Through(Box<Transform>),
    LeftOut,
}

impl Stage {
    /// Sends the frames that follow another way.
    pub fn switch(&mut self, program: &str, flow: Flow) {
        self.close();
        self.lanes.push_back(match flow {
            Flow::Direct(announce) => Lane::Direct {
                announce,
                frames: VecDeque::new(),
            },
            Flow::Through(job, source) => Lane::Through(Box::new(Transform::new(program, job, source))),
            Flow::LeftOut => Lane::LeftOut,
        });
    }

    /// No more frames: what is inside comes out, then [`Passed::End`].
    pub fn close(&mut self) {
        match self.lanes.back_mut() {
            Some(Lane::Through(transform)) => transform.close(),
            Some(Lane::Direct { .. } | Lane::LeftOut) | None => {}
        }
    }

    /// Takes a frame.
    pub fn offer(&mut self, frame: Frame) {
        match self.lanes.back_mut() {
            Some(Lane::Direct { frames, .. }) => frames.push_back(frame),
            Some(Lane::Through(transform)) => transform.offer(frame),
            Some(Lane::LeftOut) | None => {}
        }
    }

    /// The caller should wait for [`Stage::next`] before it offers more.
    pub fn is_behind(&self) -> bool {
        match self.lanes.front() {
            Some(Lane::Through(transform)) => transform.is_behind(),
            Some(Lane::Direct { .. } | Lane::LeftOut) | None => false,
        }
    }

    /// What is there without waiting for a child.
    pub fn ready(&mut self) -> Option<Passed> {
        while self.lanes.len() > 1 && self.lanes.front().is_some_and(Lane::is_over) {
            self.lanes.pop_front();
        }
        match self.lanes.front_mut() {
            Some(Lane::Direct { announce, frames }) => {
                if let Some(params) = announce.take() {
                    return Some(Passed::Pictures(params));
                }
                frames.pop_front().map(Passed::Frame)
            }
            Some(Lane::Through(_) | Lane::LeftOut) | None => None,
        }
    }

    /// What comes out next. Cancel-safe. Waits for ever when nothing will.
    ///
    /// # Errors
    /// [`MuxError`] when a child encodes as something this recorder does not store.
    pub async fn next(&mut self) -> Result<Passed, MuxError> {
        loop {
            if let Some(passed) = self.ready() {
                return Ok(passed);
            }
            let is_last = self.lanes.len() == 1;
            let Some(Lane::Through(transform)) = self.lanes.front_mut() else {
                return std::future::pending().await;
            };
            match transform.next().await {
                Output::Track(spec) => match transform.source() {
                    Source::Pictures(_) => return codec::video_params(&spec.entry).map(Passed::Pictures),
                    Source::Sound { .. } => {}
                },
                Output::Frame(frame) => return Ok(Passed::Frame(frame)),
                Output::Failed { error, again_in } => return Ok(Passed::Failed { error, again_in }),
                Output::End if is_last => {
                    self.lanes.clear();
                    return Ok(Passed::End);
                }
                Output::End => {
                    self.lanes.pop_front();
                }
            }
        }
    }

    /// Whether [`Stage::close`] leaves anything to wait for.
    pub fn is_drained(&self) -> bool {
        self.lanes.iter().all(Lane::is_over)
    }
}

impl Lane {
    /// Nothing comes out of it any more, once another lane is behind it.
    fn is_over(&self) -> bool {
        match self {
            Self::Direct { announce, frames } => announce.is_none() && frames.is_empty(),
            Self::Through(_) => false,
            Self::LeftOut => true,
        }
    }
}
