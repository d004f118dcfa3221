//! What an answer means: from HTTP status and body to a value or a typed error. Pure.

use crate::call::Call;
use crate::error::{IsapiError, ResponseStatus};
use crate::parse;
use reqwest::StatusCode;
use serde_json::Value;

/// An answer understood.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It worked; the body is `null` when the gateway sent none.
    Done(Value),
    /// The password or account is the problem, said in the body instead of by a 401.
    Unauthorized(ResponseStatus),
}

/// Reads an answer whose body has arrived whole.
pub(crate) fn read(call: &Call, http_status: StatusCode, body: &[u8]) -> Result<Verdict, IsapiError> {
    let value = match body {
        [] => Ok(Value::Null),
        body => parse::json(body),
    };
    let status = value.as_ref().ok().and_then(parse::response_status);
    if http_status.is_success() && status.as_ref().is_none_or(ResponseStatus::is_ok) {
        return value.map(Verdict::Done).map_err(|source| call.malformed(source));
    }
    let status = status.map(|status| if call.secret { status.codes_only() } else { status });
    match status {
        Some(status) if is_about_credentials(&status) => Ok(Verdict::Unauthorized(status)),
        status => Err(failure(call.to_string(), http_status, status)),
    }
}

fn failure(request: String, http_status: StatusCode, status: Option<ResponseStatus>) -> IsapiError {
    let code = status.as_ref().and_then(|status| status.status_code);
    let sub = status
        .as_ref()
        .map(|status| status.sub_status_code.to_ascii_lowercase())
        .unwrap_or_default();
    let status = status.map(Box::new);
    let http = http_status.as_u16();
    match (code, http) {
        _ if sub == "thedeviceiddoesnotexist" => IsapiError::NoSuchDevice { request },
        // `networkError` is a device offline behind the gateway.
        (Some(2), _) | (None, 503 | 429) => IsapiError::Busy {
            request,
            http_status: http,
            status,
        },
        _ if sub == "networkerror" => IsapiError::Busy {
            request,
            http_status: http,
            status,
        },
        (Some(4..=6), _) => IsapiError::Refused {
            request,
            http_status: http,
            status,
        },
        (Some(3), _) => IsapiError::Failed {
            request,
            http_status: http,
            status,
        },
        (_, 503 | 429) => IsapiError::Busy {
            request,
            http_status: http,
            status,
        },
        (_, 300..=499) => IsapiError::Refused {
            request,
            http_status: http,
            status,
        },
        _ => IsapiError::Failed {
            request,
            http_status: http,
            status,
        },
    }
}

fn is_about_credentials(status: &ResponseStatus) -> bool {
    let sub = status.sub_status_code.to_ascii_lowercase();
    status.locked
        || matches!(
            sub.as_str(),
            "badauthorization" | "mgmtlokederror" | "mgmtlockederror"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ports::PortError;

    fn error(http: u16, body: &str) -> IsapiError {
        let call = Call::get("/ISAPI/System/time");
        read(&call, StatusCode::from_u16(http).unwrap(), body.as_bytes()).unwrap_err()
    }

    fn status(code: u32, sub: &str) -> String {
        format!(r#"{{"ResponseStatus":{{"statusCode":{code},"statusString":"x","subStatusCode":"{sub}"}}}}"#)
    }

    fn bare(code: u32, sub: &str) -> String {
        format!(r#"{{"statusCode":"{code}","subStatusCode":"{sub}"}}"#)
    }

    #[test]
    fn a_success_is_an_error_when_the_body_says_so_with_or_without_the_outer_name() {
        for body in [status(6, "badParameters"), bare(6, "badParameters")] {
            assert!(
                matches!(error(200, &body), IsapiError::Refused { http_status: 200, .. }),
                "{body}"
            );
        }
    }

    #[test]
    fn every_kind_of_no_is_named_by_what_the_caller_can_do() {
        let throttled = [
            (200, status(2, "noMemory")),
            (503, status(2, "networkError")),
            (503, String::new()),
            (503, "Device Busy".to_owned()),
            (429, "{}".to_owned()),
            (503, status(4, "networkError")),
        ];
        for (http, body) in throttled {
            let port = error(http, &body).into_port("x");
            assert!(
                matches!(port, PortError::Throttled { .. }),
                "{http} {body}: {port:?}"
            );
        }
        let unknown = [
            (500, String::new()),
            (502, "<html>".to_owned()),
            (200, "<html>".to_owned()),
            (200, status(3, "deviceError")),
            (404, status(4, "theDeviceIdDoesNotExist")),
            (500, status(1, "ok")),
        ];
        for (http, body) in unknown {
            let port = error(http, &body).into_port("x");
            assert!(
                matches!(port, PortError::Unknown { .. }),
                "{http} {body}: {port:?}"
            );
        }
        let refused = [
            (403, status(4, "lowPrivilege")),
            (200, status(4, "notSupport")),
            (404, String::new()),
            (400, bare(5, "badFormat")),
            (200, status(6, "badParameters")),
            (302, String::new()),
            (500, status(4, "notSupport")),
        ];
        for (http, body) in refused {
            let port = error(http, &body).into_port("x");
            assert!(
                matches!(port, PortError::Refused { .. }),
                "{http} {body}: {port:?}"
            );
        }
    }

    #[test]
    fn a_password_or_lock_named_in_the_body_is_about_credentials() {
        for sub in ["badAuthorization", "MgmtLokedError"] {
            let call = Call::get("/x");
            let verdict = read(&call, StatusCode::FORBIDDEN, status(4, sub).as_bytes()).unwrap();
            assert!(matches!(verdict, Verdict::Unauthorized(_)));
        }
    }

    #[test]
    fn a_success_without_a_body_or_with_reboot_required_is_a_success() {
        let call = Call::put("/x");
        for body in [
            String::new(),
            status(1, "ok"),
            status(0, "ok"),
            status(7, "rebootRequired"),
            "{}".to_owned(),
        ] {
            assert!(
                matches!(read(&call, StatusCode::OK, body.as_bytes()), Ok(Verdict::Done(_))),
                "{body}"
            );
        }
    }

    #[test]
    fn the_answer_to_a_secret_never_puts_its_words_into_the_error() {
        let call = Call::put("/x").secret();
        let body = r#"{"statusCode":6,"statusString":"hunter2","subStatusCode":"badParameters","errorMsg":"hunter2"}"#;
        let error = read(&call, StatusCode::OK, body.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(error.to_string().contains("badParameters"));
    }
}
