//! A still picture every so many seconds.
//!
//! The one idea: decoding is dear and key frames are cheap, so as long as key frames come at least as often as
//! stills are asked for, the child sees nothing else; a still is then the first key frame of its period, and comes
//! out with the key frame after it.

use super::{Job, Output, Source, Transform, TransformError};
use crate::media::frame::{Frame, MediaTime, VideoParams};
use bytes::Bytes;
use jiff::SignedDuration;
use std::num::NonZeroU32;
use std::time::Duration;

/// What comes out.
#[derive(Debug)]
pub enum Still {
    /// A JPEG, and when its picture is presented.
    Taken(MediaTime, Bytes),
    /// The child died; see [`Output::Failed`].
    Failed {
        /// Why.
        error: TransformError,
        /// The pause before the next start.
        again_in: Duration,
    },
}

/// Makes stills of one track of pictures.
#[derive(Debug)]
pub struct Stills {
    transform: Transform,
    every: SignedDuration,
    last_key: Option<MediaTime>,
    /// Key frames come too seldom: everything is decoded.
    all: bool,
    /// The last period that has its still.
    taken: Option<i128>,
}

impl Stills {
    /// A JPEG of every period of `every` seconds of the media clock in which there are pictures.
    pub fn new(program: &str, every: NonZeroU32, source: VideoParams) -> Self {
        Self {
            transform: Transform::new(program, Job::Stills(every), Source::Pictures(source)),
            every: SignedDuration::from_secs(i64::from(every.get())),
            last_key: None,
            all: false,
            taken: None,
        }
    }

    /// Shows a picture. Never waits: a child that is behind misses it.
    pub fn offer(&mut self, frame: &Frame) {
        if frame.key {
            let gop = self
                .last_key
                .map(|last| frame.time.since_start() - last.since_start());
            self.all = gop.is_some_and(|gop| gop > self.every) && !self.transform.is_full();
            self.last_key = Some(frame.time);
        }
        if (frame.key && !self.transform.is_full()) || self.all {
            self.transform.offer(frame.clone());
        }
    }

    /// The next still. Cancel-safe. Waits for ever when none will come.
    pub async fn next(&mut self) -> Still {
        loop {
            match self.transform.next().await {
                Output::Frame(frame) => {
                    let period = frame
                        .time
                        .since_start()
                        .as_nanos()
                        .div_euclid(self.every.as_nanos());
                    if self.taken.is_none_or(|taken| period > taken) {
                        self.taken = Some(period);
                        return Still::Taken(frame.time, frame.data);
                    }
                }
                Output::Failed { error, again_in } => return Still::Failed { error, again_in },
                Output::Track(_) | Output::End => {}
            }
        }
    }
}
