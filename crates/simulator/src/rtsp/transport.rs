//! Tracks in URLs and headers: which one is meant, and on which channels it travels.

use super::player::Begin;
use super::track::Channels;
use url::Url;

/// A track of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrackId {
    /// The video.
    Video,
    /// The audio.
    Audio,
}

impl TrackId {
    const ALL: [Self; 2] = [Self::Video, Self::Audio];

    /// What the track's URL has after the stream's path.
    fn suffix(self) -> &'static str {
        match self {
            Self::Video => "/trackID=1",
            Self::Audio => "/trackID=2",
        }
    }

    /// The track's URL: the stream's, with the suffix before the query.
    pub(super) fn url(self, stream: &Url) -> Url {
        let mut url = stream.clone();
        url.set_path(&format!("{}{}", stream.path(), self.suffix()));
        url
    }

    /// Splits the path of a track's URL into the stream's path and the track.
    pub(super) fn split(path: &str) -> Option<(&str, Self)> {
        Self::ALL
            .into_iter()
            .find_map(|track| Some((path.strip_suffix(track.suffix())?, track)))
    }
}

/// Chooses from the transports a client offers (RFC 2326 section 12.39): the first that is interleaved, on
/// the channels it names or on the usual ones.
pub(super) fn choose(offered: &str, track: TrackId) -> Option<Channels> {
    offered.split(',').find_map(|transport| {
        let mut parameters = transport.trim().split(';');
        let profile = parameters.next()?;
        if !profile.eq_ignore_ascii_case("RTP/AVP/TCP") {
            return None;
        }
        let Some(named) = parameters.find_map(|parameter| parameter.strip_prefix("interleaved=")) else {
            return Some(usual(track));
        };
        let (rtp, rtcp) = named.split_once('-')?;
        let (rtp, rtcp) = (rtp.parse().ok()?, rtcp.parse().ok()?);
        (rtp != rtcp).then_some(Channels { rtp, rtcp })
    })
}

fn usual(track: TrackId) -> Channels {
    match track {
        TrackId::Video => Channels { rtp: 0, rtcp: 1 },
        TrackId::Audio => Channels { rtp: 2, rtcp: 3 },
    }
}

/// The `Transport` of an answer.
pub(super) fn header(channels: Channels) -> String {
    format!(
        "RTP/AVP/TCP;unicast;interleaved={}-{}",
        channels.rtp, channels.rtcp
    )
}

/// The `RTP-Info` of an answer (RFC 2326 section 12.33), for a stream at `url`.
pub(super) fn rtp_info(url: &Url, begin: Begin) -> String {
    let tracks = [(TrackId::Video, begin.video), (TrackId::Audio, begin.audio)];
    let parts: Vec<String> = tracks
        .into_iter()
        .filter_map(|(track, begin)| {
            let (sequence, rtp) = begin?;
            Some(format!("url={};seq={sequence};rtptime={rtp}", track.url(url)))
        })
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracks_url_keeps_the_query_of_the_stream() {
        let stream = Url::parse("rtsp://10.0.0.1:554/dac/realplay/X1/MAIN/TCP?streamform=rtp").unwrap();
        let track = TrackId::Audio.url(&stream);
        assert_eq!(
            track.as_str(),
            "rtsp://10.0.0.1:554/dac/realplay/X1/MAIN/TCP/trackID=2?streamform=rtp"
        );
        assert_eq!(
            TrackId::split(track.path()),
            Some((stream.path(), TrackId::Audio))
        );
        assert_eq!(TrackId::split(stream.path()), None);
    }

    #[test]
    fn the_first_interleaved_transport_is_chosen() {
        let chosen = |offered| choose(offered, TrackId::Audio).map(|channels| (channels.rtp, channels.rtcp));
        let both = "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=6-7";
        assert_eq!(chosen(both), Some((6, 7)));
        assert_eq!(chosen("RTP/AVP/TCP;unicast"), Some((2, 3)));
        for refused in [
            "RTP/AVP;unicast;client_port=5000-5001",
            "RTP/AVP/TCP;interleaved=1",
            "RTP/AVP/TCP;interleaved=256-257",
            "RTP/AVP/TCP;interleaved=4-4",
            "",
        ] {
            assert_eq!(chosen(refused), None, "{refused}");
        }
    }
}
