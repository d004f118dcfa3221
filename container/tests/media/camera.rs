//! A camera without a network: the simulator's loops as the frames a source would hand on.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use recorder::media::codec;
use recorder::media::demux::{Demuxer, Item};
use recorder::media::frame::{AudioCodec, AudioParams, Frame, G711Law, MediaTime, StreamParams, Track};
use simulator::media::{self, Codec, Library, LoopSpec};
use std::io::Write;
use std::num::NonZeroU32;
use std::process::{Command, Stdio};

pub(crate) const VIDEO_RATE: NonZeroU32 = NonZeroU32::new(90_000).unwrap();
pub(crate) const FPS: u32 = 25;

/// What the camera's microphone sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sound {
    None,
    Aac,
    Mu,
    A,
}

/// A recorded live stream.
#[derive(Debug, Clone)]
pub(crate) struct Camera {
    pub(crate) params: StreamParams,
    /// In order of arrival.
    pub(crate) frames: Vec<Frame>,
}

/// When every camera here began to send.
pub(crate) fn start() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

impl Camera {
    /// `seconds` of video with a key frame a second, and sound.
    pub(crate) async fn film(codec: Codec, seconds: u32, sound: Sound) -> Self {
        let spec = LoopSpec {
            codec,
            frames: seconds * FPS,
            ..LoopSpec::default()
        };
        Self::film_spec(&spec, sound).await
    }

    /// A whole loop, and sound.
    pub(crate) async fn film_spec(spec: &LoopSpec, sound: Sound) -> Self {
        let video = Library::default().video(spec).await.unwrap();
        let mut stream = Vec::new();
        for number in 0..spec.frames {
            for nal in &video.unit(number.into()).nals {
                stream.extend_from_slice(&[0, 0, 0, 1]);
                stream.extend_from_slice(nal);
            }
        }
        let format = match spec.codec {
            Codec::H264 => "h264",
            Codec::H265 => "hevc",
        };
        let (video, mut frames) = remux(format, spec.fps, stream);
        assert_eq!(frames.len(), spec.frames as usize);
        let seconds = spec.frames / spec.fps;
        let audio = record_sound(sound, seconds, &mut frames).await;
        // As they arrive: each when it is complete.
        frames.sort_by_key(|frame| (frame.arrived_at, frame.track));
        Self {
            params: StreamParams { video, audio },
            frames,
        }
    }

    pub(crate) fn sounds(&self) -> Vec<&Frame> {
        self.frames
            .iter()
            .filter(|frame| frame.track == Track::Audio)
            .collect()
    }
}

fn arrival(time: MediaTime) -> Timestamp {
    start() + time.since_start()
}

/// Lets ffmpeg write a raw stream as MP4 and reads that: its parameters and frames.
fn remux(format: &str, fps: u32, stream: Vec<u8>) -> (recorder::media::frame::VideoParams, Vec<Frame>) {
    let args = format!(
        "-v error -f {format} -r {fps} -i pipe:0 -c copy -tag:v {} -video_track_timescale {VIDEO_RATE} \
         -movflags frag_keyframe+empty_moov+default_base_moof -f mp4 pipe:1",
        if format == "h264" { "avc1" } else { "hvc1" }
    );
    let mut child = Command::new("ffmpeg")
        .args(args.split_ascii_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(&stream).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success());
    let (tracks, samples) = demux(&output.stdout);
    let video = codec::video_params(&tracks[0].entry).unwrap();
    let frames = samples.into_iter().enumerate().map(|(index, sample)| {
        let ticks = i64::try_from(index).unwrap() * i64::from(VIDEO_RATE.get() / fps);
        let time = MediaTime::new(ticks, VIDEO_RATE);
        Frame {
            track: Track::Video,
            time,
            duration: None,
            key: sample.key,
            data: sample.data,
            arrived_at: arrival(time),
        }
    });
    (video, frames.collect())
}

/// All tracks and samples of a fragmented file.
pub(crate) fn demux(
    bytes: &[u8],
) -> (
    Vec<recorder::media::mux::TrackSpec>,
    Vec<recorder::media::demux::Access>,
) {
    let mut demuxer = Demuxer::default();
    demuxer.push(bytes).unwrap();
    let (mut tracks, mut samples) = (Vec::new(), Vec::new());
    while let Some(item) = demuxer.take() {
        match item {
            Item::Tracks(found) => tracks = found,
            Item::Sample(sample) => samples.push(sample),
        }
    }
    (tracks, samples)
}

async fn record_sound(sound: Sound, seconds: u32, frames: &mut Vec<Frame>) -> Option<AudioParams> {
    let (kind, samples) = match sound {
        Sound::None => return None,
        Sound::Aac => (media::AudioCodec::Aac, codec::AAC_FRAME_SAMPLES),
        Sound::Mu => (media::AudioCodec::PcmMu, 0),
        Sound::A => (media::AudioCodec::PcmA, 0),
    };
    let tone = Library::default().audio(kind).await.unwrap();
    let rate = NonZeroU32::new(kind.rate()).unwrap();
    let mut at = 0;
    for number in 0.. {
        let data: Bytes = tone.unit(number).clone();
        let duration = if samples == 0 {
            u32::try_from(data.len()).unwrap()
        } else {
            samples
        };
        if at + duration > seconds * rate.get() {
            break;
        }
        let time = MediaTime::new(at.into(), rate);
        frames.push(Frame {
            track: Track::Audio,
            time,
            duration: Some(duration),
            key: true,
            data,
            // Complete when its last sample was heard, and a little late: cameras interleave loosely.
            arrived_at: arrival(time)
                + SignedDuration::from_secs_f64(f64::from(duration) / f64::from(rate.get()))
                + SignedDuration::from_millis(90),
        });
        at += duration;
    }
    let entry = codec::aac_entry(rate, 1).unwrap();
    let codec = match sound {
        Sound::Aac | Sound::None => AudioCodec::Aac {
            rfc6381: codec::rfc6381(&entry).unwrap(),
            sample_entry: codec::write_entry(&entry).unwrap(),
        },
        Sound::Mu => AudioCodec::G711(G711Law::Mu),
        Sound::A => AudioCodec::G711(G711Law::A),
    };
    Some(AudioParams {
        codec,
        sample_rate: rate,
        channels: 1,
    })
}
