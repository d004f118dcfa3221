//! The RTSP library's frames and parameters in our own words.

use super::Item;
use crate::channel::machine::Failure;
use crate::media::frame::{
    AudioCodec, AudioParams, Frame, G711Law, MediaTime, StreamParams, Track, VideoParams,
};
use bytes::Bytes;
use domain::GapCause;
use jiff::{SignedDuration, Timestamp};
use retina::client::Stream;
use retina::codec::{AudioFrame, AudioParameters, ParametersRef, VideoFrame, VideoParameters};
use retina::rtcp::ReceivedCompoundPacket;
use retina::{NtpTimestamp, PacketContext};
use std::num::NonZeroU32;
use std::time::SystemTime;

/// Which of a presentation's streams are recorded, by index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tracks {
    pub(super) video: usize,
    pub(super) audio: Option<usize>,
}

impl Tracks {
    /// The first video that can be stored, and the first sound that can, if there is one.
    pub(super) fn choose(streams: &[Stream]) -> Result<Self, Failure> {
        let find = |media: &str, encodings: &[&str]| {
            streams
                .iter()
                .position(|stream| stream.media() == media && encodings.contains(&stream.encoding_name()))
        };
        let Some(video) = find("video", &["h264", "h265"]) else {
            let offered: Vec<_> = streams
                .iter()
                .map(|s| format!("{}/{}", s.media(), s.encoding_name()))
                .collect();
            let text = format!("no H.264 or H.265 among the streams: {}", offered.join(", "));
            return Err(Failure::new(GapCause::UnsupportedStream, text));
        };
        let audio = find("audio", &["mpeg4-generic", "pcmu", "pcma"]);
        Ok(Self { video, audio })
    }

    pub(super) fn all(self) -> impl Iterator<Item = usize> {
        [Some(self.video), self.audio].into_iter().flatten()
    }
}

/// How the stream is encoded; `None` while the parameter sets have not come.
pub(super) fn params_of(streams: &[Stream], tracks: Tracks) -> Result<Option<StreamParams>, Failure> {
    let Some(ParametersRef::Video(video)) = streams[tracks.video].parameters() else {
        return Ok(None);
    };
    let audio = match tracks.audio.map(|index| &streams[index]) {
        Some(stream) => match stream.parameters() {
            Some(ParametersRef::Audio(audio)) => audio_params(stream.encoding_name(), audio)?,
            Some(ParametersRef::Video(_) | ParametersRef::Message(_)) | None => None,
        },
        None => None,
    };
    let video = video_params(video)?;
    Ok(Some(StreamParams { video, audio }))
}

fn video_params(params: &VideoParameters) -> Result<VideoParams, Failure> {
    let (width, height) = params.pixel_dimensions();
    let sample_entry = params
        .mp4_sample_entry()
        .build()
        .map_err(|error| unsupported(&error))?;
    Ok(VideoParams {
        rfc6381: params.rfc6381_codec().to_owned(),
        width,
        height,
        sample_entry: sample_entry.into(),
    })
}

fn audio_params(encoding: &str, params: &AudioParameters) -> Result<Option<AudioParams>, Failure> {
    let codec = match encoding {
        "mpeg4-generic" => AudioCodec::Aac {
            rfc6381: params.rfc6381_codec().unwrap_or("mp4a.40.2").to_owned(),
            sample_entry: params
                .mp4_sample_entry()
                .build()
                .map_err(|error| unsupported(&error))?
                .into(),
        },
        "pcmu" => AudioCodec::G711(G711Law::Mu),
        "pcma" => AudioCodec::G711(G711Law::A),
        _ => return Ok(None),
    };
    let sample_rate = NonZeroU32::new(params.clock_rate());
    Ok(sample_rate.map(|sample_rate| AudioParams {
        codec,
        sample_rate,
        channels: params.channels().get(),
    }))
}

fn unsupported(error: &retina::Error) -> Failure {
    Failure::new(GapCause::UnsupportedStream, super::one_line(error))
}

pub(super) fn frame_of_video(frame: VideoFrame) -> Frame {
    Frame {
        track: Track::Video,
        time: media_time(frame.timestamp()),
        duration: None,
        key: frame.is_random_access_point(),
        arrived_at: arrival(frame.end_ctx()),
        data: Bytes::from(frame.into_data()),
    }
}

pub(super) fn frame_of_audio(frame: &AudioFrame) -> Frame {
    Frame {
        track: Track::Audio,
        time: media_time(frame.timestamp()),
        duration: Some(frame.frame_length().get()),
        key: true,
        arrived_at: arrival(frame.ctx()),
        data: Bytes::copy_from_slice(frame.data()),
    }
}

/// What an RTCP packet says: that the stream is over, or else the camera's clock.
pub(super) fn report(packet: &ReceivedCompoundPacket) -> Option<Item> {
    if packet.pkts().any(|part| part.payload_type() == GOODBYE) {
        return Some(Item::Goodbye);
    }
    let time = media_time(packet.rtp_timestamp()?);
    let report = packet.pkts().next()?.as_sender_report().ok()??;
    Some(Item::CameraClock {
        camera: utc(report.ntp_timestamp())?,
        time,
        arrived_at: arrival(packet.ctx()),
    })
}

/// RTCP's packet type BYE (RFC 3550 section 12.1).
const GOODBYE: u8 = 203;

fn media_time(timestamp: retina::Timestamp) -> MediaTime {
    MediaTime::new(timestamp.elapsed(), timestamp.clock_rate())
}

fn arrival(context: &PacketContext) -> Timestamp {
    let wall = SystemTime::from(context.received_wall());
    Timestamp::try_from(wall).unwrap_or(Timestamp::MAX)
}

/// NTP's 32.32 fixed point since 1900 (RFC 5905 section 6) in UTC; zero means that the camera has no clock
/// (RFC 3550 section 6.4.1). Era 0 only, which ends in 2036.
fn utc(ntp: NtpTimestamp) -> Option<Timestamp> {
    let since_epoch = ntp.0.checked_sub(retina::UNIX_EPOCH.0)?;
    let nanos = ((since_epoch & 0xFFFF_FFFF) * 1_000_000_000) >> 32;
    let seconds = i64::try_from(since_epoch >> 32).ok()?;
    let offset = SignedDuration::new(seconds, i32::try_from(nanos).ok()?);
    Timestamp::UNIX_EPOCH.checked_add(offset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_without_a_clock_says_nothing() {
        assert_eq!(utc(NtpTimestamp(0)), None);
    }

    #[test]
    fn the_cameras_clock_is_read_to_the_nanosecond() {
        let half_past = NtpTimestamp(retina::UNIX_EPOCH.0 + (1_795_000_000 << 32) + (1 << 31));
        assert_eq!(
            utc(half_past),
            Some(Timestamp::new(1_795_000_000, 500_000_000).unwrap())
        );
    }
}
