//! Where a channel's video can be had (`System/streamMedia`).

use crate::call::Call;
use crate::client::Client;
use crate::config::StreamHost;
use crate::error::IsapiError;
use crate::parse;
use domain::id::ChannelKey;
use jiff::Timestamp;
use reqwest::Url;
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
    /// The RTSP URL of a channel's stream, at the host that [`Config::stream_host`](crate::Config::stream_host) says. It
    /// carries no credentials: RTSP asks for the gateway's own user.
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
        let url = self.read(&call, parse::stream_url).await?;
        Ok(match self.inner.stream_host {
            StreamHost::AsGiven => url,
            StreamHost::OfBaseUrl => with_host_of(&self.inner.base_url, url),
        })
    }
}

/// The URL at the base URL's host; the gateway's RTSP port is the same on both sides of its port mapping.
fn with_host_of(base_url: &Url, given: String) -> String {
    let moved = Url::parse(&given).ok().and_then(|mut url| {
        url.set_host(base_url.host_str()).ok()?;
        Some(url.into())
    });
    moved.unwrap_or(given)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_address_becomes_the_one_the_gateway_is_asked_by() {
        let given = "rtsp://3.140.9.60:554/dac/realplay/A1/MAIN/TCP?streamform=rtp".to_owned();
        for (base, moved) in [
            (
                "https://10.0.0.5",
                "rtsp://10.0.0.5:554/dac/realplay/A1/MAIN/TCP?streamform=rtp",
            ),
            (
                "http://[fd00::5]:8080",
                "rtsp://[fd00::5]:554/dac/realplay/A1/MAIN/TCP?streamform=rtp",
            ),
            (
                "http://gateway.internal",
                "rtsp://gateway.internal:554/dac/realplay/A1/MAIN/TCP?streamform=rtp",
            ),
        ] {
            assert_eq!(with_host_of(&Url::parse(base).unwrap(), given.clone()), moved);
        }
    }
}
