//! Footage the camera or NVR keeps itself, found by time (`ContentMgmt/search`; ISUP 5.0 devices only).

use crate::call::Call;
use crate::client::Client;
use crate::error::IsapiError;
use crate::lists::RecordingListing;
use crate::parse::{self, Malformed};
use domain::id::{ChannelId, ChannelKey};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Recordings per page; the vendor's guide allows no more.
const RECORDINGS_PER_PAGE: u32 = 40;

/// One stretch of footage on the device's own storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Its first moment, by the device's clock.
    pub start: Timestamp,
    /// Its last moment, by the device's clock.
    pub end: Timestamp,
    /// The device's RTSP URL of it, without credentials.
    pub playback_url: String,
    /// Whether the device protects it from being overwritten.
    pub locked: bool,
}

impl Client {
    /// What the device itself recorded of a channel's main stream between two moments, oldest first as the
    /// device lists it; recordings may begin before `from` and end after `to`.
    ///
    /// # Errors
    /// [`IsapiError`]; in particular [`IsapiError::NoTrack`] for a channel id that is no number, and
    /// [`IsapiError::Inconsistent`] when pages contradict each other.
    pub async fn search_recordings(
        &self,
        key: &ChannelKey,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Recording>, IsapiError> {
        let track = main_track(&key.channel)?;
        let search_id = search_id();
        let mut listing = RecordingListing::default();
        loop {
            let call = Call::post("/ISAPI/ContentMgmt/search")
                .device(&key.device)
                .json(&json!({
                    "CMSearchDescription": {
                        "searchID": search_id,
                        "trackIDList": [{"trackID": track}],
                        "timeSpanList": [{"startTime": from.to_string(), "endTime": to.to_string()}],
                        "maxResults": RECORDINGS_PER_PAGE,
                        "searchResultPostion": listing.position(),
                        "metadataList": [{"metadataDescriptor": "//recordType.meta.std-cgi.com"}],
                    }
                }));
            let page = self.read(&call, parse::recording_page).await?;
            if listing.add(page).map_err(|source| call.inconsistent(source))? {
                return Ok(listing.into_recordings());
            }
        }
    }
}

/// Track numbers are the channel's number followed by the stream's: 101 is channel 1, main stream.
fn main_track(channel: &ChannelId) -> Result<u64, IsapiError> {
    match channel.as_str().parse::<u32>() {
        Ok(number) => Ok(u64::from(number) * 100 + 1),
        Err(_) => Err(IsapiError::NoTrack {
            channel: channel.to_string(),
        }),
    }
}

/// A name that ties the pages of one search together, as a random UUID.
pub(crate) fn search_id() -> String {
    let digits = format!("{:032X}", rand::random::<u128>());
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}

/// One `searchMatchItem`.
pub(crate) fn recording(entry: &Value) -> Result<Recording, Malformed> {
    let item = entry
        .get("searchMatchItem")
        .ok_or_else(|| Malformed::missing("searchMatchItem"))?;
    let span = parse::object(item, "timeSpan")?;
    let media = parse::object(item, "mediaSegmentDescriptor")?;
    let at = |name: &str| {
        span.get(name)
            .and_then(parse::instant)
            .ok_or_else(|| Malformed::missing(name))
    };
    let url = media
        .get("playbackURI")
        .and_then(Value::as_str)
        .ok_or_else(|| Malformed::missing("playbackURI"))?;
    let (start, end) = (at("startTime")?, at("endTime")?);
    if end < start {
        return Err(Malformed::new("a recording ends before it starts"));
    }
    Ok(Recording {
        start,
        end,
        playback_url: parse::rtsp_url(url)?,
        locked: media
            .get("lockStatus")
            .and_then(Value::as_str)
            .is_some_and(|s| s.eq_ignore_ascii_case("lock")),
    })
}
