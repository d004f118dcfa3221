//! Where a channel's video can be had (`System/streamMedia`).

use crate::call::Call;
use crate::client::Client;
use crate::error::IsapiError;
use crate::parse;
use domain::id::ChannelKey;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Which of a channel's encodings (`streamType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamType {
    /// The full picture.
    Main,
    /// The small one.
    Sub,
    /// The one between, where a device has it.
    Third,
}

/// Live or recorded (`method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// What the camera sees now.
    Preview,
    /// What the device recorded itself; ISUP 5.0 devices only.
    Playback {
        /// From when.
        start: Timestamp,
        /// Until when.
        end: Timestamp,
    },
}

impl Client {
    /// The RTSP URL of a channel's stream. It carries no credentials: RTSP asks for the gateway's own user.
    ///
    /// # Errors
    /// [`IsapiError::Busy`] when the device is offline; [`IsapiError::NoSuchDevice`] when it was deleted; else
    /// what any call may fail with.
    pub async fn stream_url(
        &self,
        key: &ChannelKey,
        stream: StreamType,
        method: Method,
    ) -> Result<String, IsapiError> {
        let body = json!({"StreamInfo": stream_info(key, stream, method)});
        let call = Call::post("/ISAPI/System/streamMedia")
            .device(&key.device)
            .json(&body);
        self.read(&call, parse::stream_url).await
    }
}

fn stream_info(key: &ChannelKey, stream: StreamType, method: Method) -> Value {
    let stream = match stream {
        StreamType::Main => "main",
        StreamType::Sub => "sub",
        StreamType::Third => "third",
    };
    let id = key.channel.as_str();
    match method {
        Method::Preview => json!({"id": id, "streamType": stream, "method": "preview"}),
        Method::Playback { start, end } => json!({
            "id": id,
            "streamType": stream,
            "method": "playback",
            "PlayBackParams": {"startTime": start.to_string(), "endTime": end.to_string()},
        }),
    }
}
