//! Parsers of untrusted bytes: total, without a panic, strict about what a decision hangs on and liberal
//! about everything else.
//!
//! Public so that fuzzers and property tests reach them; programs use [`Client`](crate::Client).

use crate::error::ResponseStatus;
use domain::id::{ChannelId, DeviceIndex};
use domain::ports::GatewayChannel;
use domain::{Device, DeviceKind, DeviceStatus, OfflineHint};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde_json::{Map, Value};

pub use crate::events::Splitter;
pub use crate::lists::{DeviceListing, DevicePage, RecordingListing, RecordingPage, SearchProgress};

/// Longest free text kept of an error answer, in characters.
const TEXT_MAX_CHARS: usize = 200;

/// Longest stream URL believed, in bytes; the vendor's own are about 120.
const URL_MAX_BYTES: usize = 2048;

/// Longest lock of the account believed, in seconds: a day. Gateways lock for half an hour as a rule, and a number that is
/// out of its senses must not keep everybody out for years.
const LOCK_MAX_S: u64 = 86_400;

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) String);

impl Malformed {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }

    pub(crate) fn missing(what: &str) -> Self {
        Self(format!("`{what}` is missing or of the wrong type"))
    }
}

/// Reads JSON, tolerating a byte order mark. Nesting is bounded at 128 levels by `serde_json`.
///
/// # Errors
/// [`Malformed`] when it is not one JSON value.
pub fn json(bytes: &[u8]) -> Result<Value, Malformed> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| Malformed(format!("not JSON: {error}")))
}

/// The `ResponseStatus` in an answer, with or without its outer name; `None` when there is none.
pub fn response_status(answer: &Value) -> Option<ResponseStatus> {
    let fields = match answer.get("ResponseStatus") {
        Some(inner) => inner.as_object()?,
        None => answer.as_object().filter(|fields| {
            ["statusCode", "lockStatus", "retryTimes"]
                .iter()
                .any(|name| fields.contains_key(*name))
        })?,
    };
    let text = |name: &str| -> String {
        fields
            .get(name)
            .and_then(text)
            .unwrap_or_default()
            .chars()
            .take(TEXT_MAX_CHARS)
            .collect()
    };
    let count = |name: &str| fields.get(name).and_then(number);
    Some(ResponseStatus {
        status_code: count("statusCode"),
        status_string: text("statusString"),
        sub_status_code: text("subStatusCode"),
        error_code: count("errorCode"),
        error_msg: text("errorMsg"),
        locked: text("lockStatus").eq_ignore_ascii_case("lock"),
        tries_left: count("retryTimes").and_then(|tries| u32::try_from(tries).ok()),
        // A lock of no time would be tried again at once.
        locked_for: count("resLockTime")
            .filter(|seconds| *seconds > 0)
            .map(|seconds| SignedDuration::from_secs(seconds.min(LOCK_MAX_S).cast_signed())),
    })
}

/// One page of `deviceList`.
///
/// # Errors
/// [`Malformed`] when counts or entries are missing or no device can be told by an entry: one unreadable
/// entry spoils the page, because leaving it out would look like a removal.
pub fn device_page(answer: &Value) -> Result<DevicePage, Malformed> {
    let result = object(answer, "SearchResult")?;
    Ok(DevicePage {
        stated: result.get("numOfMatches").and_then(number),
        total: result
            .get("totalMatches")
            .and_then(number)
            .ok_or_else(|| Malformed::missing("totalMatches"))?,
        devices: entries(result, "MatchList")?
            .iter()
            .map(device)
            .collect::<Result<_, _>>()?,
    })
}

/// The channels of `channelInfo`.
///
/// # Errors
/// [`Malformed`] when the list is missing or an entry has no id.
pub fn channels(answer: &Value) -> Result<Vec<GatewayChannel>, Malformed> {
    let info = object(answer, "ChannelInfo")?;
    entries(info, "VideoChannel")?
        .iter()
        .map(|entry| {
            let channel = object(entry, "Channel")?;
            let id = channel.get("id").and_then(text).filter(|id| !id.is_empty());
            Ok(GatewayChannel {
                id: ChannelId::new(id.ok_or_else(|| Malformed::missing("id"))?),
                name: channel.get("name").and_then(text).unwrap_or_default(),
            })
        })
        .collect()
}

