use anyhow::ensure;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

/// The gateway and its habits. The defaults are those of the build the 2020 system ran against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GatewaySpec {
    /// The only user.
    pub username: String,
    /// That user's password at the start; it opens the RTSP streams too. It guards simulated video only.
    pub password: Password,
    /// `deviceName` of the gateway.
    pub name: String,
    /// Where the HTTP API listens; port 0 takes any free one and keeps it over reboots.
    pub listen: SocketAddr,
    /// Where RTSP listens.
    pub rtsp_listen: SocketAddr,
    /// Where the control endpoint listens. It asks for no password, so it must be a loopback address.
    pub control_listen: SocketAddr,
    /// Speaks HTTPS with a self-signed certificate, made at every start, instead of HTTP.
    pub tls: bool,
    /// An installation without a password refuses everything with `notActivated`.
    pub activated: bool,
    /// The digest algorithm of the challenge.
    pub digest: DigestAlgorithm,
    /// Whether the challenge has `qop="auth"`; without it the digest is the one of RFC 2069.
    pub qop: bool,
    /// Whether the challenge has an `opaque` that must come back.
    pub opaque: bool,
    /// Offers `Basic` before `Digest`; credentials sent as Basic are refused all the same.
    pub basic_first: bool,
    /// Uses of a nonce before it is stale; none = until a reboot or a change of password.
    pub nonce_lifetime_requests: Option<u32>,
    /// The most devices on one page, whatever `maxResult` asks.
    pub page_max: u32,
    /// How a list without entries is written.
    pub empty_list: EmptyList,
    /// Leaves off the outer `ResponseStatus` object.
    pub bare_response_status: bool,
    /// Refusals come as HTTP 200 with a `statusCode` other than 1.
    pub errors_in_200: bool,
    /// A port map is accepted with `statusCode` 7 (reboot required) instead of 1.
    pub reboot_required: bool,
    /// `deviceList` wants a `searchID`.
    pub require_search_id: bool,
    /// `deviceList` wants a `Filter`.
    pub require_filter: bool,
    /// A `Filter` needs its `protocolType`, as the developer guide says.
    pub require_filter_protocols: bool,
    /// How long a reboot takes.
    pub reboot_seconds: f64,
    /// What wrong passwords lead to.
    pub lockout: Lockout,
    /// Whether events can be subscribed to.
    pub alarm_forwarding: bool,
    /// Seconds between `heartBeat` events.
    pub heartbeat_seconds: f64,
    /// Whether the parts of the event stream say their `Content-Length`.
    pub event_part_lengths: bool,
    /// UTC offset of the gateway's clock, in minutes.
    pub utc_offset_minutes: i32,
}

/// A password that shows in the scenario it comes from and nowhere else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// The password in the clear.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// When an account locks and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lockout {
    /// Wrong passwords in a row until the account locks.
    pub tries: u32,
    /// Seconds until it can be used again.
    pub seconds: u32,
}

/// The `algorithm` of RFC 7616 the challenge asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DigestAlgorithm {
    /// The default; the challenge does not name it, as the gateways seen do not.
    #[serde(rename = "MD5")]
    Md5,
    /// MD5 with a session key.
    #[serde(rename = "MD5-sess")]
    Md5Sess,
    /// Newer builds.
    #[serde(rename = "SHA-256")]
    Sha256,
}

/// How `MatchList` and `VideoChannel` are written when there is nothing to list; builds differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmptyList {
    /// `null`.
    Null,
    /// Not at all.
    Absent,
    /// `[]`.
    Empty,
}

impl Default for GatewaySpec {
    fn default() -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            username: "admin".to_owned(),
            password: Password::from("Millrace-2020"),
            name: "Simulated gateway".to_owned(),
            listen: anywhere,
            rtsp_listen: anywhere,
            control_listen: anywhere,
            tls: false,
            activated: true,
            digest: DigestAlgorithm::Md5,
            qop: true,
            opaque: true,
            basic_first: false,
            nonce_lifetime_requests: None,
            page_max: 100,
            empty_list: EmptyList::Null,
            bare_response_status: false,
            errors_in_200: false,
            reboot_required: false,
            require_search_id: false,
            require_filter: false,
            require_filter_protocols: false,
            reboot_seconds: 3.0,
            lockout: Lockout::default(),
            alarm_forwarding: true,
            heartbeat_seconds: 10.0,
            event_part_lengths: true,
            utc_offset_minutes: 0,
        }
    }
}

impl Default for Lockout {
    fn default() -> Self {
        Self {
            tries: 5,
            seconds: 1800,
        }
    }
}

impl GatewaySpec {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            !self.username.is_empty() && self.username.bytes().all(|b| b.is_ascii_alphanumeric()),
            "the user name must be letters and digits"
        );
        ensure!(
            self.control_listen.ip().is_loopback(),
            "the control endpoint asks for no password: it must listen on a loopback address"
        );
        ensure!(
            !self.password.as_str().is_empty(),
            "the password must not be empty"
        );
        ensure!((1..=1000).contains(&self.page_max), "page-max must be 1 to 1000");
        ensure!(self.lockout.tries >= 1, "lockout.tries must be at least 1");
        ensure!(
            self.nonce_lifetime_requests != Some(0),
            "nonce-lifetime-requests must be at least 1"
        );
        ensure!(
            (0.0..=3600.0).contains(&self.reboot_seconds),
            "reboot-seconds must be 0 to 3600"
        );
        ensure!(
            (0.01..=3600.0).contains(&self.heartbeat_seconds),
            "heartbeat-seconds must be 0.01 to 3600"
        );
        ensure!(
            (-14 * 60..=14 * 60).contains(&self.utc_offset_minutes),
            "utc-offset-minutes must be within 14 hours"
        );
        Ok(())
    }
}
