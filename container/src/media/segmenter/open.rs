//! One open segment: the times of its samples.

use super::lead_in::LeadIn;
use super::{GOP_BYTES_MAX, GOP_MAX, SegmentError, SegmentId};
use crate::media::codec;
use crate::media::frame::{AudioCodec, AudioParams, Frame, MediaTime, StreamParams, VideoParams};
use crate::media::mark::{Nal, mark};
use crate::media::movie::Movie;
use crate::media::mux::{AUDIO_TRACK, MuxError, Sample, TrackSpec, VIDEO_TRACK};
use bytes::Bytes;
use domain::PictureMark;
use jiff::SignedDuration;
use std::num::NonZeroU32;

/// How long a picture lasts when nothing else is known: 25 a second.
const PICTURE_DEFAULT: SignedDuration = SignedDuration::from_millis(40);

/// A segment that is being written.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: SegmentId,
    pub(super) movie: Movie,
    pub(super) codecs: String,
    pub(super) notes: Vec<String>,
    /// What its first picture looks like.
    pub(super) opens_with: PictureMark,
    /// Presentation time of its first picture.
    pub(super) start: MediaTime,
    pub(super) sound_rate: Option<NonZeroU32>,
    /// Ticks of pictures before `start`, which are not shown.
    lead_in: u32,
    picture: Option<Held>,
    /// How long the last two complete pictures lasted, in ticks, newest first.
    picture_ticks: [Option<u32>; 2],
    latest: MediaTime,
    pub(super) last_key: MediaTime,
    pub(super) size_at_key: u64,
    pub(super) sound: Option<Held>,
}

/// An access unit whose duration is not known until the next one comes.
#[derive(Debug)]
pub(super) struct Held {
    frame: Frame,
    /// Decode time in ticks since the file's start.
    decode: i64,
    /// Presentation time in ticks since the file's start.
    presentation: i64,
}

impl Open {
    pub(super) fn start(
        id: SegmentId,
        params: &StreamParams,
        first: &Frame,
        lead_in: &LeadIn,
        target: SignedDuration,
    ) -> Result<(Self, Bytes), SegmentError> {
        let mut codecs = params.video.rfc6381.clone();
        let mut notes = Vec::new();
        let sound = match &params.audio {
            None => None,
            Some(audio) => match sound_track(audio)? {
                Ok((track, name)) => {
                    codecs = format!("{codecs},{name}");
                    Some(track)
                }
                Err(note) => {
                    notes.push(note);
                    None
                }
            },
        };
        let sound_rate = sound.as_ref().map(|track| track.timescale);
        let video = TrackSpec {
            lead_in: lead_in.ticks(),
            ..video_track(&params.video, first.time.rate)?
        };
        if !lead_in.is_empty() {
            notes.push(format!(
                "{} pictures before the first are there to decode it",
                lead_in.ticks()
            ));
        }
        let (movie, bytes) = Movie::start(video, sound, index_entries(target))?;
        let open = Self {
            id,
            size_at_key: movie.size_bytes(),
            movie,
            codecs,
            notes,
            opens_with: PictureMark(mark(Nal::of(&params.video.rfc6381), &first.data)),
            start: first.time,
            sound_rate,
            lead_in: lead_in.ticks(),
            picture: None,
            picture_ticks: [None; 2],
            latest: first.time,
            last_key: lead_in.start().unwrap_or(first.time),
            sound: None,
        };
        Ok((open, bytes))
    }

    pub(super) fn check_gop(&self, frame: &Frame) -> Result<(), SegmentError> {
        let since = frame.time.since_start() - self.last_key.since_start();
        if since > GOP_MAX || self.movie.size_bytes() - self.size_at_key > GOP_BYTES_MAX {
            return Err(SegmentError::NoKeyFrame {
                seconds: since.as_secs(),
            });
        }
        Ok(())
    }

    /// The end of the newest picture, as far as is known.
    pub(super) fn end(&self) -> MediaTime {
        let rate = self.start.rate;
        // The shorter of two: a picture before a hole lasts until the hole's end, and the next one does not.
        let ticks = self.picture_ticks.iter().flatten().min();
        let ticks = ticks.map_or_else(|| default_ticks(rate), |ticks| i64::from(*ticks));
        MediaTime::new(self.latest.ticks_at(rate).saturating_add(ticks), rate)
    }

    /// Writes what comes before the first picture.
    pub(super) fn push_lead_in(&mut self, lead_in: &LeadIn) -> Result<Option<Vec<Bytes>>, MuxError> {
        let mut due: Option<Vec<Bytes>> = None;
        for (decode, sample) in lead_in.samples() {
            if let Some(mut chunks) = self.movie.push_video(decode, sample)? {
                due.get_or_insert_default().append(&mut chunks);
            }
        }
        Ok(due)
    }

