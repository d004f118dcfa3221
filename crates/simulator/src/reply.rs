//! What a call comes to: a document, a done write, a refusal, or a stream of events. Pure values; HTTP is
//! added at the edge.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A call that was carried out.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// The document that was asked for.
    Document(Value),
    /// A write took effect.
    Done,
    /// A write is kept but takes effect only after a reboot.
    DoneAfterReboot,
    /// Events follow, without end, for the subscription of this number.
    Events(u64),
}

/// A call that was not carried out: the `ResponseStatus` and the HTTP status that goes with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) http: u16,
    /// `statusCode`: 2 busy, 3 device error, 4 invalid operation, 5 bad format, 6 bad content.
    pub(crate) code: u8,
    /// `subStatusCode`.
    pub(crate) sub: String,
    /// `errorMsg`.
    pub(crate) message: String,
}

/// What a handler comes to.
pub(crate) type Outcome = Result<Reply, Refusal>;

impl Refusal {
    fn new(http: u16, code: u8, sub: &str, message: impl Into<String>) -> Self {
        Self {
            http,
            code,
            sub: sub.to_owned(),
            message: message.into(),
        }
    }

    /// The device behind the gateway cannot be reached.
    pub(crate) fn device_busy() -> Self {
        Self::new(503, 2, "networkError", "Device Busy")
    }

    /// The gateway has its hands full.
    pub(crate) fn too_many(what: &str) -> Self {
        Self::new(503, 2, "noMemory", format!("too many {what}"))
    }

    /// Nobody has set a password yet.
    pub(crate) fn not_activated() -> Self {
        Self::new(403, 4, "notActivated", "not activated")
    }

    /// The call, or the method on it, does not exist or not for this device.
    pub(crate) fn not_supported(what: &str) -> Self {
        Self::new(403, 4, "notSupport", what)
    }

    /// The path is nobody's.
    pub(crate) fn no_such_call() -> Self {
        Self::new(404, 4, "notSupport", "no such call")
    }

    /// The old password of a password change is wrong.
    pub(crate) fn bad_authorization() -> Self {
        Self::new(403, 4, "badAuthorization", "loginPassword is wrong")
    }

    /// The state of the gateway forbids it.
    pub(crate) fn forbidden(why: &str) -> Self {
        Self::new(403, 4, "lowPrivilege", why)
    }

    /// `devIndex` is nobody's.
    pub(crate) fn no_such_device() -> Self {
        Self::new(400, 4, "theDeviceIdDoesNotExist", "the device does not exist")
    }

    /// The device has no file of that time.
    pub(crate) fn no_recording() -> Self {
        Self::new(400, 3, "taskNoRecFile", "nothing is recorded there")
    }

    /// The body is not what the format asks for.
    pub(crate) fn bad_format(why: impl Into<String>) -> Self {
        Self::new(400, 5, "badJsonFormat", why)
    }

    /// The body has the form but not the content.
    pub(crate) fn bad_parameters(why: impl Into<String>) -> Self {
        Self::new(400, 6, "badParameters", why)
    }

    /// What some builds answer every device list with.
    pub(crate) fn invalid_content() -> Self {
        Self::new(400, 6, "badParameters", "Invalid Content")
    }

    /// The body is larger than anything sensible.
    pub(crate) fn too_large() -> Self {
        Self::new(413, 6, "badParameters", "the body is too large")
    }

    /// A refusal a fault asks for, hidden in an HTTP 200.
    pub(crate) fn in_ok(code: u8, sub: &str) -> Self {
        Self::new(200, code, sub, sub)
    }
}

/// How a gateway of this build writes a `ResponseStatus`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusStyle {
    /// Without the outer object.
    pub(crate) bare: bool,
}

impl StatusStyle {
    /// The `ResponseStatus` of a call; `extra` fields go beside the known ones.
    pub(crate) fn body(self, url: &str, code: u8, sub: &str, message: &str, extra: Value) -> Value {
        let mut status = json!({
            "requestURL": url,
            "statusCode": code,
            "statusString": status_string(code),
            "subStatusCode": sub,
            "errorCode": error_code(code),
            "errorMsg": message,
        });
        if let (Value::Object(status), Value::Object(extra)) = (&mut status, extra) {
            status.extend(extra);
        }
        if self.bare {
            return status;
        }
        json!({ "ResponseStatus": status })
    }
}

fn status_string(code: u8) -> &'static str {
    match code {
        1 => "OK",
        2 => "Device Busy",
        3 => "Device Error",
        4 => "Invalid Operation",
        5 => "Invalid Message Format",
        6 => "Invalid Message Content",
        7 => "Reboot Required",
        _ => "Unknown",
    }
}

/// The developer guide's codes begin with the `statusCode` as their first hexadecimal digit (`0x60000001` is
/// a bad parameter); the rest depends on the build, so this one says 1 throughout. 1 alone is success.
fn error_code(code: u8) -> u32 {
    if code == 1 {
        return 1;
    }
    u32::from(code) << 28 | 1
}

/// Reads a body.
///
/// # Errors
/// What is not JSON is a bad format; JSON of another shape is bad parameters.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            Refusal::bad_parameters(error.to_string())
        } else {
            Refusal::bad_format(error.to_string())
        }
    })
}
