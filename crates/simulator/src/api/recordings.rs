//! `ContentMgmt/search`: the files on a device's own storage.

use super::Request;
use super::devices::device_index;
use crate::fleet::{Channel, Device};
use crate::media::Codec;
use crate::reply::{Outcome, Refusal, Reply, parse};
use crate::scenario::{DeviceStatus, RecordedSpan};
use crate::world::World;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// The most a page may hold, as documented.
const RESULTS_MAX: usize = 40;

#[derive(Deserialize)]
struct SearchRequest {
    #[serde(rename = "CMSearchDescription")]
    search: Search,
}

#[derive(Deserialize)]
struct Search {
    #[serde(rename = "searchID")]
    search_id: String,
    #[serde(rename = "trackIDList")]
    tracks: Vec<Track>,
    #[serde(rename = "timeSpanList")]
    spans: Vec<TimeSpan>,
    #[serde(rename = "maxResults")]
    results_max: usize,
    /// Spelt like this in the vendor's guide.
    #[serde(rename = "searchResultPostion", default)]
    position: usize,
}

/// `{"trackID": 101}`: channel 1, main stream.
#[derive(Deserialize)]
struct Track {
    #[serde(rename = "trackID")]
    id: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimeSpan {
    start_time: Timestamp,
    end_time: Timestamp,
}

/// A page of the files of one track.
pub(super) fn search(world: &World, request: &Request<'_>, now: Timestamp) -> Outcome {
    let device = world.fleet.find(&device_index(request)?)?;
    let search = parse::<SearchRequest>(request.body)?.search;
    if device.spec.status != DeviceStatus::Online {
        return Err(Refusal::device_busy());
    }
    if !(1..=RESULTS_MAX).contains(&search.results_max) {
        return Err(Refusal::bad_parameters("maxResults must be 1 to 40"));
    }
    let (channel, track, files) = found(device, &search, now)?;
    let from = search.position.min(files.len());
    let page = &files[from..files.len().min(from + search.results_max)];
    let more = from + page.len() < files.len();
    let status = match (page.is_empty(), more) {
        (true, _) => "NO MATCH",
        (false, true) => "MORE",
        (false, false) => "OK",
    };
    let items: Vec<Value> = page.iter().map(|file| item(channel, track, *file)).collect();
    Ok(Reply::Document(json!({"CMSearchResult": {
        "searchID": search.search_id,
        "responseStatus": true,
        "responseStatusStrg": status,
        "numOfMatches": page.len(),
        "matchList": items,
    }})))
}

/// The channel and track that are meant, and their files.
fn found<'a>(
    device: &'a Device,
    search: &Search,
    now: Timestamp,
) -> Result<(&'a Channel, u32, Vec<RecordedSpan>), Refusal> {
    let [Track { id: track }] = search.tracks[..] else {
        return Err(Refusal::bad_parameters("trackIDList must have one entry"));
    };
    let [span] = &search.spans[..] else {
        return Err(Refusal::bad_parameters("timeSpanList must have one entry"));
    };
    if span.end_time <= span.start_time {
        return Err(Refusal::bad_parameters("the time span ends before it starts"));
    }
    let main_stream = track % 100 == 1;
    let Some(channel) = device.channel(&(track / 100).into()).filter(|_| main_stream) else {
        return Err(Refusal::bad_parameters(format!("no track {track}")));
    };
    let asked = RecordedSpan {
        start: span.start_time,
        end: span.end_time,
    };
    Ok((channel, track, device.recorded(asked, now)))
}

fn item(channel: &Channel, track: u32, file: RecordedSpan) -> Value {
    let video = &channel.spec.video;
    let codec = match video.codec {
        Codec::H264 => "H.264",
        Codec::H265 => "H.265",
    };
    let bytes_per_second = i64::from(video.bit_rate_kbps) * 125;
    let compact = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let exact = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (start, end) = (compact(file.start), compact(file.end));
    let size = file.end.duration_since(file.start).as_secs() * bytes_per_second;
    let name = format!("ch{:02}_{start}", track / 100);
    json!({"searchMatchItem": {
        "sourceID": "{00000000-0000-0000-0000-000000000000}",
        "trackID": track,
        "timeSpan": {"startTime": exact(file.start), "endTime": exact(file.end)},
        "mediaSegmentDescriptor": {
            "contentType": "video",
            "codecType": codec,
            "playbackURI": format!("rtsp://localhost/Streaming/tracks/{track}/?starttime={start}&endtime={end}&name={name}&size={size}"),
            "lockStatus": "unlock",
            "name": name,
        },
    }})
}