    pub(super) fn push_picture(&mut self, frame: Frame) -> Result<Option<Vec<Bytes>>, MuxError> {
        let presentation = self.ticks(frame.time);
        let decode = match &self.picture {
            None => self.lead_in.into(),
            Some(before) => presentation.max(before.decode + 1),
        };
        let due = self.finish_picture_at(decode)?;
        if frame.time.since_start() > self.latest.since_start() {
            self.latest = frame.time;
        }
        self.picture = Some(Held {
            frame,
            decode,
            presentation,
        });
        Ok(due)
    }

    /// Ticks of the video since the file's start.
    fn ticks(&self, time: MediaTime) -> i64 {
        let since_start = time.ticks_at(self.start.rate).saturating_sub(self.start.ticks);
        since_start.saturating_add(self.lead_in.into())
    }

    pub(super) fn finish_picture(&mut self, end: MediaTime) -> Result<Option<Vec<Bytes>>, MuxError> {
        self.finish_picture_at(self.ticks(end))
    }

    fn finish_picture_at(&mut self, end: i64) -> Result<Option<Vec<Bytes>>, MuxError> {
        let Some(held) = self.picture.take() else {
            return Ok(None);
        };
        let duration = ticks_between(held.decode, end);
        self.picture_ticks = [Some(duration), self.picture_ticks[0]];
        self.movie.push_video(held.decode, held.sample(duration))
    }

    pub(super) fn push_sound(&mut self, frame: Frame) -> Result<Option<Vec<Bytes>>, MuxError> {
        let Some(rate) = self.sound_rate else {
            return Ok(None);
        };
        let start = self.start.ticks_at(rate);
        let presentation = frame.time.ticks_at(rate).saturating_sub(start).max(0);
        let decode = match &self.sound {
            None => presentation,
            Some(before) => presentation.max(before.decode + 1),
        };
        let due = self.finish_sound_at(Some(decode))?;
        self.sound = Some(Held {
            frame,
            decode,
            presentation: decode,
        });
        Ok(due)
    }

    pub(super) fn finish_sound(&mut self) -> Result<Option<Vec<Bytes>>, MuxError> {
        self.finish_sound_at(None)
    }

    /// Hands on the sound held back; it lasts until `end`, or as long as it says itself.
    fn finish_sound_at(&mut self, end: Option<i64>) -> Result<Option<Vec<Bytes>>, MuxError> {
        let Some(held) = self.sound.take() else {
            return Ok(None);
        };
        let nominal = held.frame.duration.unwrap_or(codec::AAC_FRAME_SAMPLES);
        let duration = end.map_or(nominal, |end| ticks_between(held.decode, end));
        self.movie.push_audio(held.decode, held.sample(duration))
    }
}

impl Held {
    fn sample(&self, duration: u32) -> Sample {
        let offset = self.presentation - self.decode;
        Sample {
            data: self.frame.data.clone(),
            duration,
            offset: i32::try_from(offset).unwrap_or(i32::MIN),
            key: self.frame.key,
        }
    }
}

fn ticks_between(start: i64, end: i64) -> u32 {
    u32::try_from((end - start).max(1)).unwrap_or(u32::MAX)
}

fn default_ticks(rate: NonZeroU32) -> i64 {
    i64::try_from(PICTURE_DEFAULT.as_millis()).unwrap_or(0) * i64::from(rate.get()) / 1_000
}

/// Four a second: two fragments, and as many key frames that begin one early.
fn index_entries(target: SignedDuration) -> u16 {
    u16::try_from(target.as_secs().saturating_mul(4).clamp(64, 4_096)).unwrap_or(4_096)
}

fn video_track(params: &VideoParams, timescale: NonZeroU32) -> Result<TrackSpec, MuxError> {
    Ok(TrackSpec {
        id: VIDEO_TRACK,
        timescale,
        entry: codec::read_entry(&params.sample_entry)?,
        lead_in: 0,
    })
}

/// The track of a sound that is stored and its RFC 6381 name, or why it is left out.
fn sound_track(params: &AudioParams) -> Result<Result<(TrackSpec, String), String>, MuxError> {
    match &params.codec {
        AudioCodec::Aac {
            rfc6381,
            sample_entry,
        } => Ok(Ok((
            TrackSpec {
                id: AUDIO_TRACK,
                timescale: params.sample_rate,
                entry: codec::read_entry(sample_entry)?,
                lead_in: 0,
            },
            rfc6381.clone(),
        ))),
        AudioCodec::G711(_) => Ok(Err(
            "G.711 sound left out: MP4 has no sample entry for it that browsers play; record it as AAC"
                .to_owned(),
        )),
    }
}
