//! One segment while it is written: samples in, fragments out.
//!
//! The one idea: a fragment leaves as soon as it holds [`FRAGMENT`] of pictures or a key frame begins the next,
//! so that a process that dies loses no more than that.

use crate::media::mux::{
    self, AUDIO_TRACK, Layout, MuxError, Patch, Piece, Run, Sample, TrackSpec, VIDEO_TRACK,
};
use bytes::Bytes;
use std::num::NonZeroU32;
use std::time::Duration;

/// How much a killed process may lose, beside the frame whose end is not known yet.
const FRAGMENT: Duration = Duration::from_millis(500);
/// A key frame begins a fragment, so that players can start there, unless the one before is shorter than this:
/// a stream of nothing but key frames would be all headers.
const FRAGMENT_MIN: Duration = Duration::from_millis(200);
/// A fragment leaves earlier when it holds so many bytes: memory, not disk, is the limit here.
const FRAGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The state of an open segment file. Does no I/O.
#[derive(Debug)]
pub struct Movie {
    layout: Layout,
    video: Pending,
    audio: Option<Pending>,
    sequence: u32,
    pieces: Vec<Piece>,
    size_bytes: u64,
    /// Ticks of the lead-in that are still to leave.
    lead_in: u64,
}

/// Samples of a track that wait for their fragment.
#[derive(Debug)]
struct Pending {
    track: u32,
    timescale: NonZeroU32,
    first: i64,
    end: i64,
    bytes: usize,
    samples: Vec<Sample>,
}

/// What is left to write when a segment ends.
#[derive(Debug)]
pub struct Ending {
    /// The last fragment; empty when everything has left already.
    pub fragment: Vec<Bytes>,
    /// The bytes that change at the front.
    pub patches: Vec<Patch>,
}

impl Movie {
    /// Starts a file; the bytes are its beginning. `video` first, `audio` where it is stored.
    ///
    /// # Errors
    /// [`MuxError`] when the tracks cannot be stored as MP4.
    pub fn start(
        video: TrackSpec,
        audio: Option<TrackSpec>,
        index_entries: u16,
    ) -> Result<(Self, Bytes), MuxError> {
        let lead_in = u64::from(video.lead_in);
        let pending = Pending::new(VIDEO_TRACK, video.timescale);
        let pending_audio = audio
            .as_ref()
            .map(|audio| Pending::new(AUDIO_TRACK, audio.timescale));
        let tracks: Vec<TrackSpec> = std::iter::once(video).chain(audio).collect();
        let (bytes, layout) = mux::header(&tracks, index_entries)?;
        let movie = Self {
            layout,
            video: pending,
            audio: pending_audio,
            sequence: 0,
            pieces: Vec::new(),
            size_bytes: bytes.len() as u64,
            lead_in,
        };
        Ok((movie, bytes))
    }

    /// Bytes given out so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Adds a picture that is decoded at `time` ticks since the file's start. The answer is a fragment to
    /// append, when one was due.
    ///
    /// # Errors
    /// [`MuxError::Boxes`] when the fragment cannot be written.
    pub fn push_video(&mut self, time: i64, sample: Sample) -> Result<Option<Vec<Bytes>>, MuxError> {
        let mut due = None;
        if sample.key && self.video.holds(FRAGMENT_MIN) {
            due = Some(self.fragment()?);
        }
        self.video.push(time, sample);
        if self.video.is_full() {
            // Not both: what the key frame pushed out left nothing but itself.
            due.get_or_insert_default().append(&mut self.fragment()?);
        }
        Ok(due)
    }

    /// Adds sound that begins at `time` ticks since the file's start; it leaves with the next pictures, or
    /// alone when there are none for long.
    ///
    /// # Errors
    /// [`MuxError::Boxes`] when the fragment cannot be written.
    pub fn push_audio(&mut self, time: i64, sample: Sample) -> Result<Option<Vec<Bytes>>, MuxError> {
        let Some(audio) = &mut self.audio else {
            return Ok(None);
        };
        audio.push(time, sample);
        let due = audio.is_full() && (self.video.samples.is_empty() || audio.bytes >= FRAGMENT_BYTES_MAX);
        due.then(|| self.fragment()).transpose()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`MuxError::Boxes`] when the last fragment or the index cannot be written.
    pub fn end(mut self) -> Result<Ending, MuxError> {
        let fragment = self.fragment()?;
        let tracks: Vec<(u32, NonZeroU32)> = std::iter::once(&self.video)
            .chain(&self.audio)
            .map(|pending| (pending.track, pending.timescale))
            .collect();
        Ok(Ending {
            fragment,
            patches: mux::closing_patches(self.layout, &tracks, &self.pieces)?,
        })
    }

    fn fragment(&mut self) -> Result<Vec<Bytes>, MuxError> {
        let key = self.video.samples.first().is_some_and(|sample| sample.key);
        let duration = self.shown_duration();
        let runs: Vec<Run> = [self.video.take(), self.audio.as_mut().and_then(Pending::take)]
            .into_iter()
            .flatten()
            .collect();
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        self.sequence += 1;
        let chunks = mux::fragment(self.sequence, &runs)?;
        let size = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.size_bytes += size;
        self.pieces.push(Piece { size, duration, key });
        Ok(chunks)
    }

    /// How long the pictures that leave next are shown.
    fn shown_duration(&mut self) -> u64 {
        let duration = self.video.duration();
        let hidden = self.lead_in.min(duration);
        self.lead_in -= hidden;
        duration - hidden
    }
}

impl Pending {
    fn new(track: u32, timescale: NonZeroU32) -> Self {
        Self {
            track,
            timescale,
            first: 0,
            end: 0,
            bytes: 0,
            samples: Vec::new(),
        }
    }

    fn push(&mut self, time: i64, sample: Sample) {
        if self.samples.is_empty() {
            self.first = time;
        }
        self.end = time + i64::from(sample.duration);
        self.bytes += sample.data.len();
        self.samples.push(sample);
    }

    fn is_full(&self) -> bool {
        self.holds(FRAGMENT) || self.bytes >= FRAGMENT_BYTES_MAX
    }

    fn holds(&self, length: Duration) -> bool {
        let ticks = i64::from(self.timescale.get());
        let wanted = ticks * i64::try_from(length.as_millis()).expect("less than a second") / 1_000;
        !self.samples.is_empty() && self.end - self.first >= wanted
    }

    fn duration(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.duration)).sum()
    }

    fn take(&mut self) -> Option<Run> {
        if self.samples.is_empty() {
            return None;
        }
        self.bytes = 0;
        Some(Run {
            track: self.track,
            decode_time: u64::try_from(self.first).unwrap_or(0),
            samples: std::mem::take(&mut self.samples),
        })
    }
}
