//! Frames from the gateway: RTSP 1.0 over TCP with Digest, H.264 or H.265 with or without sound.
//!
//! The one idea is the classification of failures: whoever reads a gap row must see whether to look at the
//! gateway, the network, the camera or the password. The library does not name its errors, so the phase and the
//! RTSP status decide, and a plain TCP connection tells a gateway that is away from one that is slow.

mod convert;
pub(crate) mod gate;

use crate::channel::machine::Failure;
use crate::media::frame::{Frame, MediaTime, StreamParams};
use convert::{Tracks, frame_of_audio, frame_of_video, params_of};
use domain::GapCause;
use futures::StreamExt;
use jiff::Timestamp;
use retina::client as rtsp;
use retina::codec::{CodecItem, FrameFormat};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

/// The longest wait from the first SYN to the answer of PLAY, together with [`PROBE_WITHIN`] 10 s.
const PLAY_WITHIN: Duration = Duration::from_secs(8);
/// The longest wait of the plain connection that tells why there was no answer.
const PROBE_WITHIN: Duration = Duration::from_secs(2);
/// RTSP's port (RFC 2326 section 9.2).
const RTSP_PORT: u16 = 554;
/// Errors are kept to one line of at most this many characters.
const TEXT_MAX_CHARS: usize = 300;

/// The gateway's user for RTSP.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// The user's name.
    pub(crate) username: String,
    /// The password; leaves this struct only into the Digest.
    pub(crate) password: SecretString,
}

/// A playing stream.
pub(crate) struct Source {
    demuxed: rtsp::Demuxed,
    tracks: Tracks,
    params: Option<StreamParams>,
    lost_packets: u64,
    held: Option<Frame>,
}

/// What a stream gives.
#[derive(Debug)]
pub(crate) enum Item {
    /// The frames that follow are encoded like this. Comes before the first frame and at every change.
    Params(StreamParams),
    /// One access unit.
    Frame(Frame),
    /// The camera's own clock, from an RTCP sender report (RFC 3550 section 6.4.1) of the video.
    CameraClock {
        /// The camera's UTC.
        camera: Timestamp,
        /// The media time at that moment.
        time: MediaTime,
        /// Our UTC when the report came.
        arrived_at: Timestamp,
    },
    /// The video has ended by intention (RTCP BYE, RFC 3550 section 6.6): a playback is over.
    Goodbye,
}

