//! The gateway itself: who it is, its clock, its password, its port maps, its restart.

use crate::call::Call;
use crate::client::Client;
use crate::error::IsapiError;
use crate::parse::{self, Malformed};
use crate::portmaps::{DevicePortMap, PlatformPortMap};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::Offset;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The vendor's guide gives the administrator, the gateway's only user, the id 1.
const ADMINISTRATOR: u32 = 1;

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It has.
    Now,
    /// After the next reboot (`statusCode` 7).
    AfterReboot,
}

/// Who the gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The operator's name of it.
    pub name: String,
    /// `DS-GWAS0101` for a Hik Device Gateway.
    pub model: String,
    /// Its software's version.
    pub firmware_version: String,
}

/// The gateway's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayTime {
    /// The instant it believed in when it answered.
    pub instant: Timestamp,
    /// Its time zone, as far as it tells: the offset in force.
    pub utc_offset: Offset,
    /// Who sets it.
    pub mode: TimeMode,
    /// Fields this version does not know; they travel back unchanged.
    pub other: Map<String, Value>,
}

/// Who sets the gateway's clock (`timeMode`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeMode {
    /// `manual`: a person, or [`Client::set_time`].
    Manual,
    /// `NTP`: a time server.
    Ntp,
    /// A mode this version does not know; it travels back unchanged.
    Other(String),
}

impl Client {
    /// Who the gateway is; also the liveness check, for it needs the password and no device.
    ///
    /// # Errors
    /// What any call may fail with.
    pub async fn device_info(&self) -> Result<DeviceInfo, IsapiError> {
        let call = Call::get("/ISAPI/System/deviceInfo");
        self.read(&call, device_info).await
    }

    /// Names the gateway. Reads what it is first, so that fields this version does not know stay as they are.
    ///
    /// # Errors
    /// What any call may fail with.
    pub async fn set_device_name(&self, name: &str) -> Result<Applied, IsapiError> {
        let read = Call::get("/ISAPI/System/deviceInfo");
        let mut info = self
            .read(&read, |answer| parse::object(answer, "DeviceInfo").cloned())
            .await?;
        info.insert("deviceName".to_owned(), name.into());
        self.write(Call::put("/ISAPI/System/deviceInfo").json(&json!({"DeviceInfo": info})))
            .await
    }

    /// Changes the gateway's password and uses the new one from then on. No other call is under way meanwhile,
    /// so that none is refused with a password that has just become the wrong one.
    ///
    /// # Errors
    /// What any call may fail with. After one that [may have happened](domain::ports::PortError::Unknown) either
    /// password may be the right one: [`check_login`](Self::check_login) with the old one tells, and costs one
    /// try if it is wrong.
    pub async fn change_password(&self, new: &SecretString) -> Result<(), IsapiError> {
        let inner = &self.inner;
        let all = inner.permits.acquire_many(inner.concurrency_max).await;
        let _permits = all.expect("the semaphore is never closed");
        let (username, password) = inner.authenticator.credentials();
        let call = Call::put("/ISAPI/Security/users").secret().json(&json!({
            "UserList": [{"User": {
                "id": ADMINISTRATOR,
                "userName": username,
                "password": new.expose_secret(),
                "loginPassword": password.expose_secret(),
            }}]
        }));
        inner.call_with_permit(&call).await?;
        self.set_credentials(username, new.clone());
        Ok(())
    }

    /// The gateway's clock.
    ///
    /// # Errors
    /// What any call may fail with; [`IsapiError::Malformed`] when its time has no UTC offset, for then it is
    /// no instant.
    pub async fn time(&self) -> Result<GatewayTime, IsapiError> {
        self.read(&Call::get("/ISAPI/System/time"), gateway_time).await
    }

    /// Sets the gateway's clock, to whole seconds.
    ///
    /// # Errors
    /// What any call may fail with.
    pub async fn set_time(&self, time: &GatewayTime) -> Result<Applied, IsapiError> {
        self.write(Call::put("/ISAPI/System/time").json(&json!({"Time": time_fields(time)})))
            .await
    }

    /// How the gateway's own ports appear outside.
    ///
    /// # Errors
    /// What any call may fail with.
    pub async fn platform_port_map(&self) -> Result<PlatformPortMap, IsapiError> {
        self.read(&Call::get("/ISAPI/System/Network/PortMaps/contentMgmt"), document)
            .await
    }

    /// Changes how the gateway's own ports appear outside. It takes effect after a [reboot](Self::reboot).
    ///
    /// # Errors
    /// What any call may fail with.
    pub async fn set_platform_port_map(&self, map: &PlatformPortMap) -> Result<Applied, IsapiError> {
        self.write(Call::put("/ISAPI/System/Network/PortMaps/contentMgmt").json(&json!(map)))
            .await
    }

    /// How the ports devices register with and send media to appear outside.
    ///
    /// # Errors
    /// What any call may fail with.
    pub async fn device_port_map(&self) -> Result<DevicePortMap, IsapiError> {
        self.read(&Call::get("/ISAPI/System/Network/PortMaps/devMgmt"), document)
            .await
    }

