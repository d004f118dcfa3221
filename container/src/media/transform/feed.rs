//! What a child is fed: every frame as a fragment of its own, at its own time.

use super::args::HEAD_START_SECONDS;
use super::g711;
use crate::media::codec;
use crate::media::frame::{Frame, G711Law, MediaTime, VideoParams};
use crate::media::mux::{self, MuxError, Run, Sample, TrackSpec, VIDEO_TRACK};
use bytes::Bytes;
use std::num::NonZeroU32;

/// The track that a transform reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Pictures; the child has them on RTP's clock of 90 kHz.
    Pictures(VideoParams),
    /// G.711, which reaches the child as 16-bit PCM.
    Sound {
        /// How it is companded.
        law: G711Law,
        /// Samples a second.
        sample_rate: NonZeroU32,
        /// Channels.
        channels: u16,
    },
}

/// The time a child is told.
pub(crate) fn to_child(time: MediaTime) -> MediaTime {
    MediaTime::new(time.ticks.saturating_add(head_start(time)), time.rate)
}

/// The session's time of what a child says.
pub(crate) fn from_child(time: MediaTime) -> MediaTime {
    MediaTime::new(time.ticks.saturating_sub(head_start(time)), time.rate)
}

fn head_start(time: MediaTime) -> i64 {
    HEAD_START_SECONDS * i64::from(time.rate.get())
}

/// Writes the input of one child.
#[derive(Debug)]
pub(crate) struct Writer {
    source: Source,
    timescale: NonZeroU32,
    header: Option<Bytes>,
    sequence: u32,
    decoded: Option<i64>,
}

impl Writer {
    pub(crate) fn new(source: &Source) -> Result<Self, MuxError> {
        let (timescale, entry) = match source {
            Source::Pictures(params) => (
                super::args::PICTURE_RATE,
                codec::read_entry(&params.sample_entry)?,
            ),
            Source::Sound {
                sample_rate,
                channels,
                ..
            } => (
                *sample_rate,
                codec::pcm_entry(*sample_rate, *channels).ok_or(MuxError::SampleEntry)?,
            ),
        };
        let (header, _) = mux::header(
            &[TrackSpec {
                id: VIDEO_TRACK,
                timescale,
                entry,
                lead_in: 0,
            }],
            0,
        )?;
        Ok(Self {
            source: source.clone(),
            timescale,
            header: Some(header),
            sequence: 0,
            decoded: None,
        })
    }

    /// Whether a child can use the frame: the first must be one that decoding can start with.
    pub(crate) fn accepts(&self, frame: &Frame) -> bool {
        self.sequence > 0 || frame.key
    }

    /// A frame as a fragment; the first brings the header along.
    pub(crate) fn write(&mut self, frame: &Frame) -> Result<Vec<Bytes>, MuxError> {
        let presented = to_child(frame.time).ticks_at(self.timescale);
        // Decode times as the segmenter makes them: see `segmenter`.
        let decoded = self
            .decoded
            .map_or(presented, |before| presented.max(before + 1))
            .max(0);
        let offset = i32::try_from(presented - decoded).unwrap_or(i32::MIN);
        self.decoded = Some(decoded);
        self.sequence += 1;
        let (data, duration) = match &self.source {
            Source::Pictures(_) => (frame.data.clone(), 1),
            Source::Sound { law, channels, .. } => {
                let samples = frame.data.len() / usize::from((*channels).max(1));
                (
                    g711::decode(*law, &frame.data),
                    u32::try_from(samples).unwrap_or(u32::MAX),
                )
            }
        };
        let run = Run {
            track: VIDEO_TRACK,
            decode_time: u64::try_from(decoded).unwrap_or(0),
            samples: vec![Sample {
                data,
                duration,
                offset,
                key: frame.key,
            }],
        };
        let fragment = mux::fragment(self.sequence, &[run])?;
        Ok(self.header.take().into_iter().chain(fragment).collect())
    }
}
