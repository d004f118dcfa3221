//! What the settings make of a stream: which tracks are copied, transformed, or left out.

use crate::media::codec;
use crate::media::frame::{AudioCodec, AudioParams, StreamParams};
use crate::media::transform::{Flow, Job, Source};
use domain::settings::{Audio, RecordingSettings, Video};
use std::num::NonZeroU32;

/// The ways of a stream's tracks.
#[derive(Debug)]
pub(super) struct Flows {
    /// The stream as it is stored; pictures that pass through a child have other parameters, which it tells.
    pub(super) stored: StreamParams,
    pub(super) pictures: Flow,
    pub(super) sound: Flow,
    pub(super) stills_every: Option<NonZeroU32>,
}

impl Flows {
    pub(super) fn new(params: &StreamParams, settings: &RecordingSettings) -> Self {
        let pictures = match &settings.video {
            Video::Copy => Flow::Direct(Some(params.video.clone())),
            Video::Transcode(transcode) => Flow::Through(
                Job::Pictures(transcode.clone()),
                Source::Pictures(params.video.clone()),
            ),
        };
        let (audio, sound) = match &params.audio {
            Some(audio) => sound(audio, settings.audio),
            None => (None, Flow::LeftOut),
        };
        Self {
            stored: StreamParams {
                video: params.video.clone(),
                audio,
            },
            pictures,
            sound,
            stills_every: settings.stills_every_seconds,
        }
    }
}

/// The sound as it is stored, and its way there. G.711 that is left out stays in the parameters, so that the
/// segment says so.
fn sound(params: &AudioParams, asked: Audio) -> (Option<AudioParams>, Flow) {
    match (asked, &params.codec) {
        (Audio::Off, _) => (None, Flow::LeftOut),
        (Audio::Copy | Audio::Aac, AudioCodec::Aac { .. }) => (Some(params.clone()), Flow::Direct(None)),
        (Audio::Copy, AudioCodec::G711(_)) => (Some(params.clone()), Flow::LeftOut),
        (Audio::Aac, AudioCodec::G711(law)) => {
            let job = Job::Sound {
                sample_rate: params.sample_rate,
                channels: params.channels,
            };
            let source = Source::Sound {
                law: *law,
                sample_rate: params.sample_rate,
                channels: params.channels,
            };
            match as_aac(params) {
                Some(aac) => (Some(aac), Flow::Through(job, source)),
                None => (Some(params.clone()), Flow::LeftOut),
            }
        }
    }
}

/// What the sound is once it is AAC; `None` when AAC has no such sample rate.
fn as_aac(params: &AudioParams) -> Option<AudioParams> {
    let entry = codec::aac_entry(params.sample_rate, params.channels)?;
    Some(AudioParams {
        codec: AudioCodec::Aac {
            rfc6381: codec::rfc6381(&entry)?,
            sample_entry: codec::write_entry(&entry).ok()?,
        },
        ..params.clone()
    })
}