    /// Changes how the devices' ports appear outside. It takes effect after a [reboot](Self::reboot).
    ///
    /// # Errors
    /// What any call may fail with.
    pub async fn set_device_port_map(&self, map: &DevicePortMap) -> Result<Applied, IsapiError> {
        self.write(Call::put("/ISAPI/System/Network/PortMaps/devMgmt").json(&json!(map)))
            .await
    }

    /// Restarts the gateway's software. Every stream and subscription ends.
    ///
    /// # Errors
    /// What any call may fail with. A connection that breaks meanwhile may be the reboot itself.
    pub async fn reboot(&self) -> Result<(), IsapiError> {
        self.write(Call::put("/ISAPI/System/reboot")).await.map(drop)
    }

    /// Whether the gateway accepts the credentials.
    ///
    /// # Errors
    /// What any call may fail with.
    pub async fn check_login(&self) -> Result<(), IsapiError> {
        self.inner
            .call(&Call::get("/ISAPI/Security/userCheck"))
            .await
            .map(drop)
    }

    async fn write(&self, call: Call) -> Result<Applied, IsapiError> {
        let answer = self.inner.call(&call).await?;
        let code = parse::response_status(&answer).and_then(|status| status.status_code);
        Ok(if code == Some(7) {
            Applied::AfterReboot
        } else {
            Applied::Now
        })
    }
}

fn device_info(answer: &Value) -> Result<DeviceInfo, Malformed> {
    let info = parse::object(answer, "DeviceInfo")?;
    let text = |name: &str| info.get(name).and_then(parse::text).unwrap_or_default();
    Ok(DeviceInfo {
        name: text("deviceName"),
        model: text("model"),
        firmware_version: text("firmwareVersion"),
    })
}

fn gateway_time(answer: &Value) -> Result<GatewayTime, Malformed> {
    let mut fields = parse::object(answer, "Time")?.clone();
    let local = fields.remove("localTime");
    let (instant, utc_offset) = local
        .as_ref()
        .and_then(Value::as_str)
        .and_then(local_time)
        .ok_or_else(|| Malformed::new("`localTime` is not a time with a UTC offset"))?;
    let mode = match fields.remove("timeMode").as_ref().and_then(Value::as_str) {
        Some(mode) if mode.eq_ignore_ascii_case("manual") => TimeMode::Manual,
        Some(mode) if mode.eq_ignore_ascii_case("NTP") => TimeMode::Ntp,
        mode => TimeMode::Other(mode.unwrap_or_default().to_owned()),
    };
    Ok(GatewayTime {
        instant,
        utc_offset,
        mode,
        other: fields,
    })
}

fn local_time(text: &str) -> Option<(Timestamp, Offset)> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    let pieces = PARSER.parse_pieces(text.trim()).ok()?;
    let offset = pieces.to_numeric_offset()?;
    let local = pieces.date().to_datetime(pieces.time()?);
    Some((offset.to_timestamp(local).ok()?, offset))
}

fn time_fields(time: &GatewayTime) -> Value {
    let local = time.utc_offset.to_datetime(time.instant);
    let mode = match &time.mode {
        TimeMode::Manual => "manual",
        TimeMode::Ntp => "NTP",
        TimeMode::Other(mode) => mode,
    };
    let mut fields = time.other.clone();
    let text = format!(
        "{}{}",
        local.strftime("%Y-%m-%dT%H:%M:%S"),
        offset_text(time.utc_offset)
    );
    fields.insert("localTime".to_owned(), text.into());
    fields.insert("timeMode".to_owned(), mode.into());
    fields.into()
}

/// `+08:00`; the gateway's own form has no seconds, and no zone in use has any.
fn offset_text(offset: Offset) -> String {
    let (sign, minutes) = (
        if offset.is_negative() { '-' } else { '+' },
        offset.seconds().abs() / 60,
    );
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

fn document<T: DeserializeOwned>(answer: &Value) -> Result<T, Malformed> {
    T::deserialize(answer).map_err(|error| Malformed::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_its_offset_and_unknown_fields_on_the_way_back() {
        let sample = json!({"Time": {"localTime": "2021-10-26T09:47:25+08:00", "timeMode": "manual", "dst": {"on": true}}});
        let time = gateway_time(&sample).unwrap();
        assert_eq!(time.instant.to_string(), "2021-10-26T01:47:25Z");
        assert_eq!(time.mode, TimeMode::Manual);
        assert_eq!(json!({"Time": time_fields(&time)}), sample);
    }

    #[test]
    fn offsets_west_and_half_hours_survive() {
        for text in [
            "2021-10-26T09:47:25-03:30",
            "2021-10-26T23:59:59+05:45",
            "2021-10-26T09:47:25+00:00",
        ] {
            let time = gateway_time(&json!({"Time": {"localTime": text, "timeMode": "NTP"}})).unwrap();
            assert_eq!(time_fields(&time)["localTime"], text);
        }
    }

    #[test]
    fn a_time_without_an_offset_is_no_instant() {
        for text in ["2021-10-26T09:47:25", "2021-10-26", "soon", ""] {
            assert!(
                gateway_time(&json!({"Time": {"localTime": text, "timeMode": "NTP"}})).is_err(),
                "{text}"
            );
        }
    }
}