/// The gateway a URL leads to, as `host:port`.
///
/// # Errors
/// [`GapCause::UnsupportedStream`] when it is not an RTSP URL without credentials; the text does not repeat it.
pub(crate) fn gateway_of(url: &str) -> Result<(Url, String), Failure> {
    let unusable = |why: &str| Failure::new(GapCause::UnsupportedStream, format!("the stream's URL {why}"));
    let url = Url::parse(url).map_err(|_| unusable("is not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unusable("carries credentials"));
    }
    let Some(host) = url.host_str().filter(|_| url.scheme() == "rtsp") else {
        return Err(unusable("is not an rtsp:// URL with a host"));
    };
    let gateway = format!("{host}:{}", url.port().unwrap_or(RTSP_PORT));
    Ok((url, gateway))
}

impl Source {
    /// Describes, sets up and plays the stream, within 10 s.
    ///
    /// # Errors
    /// Named by cause: gateway down, credentials rejected, stream refused, network, unsupported stream.
    pub(crate) async fn connect(url: Url, gateway: &str, credentials: &Credentials) -> Result<Self, Failure> {
        match timeout(PLAY_WITHIN, play(url, credentials)).await {
            Ok(Ok(source)) => Ok(source),
            Ok(Err(Refusal::Named(failure))) => Err(failure),
            Ok(Err(Refusal::NoAnswer(error))) => Err(unanswered(gateway, one_line(&error)).await),
            Err(_) => Err(unanswered(gateway, format!("no answer within {PLAY_WITHIN:?}")).await),
        }
    }

    /// The next item. Cancel-safe.
    ///
    /// # Errors
    /// The stream is over: [`GapCause::Network`], or [`GapCause::UnsupportedStream`].
    pub(crate) async fn next(&mut self) -> Result<Item, Failure> {
        if let Some(frame) = self.held.take() {
            return Ok(Item::Frame(frame));
        }
        loop {
            let item = match self.demuxed.next().await {
                Some(Ok(item)) => item,
                Some(Err(error)) => return Err(Failure::new(GapCause::Network, one_line(&error))),
                None => return Err(Failure::new(GapCause::Network, "the gateway ended the stream")),
            };
            if let Some(item) = self.take(item)? {
                return Ok(item);
            }
        }
    }

    /// RTP packets lost on the way to us since the last time of asking, as their numbers show.
    pub(crate) fn take_lost_packets(&mut self) -> u64 {
        std::mem::take(&mut self.lost_packets)
    }

    fn take(&mut self, item: CodecItem) -> Result<Option<Item>, Failure> {
        match item {
            CodecItem::VideoFrame(frame) => {
                self.lost_packets += u64::from(frame.loss());
                let changed = frame.has_new_parameters() || self.params.is_none();
                let frame = frame_of_video(frame);
                if !changed {
                    return Ok(Some(Item::Frame(frame)));
                }
                let params = params_of(self.demuxed.streams(), self.tracks)?;
                if params == self.params {
                    return Ok(params.map(|_| Item::Frame(frame)));
                }
                self.params.clone_from(&params);
                self.held = Some(frame);
                Ok(params.map(Item::Params))
            }
            CodecItem::AudioFrame(frame) => {
                self.lost_packets += u64::from(frame.loss());
                let known = self.params.is_some();
                Ok(known.then(|| Item::Frame(frame_of_audio(&frame))))
            }
            CodecItem::Rtcp(packet) if packet.stream_id() == self.tracks.video => {
                Ok(convert::report(&packet))
            }
            // Metadata streams are not set up; sound's clock is the camera's, too.
            _ => Ok(None),
        }
    }
}

/// Why there is no stream.
enum Refusal {
    Named(Failure),
    /// No RTSP answer came to DESCRIBE.
    NoAnswer(retina::Error),
}

async fn play(url: Url, credentials: &Credentials) -> Result<Source, Refusal> {
    let options = rtsp::SessionOptions::default()
        .creds(Some(rtsp::Credentials {
            username: credentials.username.clone(),
            password: credentials.password.expose_secret().to_owned(),
        }))
        .user_agent(concat!("millrace/", env!("CARGO_PKG_VERSION")).to_owned())
        // Some gateways answer each SETUP with a new session id.
        .session_id(rtsp::SessionIdPolicy::UseFirst);
    let mut session = rtsp::Session::describe(url, options).await.map_err(described)?;
    let tracks = Tracks::choose(session.streams()).map_err(Refusal::Named)?;
    for track in tracks.all() {
        let options = rtsp::SetupOptions::default()
            .transport(rtsp::Transport::Tcp(rtsp::TcpTransportOptions::default()))
            .frame_format(FrameFormat::MP4);
        session
            .setup(track, options)
            .await
            .map_err(|error| set_up(&error))?;
    }
    let options = rtsp::PlayOptions::default()
        // Not every gateway gives `rtptime`; without it the first packets of both tracks are taken as simultaneous.
        .initial_timestamp(rtsp::InitialTimestampPolicy::Permissive);
    let demuxed = session
        .play(options)
        .await
        .and_then(rtsp::Session::demuxed)
        .map_err(|error| set_up(&error))?;
    Ok(Source {
        demuxed,
        tracks,
        params: None,
        lost_packets: 0,
        held: None,
    })
}

/// Names a failure of DESCRIBE, the first request and the one that proves the credentials.
fn described(error: retina::Error) -> Refusal {
    let cause = match error.status_code() {
        None => return Refusal::NoAnswer(error),
        Some(401) => GapCause::CredentialsRejected,
        Some(200..=299) => GapCause::UnsupportedStream,
        Some(_) => GapCause::StreamRefused,
    };
    Refusal::Named(Failure::new(cause, one_line(&error)))
}

/// Names a failure after DESCRIBE. A 401 is not about the password any more, which was accepted a moment ago.
fn set_up(error: &retina::Error) -> Refusal {
    let cause = match error.status_code() {
        None => GapCause::Network,
        Some(200..=299) => GapCause::UnsupportedStream,
        Some(_) => GapCause::StreamRefused,
    };
    Refusal::Named(Failure::new(cause, one_line(error)))
}

/// Tells a gateway that is away from one that takes the connection and does not answer.
async fn unanswered(gateway: &str, text: String) -> Failure {
    match timeout(PROBE_WITHIN, TcpStream::connect(gateway)).await {
        Ok(Ok(_)) => Failure::new(GapCause::StreamRefused, text),
        Ok(Err(_)) | Err(_) => Failure::new(GapCause::GatewayDown, text),
    }
}

/// The library's errors go on for lines with packet contexts; the first says what happened.
fn one_line(error: &retina::Error) -> String {
    let text = error.to_string();
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(TEXT_MAX_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_host_and_port_and_the_query_stays() {
        let (url, gateway) = gateway_of("rtsp://10.0.0.1/dac/realplay/A1/MAIN/TCP?streamform=rtp").unwrap();
        assert_eq!(gateway, "10.0.0.1:554");
        assert_eq!(url.query(), Some("streamform=rtp"));
        assert_eq!(gateway_of("rtsp://[::1]:8554/a").unwrap().1, "[::1]:8554");
    }

    #[test]
    fn a_url_that_cannot_be_played_is_never_repeated_in_the_error() {
        for url in [
            "rtsp://admin:hunter2@10.0.0.1/a",
            "http://hunter2/",
            "hunter2",
            "rtsp:hunter2",
        ] {
            let failure = gateway_of(url).unwrap_err();
            assert_eq!(failure.cause, GapCause::UnsupportedStream);
            assert!(!failure.text.contains("hunter2"), "{}", failure.text);
        }
    }
}
