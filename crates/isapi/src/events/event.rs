//! What one part of the stream says.

use crate::parse;
use domain::id::{ChannelId, DeviceIndex};
use jiff::Timestamp;
use serde_json::Value;

/// Something happened: look now, and there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing.
    pub kind: EventKind,
    /// The device it is about; heartbeats are about none.
    pub device: Option<DeviceIndex>,
    /// The video input it is about, when it is about one.
    pub channel: Option<ChannelId>,
    /// When, by the device's clock.
    pub at: Option<Timestamp>,
    /// Whether it begins or goes on (`eventState` is not `inactive`).
    pub active: bool,
    /// The gateway's words for it.
    pub description: String,
}

/// `eventType`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// `heartBeat`: the stream lives.
    HeartBeat,
    /// `devStatusChanged`: a device came online or went offline.
    DeviceStatusChanged,
    /// `VMD`: motion.
    Motion,
    /// `linedetection`: someone crossed a line.
    LineCrossed,
    /// `fielddetection`: someone entered a field.
    FieldEntered,
    /// `videoloss`: an input has no picture.
    VideoLoss,
    /// `shelteralarm`: a camera is covered.
    Tampering,
    /// `AccessControllerEvent`: something at a door.
    AccessControl,
    /// A type this version does not know.
    Other(String),
}

impl EventKind {
    fn of(text: String) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "heartbeat" => Self::HeartBeat,
            "devstatuschanged" => Self::DeviceStatusChanged,
            "vmd" => Self::Motion,
            "linedetection" => Self::LineCrossed,
            "fielddetection" => Self::FieldEntered,
            "videoloss" => Self::VideoLoss,
            "shelteralarm" => Self::Tampering,
            "accesscontrollerevent" => Self::AccessControl,
            _ => Self::Other(text),
        }
    }
}

/// The event in a part; `None` when it is none, such as a confirmation.
pub(super) fn event(part: &Value) -> Option<Event> {
    let fields = parse::object(part, "EventNotificationAlert").ok()?;
    let text = |name: &str| {
        fields
            .get(name)
            .and_then(parse::text)
            .filter(|text| !text.is_empty())
    };
    Some(Event {
        kind: EventKind::of(text("eventType")?),
        device: text("devIndex").map(DeviceIndex::new),
        channel: text("channelID").map(ChannelId::new),
        at: fields.get("dateTime").and_then(parse::instant),
        active: !text("eventState").is_some_and(|state| state.eq_ignore_ascii_case("inactive")),
        description: text("eventDescription").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_says_what_where_and_when() {
        let part = json!({"EventNotificationAlert": {"devIndex": "38941127", "channelID": 5,
            "dateTime": "2026-05-16T10:30:08+03:00", "eventType": "VMD", "eventState": "inactive",
            "eventDescription": "Motion", "unknown": {}}});
        let expected = Event {
            kind: EventKind::Motion,
            device: Some(DeviceIndex::new("38941127")),
            channel: Some(ChannelId::new("5")),
            at: Some("2026-05-16T07:30:08Z".parse().unwrap()),
            active: false,
            description: "Motion".to_owned(),
        };
        assert_eq!(event(&part), Some(expected));
    }

    #[test]
    fn an_unknown_type_is_kept_and_a_part_without_a_type_is_no_event() {
        let of = |value: Value| event(&json!({"EventNotificationAlert": value}));
        assert_eq!(
            of(json!({"eventType": "meteor"})).unwrap().kind,
            EventKind::Other("meteor".to_owned())
        );
        assert_eq!(of(json!({})), None);
        assert_eq!(event(&json!({"SubscribeDeviceMgmtRsp": {"id": 1}})), None);
    }
}
