//! The description of a stream (SDP, RFC 8866), as cameras write it.

use super::Kind;
use super::catalog::Media;
use super::track::VIDEO_RATE;
use super::transport::TrackId;
use crate::media::{AudioCodec, Codec, Loop};
use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use std::fmt::Write;
use url::Url;

/// The dynamic payload type of video (RFC 3551 section 3).
pub(super) const VIDEO_TYPE: u8 = 96;

/// The payload type of audio: static for G.711 (RFC 3551 table 4), dynamic for AAC.
pub(super) fn audio_type(codec: AudioCodec) -> u8 {
    match codec {
        AudioCodec::PcmMu => 0,
        AudioCodec::PcmA => 8,
        AudioCodec::Aac => 97,
    }
}

/// AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) of AAC-LC at 16 kHz, mono: 5 bits object type 2, 4 bits
/// frequency index 8, 4 bits channel configuration 1.
const AAC_CONFIG: &str = "1408";

/// Describes what is on air at `url`. Control URLs are absolute and keep the query of `url`, as the gateway
/// needs it back.
pub(super) fn describe(media: &Media, url: &Url) -> String {
    let mut sdp = format!(
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=Media Presentation\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         a=control:{url}\r\na=range:{}\r\n",
        range(media.spec.kind)
    );
    let spec = &media.spec.video;
    let _ = write!(
        sdp,
        "m=video 0 RTP/AVP {VIDEO_TYPE}\r\nb=AS:{}\r\n{}a=framerate:{}.0\r\na=control:{}\r\n",
        spec.bit_rate_kbps,
        video_format(&media.video),
        spec.fps,
        TrackId::Video.url(url)
    );
    if let Some(audio) = &media.audio {
        let codec = audio.codec();
        let _ = write!(
            sdp,
            "m=audio 0 RTP/AVP {}\r\n{}a=control:{}\r\n",
            audio_type(codec),
            audio_format(codec),
            TrackId::Audio.url(url)
        );
    }
    sdp
}

/// The value of a `Range` (RFC 2326 section 3.6 and 3.7) of a whole stream.
fn range(kind: Kind) -> String {
    match kind {
        Kind::Live => "npt=now-".to_owned(),
        Kind::Playback { start, end } => clock_range(start, end),
    }
}

/// An absolute range: `clock=20261121T090807.000Z-20261121T090907.000Z`.
pub(super) fn clock_range(from: Timestamp, until: Timestamp) -> String {
    let text = |at: Timestamp| at.strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
    format!("clock={}-{}", text(from), text(until))
}

/// RFC 6184 section 8.1 and RFC 7798 section 7.1.
fn video_format(video: &Loop) -> String {
    let sets = video.parameter_sets();
    let base64 = |nal: &[u8]| BASE64_STANDARD.encode(nal);
    let (sps, pps) = (base64(&sets.sps), base64(&sets.pps));
    match video.spec().codec {
        Codec::H264 => {
            let profile = hex::encode(sets.sps.get(1..4).unwrap_or_default());
            format!(
                "a=rtpmap:{VIDEO_TYPE} H264/{VIDEO_RATE}\r\na=fmtp:{VIDEO_TYPE} packetization-mode=1;\
                 profile-level-id={profile};sprop-parameter-sets={sps},{pps}\r\n"
            )
        }
        Codec::H265 => {
            let vps = sets.vps.as_deref().map(base64).unwrap_or_default();
            format!(
                "a=rtpmap:{VIDEO_TYPE} H265/{VIDEO_RATE}\r\na=fmtp:{VIDEO_TYPE} sprop-vps={vps};\
                 sprop-sps={sps};sprop-pps={pps}\r\n"
            )
        }
    }
}

fn audio_format(codec: AudioCodec) -> String {
    let (kind, rate) = (audio_type(codec), codec.rate());
    match codec {
        AudioCodec::PcmMu => format!("a=rtpmap:{kind} PCMU/{rate}\r\n"),
        AudioCodec::PcmA => format!("a=rtpmap:{kind} PCMA/{rate}\r\n"),
        // RFC 3640 section 4.1.
        AudioCodec::Aac => format!(
            "a=rtpmap:{kind} MPEG4-GENERIC/{rate}/1\r\na=fmtp:{kind} streamtype=5;profile-level-id=15;\
             mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config={AAC_CONFIG}\r\n"
        ),
    }
}