/// The RTSP URL of a `streamMedia` answer. A user or password in it is dropped.
///
/// # Errors
/// [`Malformed`] when there is none or it is not an RTSP URL with a host.
pub fn stream_url(answer: &Value) -> Result<String, Malformed> {
    let access = object(answer, "MediaAccessInfo")?;
    let url = access
        .get("URL")
        .and_then(Value::as_str)
        .ok_or_else(|| Malformed::missing("URL"))?;
    rtsp_url(url)
}

/// Checks an RTSP URL and drops credentials from it.
pub(crate) fn rtsp_url(text: &str) -> Result<String, Malformed> {
    let wrong = || Malformed::new("the stream URL is not an RTSP URL with a host");
    if text.len() > URL_MAX_BYTES {
        return Err(wrong());
    }
    let mut url = Url::parse(text.trim()).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "rtsp" | "rtsps") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    url.set_username("")
        .and_then(|()| url.set_password(None))
        .map_err(|()| wrong())?;
    Ok(url.into())
}

/// One page of a recording search.
///
/// # Errors
/// [`Malformed`] when the result's own status, or a recording's times or URL, are missing.
pub fn recording_page(answer: &Value) -> Result<RecordingPage, Malformed> {
    let result = object(answer, "CMSearchResult")?;
    let status = result
        .get("responseStatusStrg")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let progress = match status.to_ascii_uppercase().as_str() {
        "OK" => SearchProgress::Complete,
        "MORE" => SearchProgress::More,
        "NO MATCH" | "NO MATCHES" => SearchProgress::NoMatch,
        _ => return Err(Malformed::missing("responseStatusStrg")),
    };
    Ok(RecordingPage {
        stated: result.get("numOfMatches").and_then(number),
        progress,
        recordings: entries(result, "matchList")?
            .iter()
            .map(crate::recordings::recording)
            .collect::<Result<_, _>>()?,
    })
}

fn device(entry: &Value) -> Result<Device, Malformed> {
    let fields = object(entry, "Device")?;
    let index = fields
        .get("devIndex")
        .and_then(Value::as_str)
        .filter(|index| !index.is_empty());
    let index = DeviceIndex::new(index.ok_or_else(|| Malformed::missing("devIndex"))?);
    let text = |name: &str| fields.get(name).and_then(text).unwrap_or_default();
    let video_channels = fields.get("videoChannelNum").and_then(number);
    Ok(Device {
        name: text("devName"),
        kind: device_kind(text("devType")),
        status: device_status(
            &index,
            &text("devStatus"),
            fields.get("offlineHint").and_then(number),
        ),
        // Without a count the channel list has to be asked, which a zero would forbid.
        video_channels: video_channels.map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        index,
    })
}

fn device_kind(text: String) -> DeviceKind {
    match text.to_ascii_lowercase().as_str() {
        "encodingdev" => DeviceKind::Encoder,
        "accesscontrol" => DeviceKind::AccessControl,
        _ => DeviceKind::Other(text),
    }
}

fn device_status(device: &DeviceIndex, text: &str, hint: Option<u64>) -> DeviceStatus {
    match text.to_ascii_lowercase().as_str() {
        "online" => DeviceStatus::Online,
        "offline" => DeviceStatus::Offline(offline_hint(hint)),
        "sleep" => DeviceStatus::Sleep,
        unknown => {
            // Neither a reason to record nor one to give up, which is what sleep means to the poll.
            tracing::warn!(%device, status = unknown, "unknown device status, taken for sleep");
            DeviceStatus::Sleep
        }
    }
}

fn offline_hint(hint: Option<u64>) -> OfflineHint {
    match hint {
        Some(0) => OfflineHint::Waiting,
        Some(1) => OfflineHint::WrongKey,
        Some(2) => OfflineHint::VersionMismatch,
        Some(3) => OfflineHint::Network,
        Some(_) | None => OfflineHint::Unknown,
    }
}

/// The object under `name`.
pub(crate) fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, Malformed> {
    value
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(|| Malformed::missing(name))
}

/// The array under `name`; absent and `null` are how builds write an empty one.
fn entries<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], Malformed> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(entries)) => Ok(entries),
        Some(_) => Err(Malformed::missing(name)),
    }
}

/// A whole number, also when a build writes it as text.
pub(crate) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A text, also when a build writes it as a whole number.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An instant in RFC 3339 form; without an offset it is none.
pub(crate) fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.trim().parse().ok()
}
