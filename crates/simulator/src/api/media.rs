//! Stream URLs: live, and footage from the device's own storage.

use super::Request;
use super::devices::device_index;
use crate::fleet::StreamType;
use crate::reply::{Outcome, Refusal, Reply, parse};
use crate::scenario::{DeviceStatus, Protocol, RecordedSpan, WireId};
use crate::world::{Effect, World};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

/// The longest footage one URL may play.
const PLAYBACK_MAX: SignedDuration = SignedDuration::from_hours(24);

#[derive(Deserialize)]
struct StreamRequest {
    #[serde(rename = "StreamInfo")]
    stream: StreamInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamInfo {
    id: WireId,
    stream_type: String,
    method: String,
    #[serde(rename = "PlayBackParams")]
    play_back: Option<PlayBack>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlayBack {
    start_time: Timestamp,
    end_time: Timestamp,
}

/// `streamMedia`.
pub(super) fn stream(world: &mut World, request: &Request<'_>, now: Timestamp) -> Outcome {
    let index = device_index(request)?;
    let asked = parse::<StreamRequest>(request.body)?.stream;
    let kind = match asked.stream_type.as_str() {
        "main" => StreamType::Main,
        "sub" => StreamType::Sub,
        "third" => StreamType::Third,
        other => return Err(Refusal::bad_parameters(format!("no streamType `{other}`"))),
    };
    let path = match asked.method.as_str() {
        "preview" => live(world, &index, &asked.id, kind)?,
        "playback" => playback(world, &index, &asked, now)?,
        "twoWayAudio" => return Err(Refusal::not_supported("twoWayAudio")),
        other => return Err(Refusal::bad_parameters(format!("no method `{other}`"))),
    };
    let url = world.stream_url(&path);
    Ok(Reply::Document(json!({"MediaAccessInfo": {"URL": url}})))
}

fn live(world: &World, index: &str, id: &WireId, kind: StreamType) -> Result<String, Refusal> {
    let device = world.fleet.find(index)?;
    if device.spec.status != DeviceStatus::Online {
        return Err(Refusal::device_busy());
    }
    let channel = device
        .channel(id)
        .ok_or_else(|| Refusal::bad_parameters("no such channel"))?;
    Ok(device.live_path(channel, kind))
}

fn playback(world: &mut World, index: &str, asked: &StreamInfo, now: Timestamp) -> Result<String, Refusal> {
    let device = world.fleet.find(index)?;
    if device.spec.status != DeviceStatus::Online {
        return Err(Refusal::device_busy());
    }
    if device.spec.protocol != Protocol::EhomeV5 {
        return Err(Refusal::not_supported("playback needs ISUP 5.0"));
    }
    // Cameras serve one playback at a time.
    if world
        .fleet
        .playbacks_of(index)
        .any(|path| world.played.contains(path))
    {
        return Err(Refusal::too_many("playbacks of the device"));
    }
    let Some(times) = &asked.play_back else {
        return Err(Refusal::bad_parameters("PlayBackParams is missing"));
    };
    let span = RecordedSpan {
        start: times.start_time,
        end: times.end_time,
    };
    let length = span.end.duration_since(span.start);
    if !length.is_positive() || length > PLAYBACK_MAX {
        return Err(Refusal::bad_parameters(
            "PlayBackParams is not an interval of at most a day",
        ));
    }
    if device.channel(&asked.id).is_none() {
        return Err(Refusal::bad_parameters("no such channel"));
    }
    let footage = device.footage(span, now).ok_or_else(Refusal::no_recording)?;
    let path = world.fleet.open_playback(index, &asked.id, footage);
    world.cause(Effect::Streams);
    Ok(path)
}
