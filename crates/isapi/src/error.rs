//! Why a call failed, by what the caller can do about it; and the gateway's own words for it.

use crate::lists::InconsistentList;
use crate::parse::Malformed;
use domain::credentials::Rejection;
use domain::ports::PortError;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// Why a call failed. `request` is the method and path; no variant ever holds a secret or a query.
#[derive(Debug, thiserror::Error)]
pub enum IsapiError {
    /// No connection could be made: nothing happened.
    #[error("{request}: cannot connect to the gateway")]
    Unreachable {
        /// Method and path.
        request: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke before the whole answer was there: it may have happened.
    #[error("{request}: the connection broke")]
    Broken {
        /// Method and path.
        request: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// No whole answer within the configured time: it may have happened.
    #[error("{request}: no whole answer within {limit:#}")]
    TimedOut {
        /// Method and path.
        request: String,
        /// The configured time.
        limit: SignedDuration,
    },
    /// The answer exceeds the configured size; it was not read to its end.
    #[error("{request}: the answer exceeds {limit_bytes} bytes")]
    TooLarge {
        /// Method and path.
        request: String,
        /// The configured size.
        limit_bytes: usize,
    },
    /// The answer is not what the protocol promises.
    #[error("{request}: the answer is malformed")]
    Malformed {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        #[source]
        source: Malformed,
    },
    /// Every page was well-formed but together they are no list: nothing may be concluded from them.
    #[error("{request}: the list is inconsistent")]
    Inconsistent {
        /// Method and path.
        request: String,
        /// What does not fit.
        #[source]
        source: InconsistentList,
    },
    /// The gateway failed (HTTP 5xx, or `statusCode` 3): it may have happened.
    #[error("{request}: the gateway failed with HTTP {http_status}{}", said(.status))]
    Failed {
        /// Method and path.
        request: String,
        /// HTTP status.
        http_status: u16,
        /// The gateway's words, if it had any.
        status: Option<Box<ResponseStatus>>,
    },
    /// The gateway does not know the device: it was deleted since the list was read.
    #[error("{request}: the gateway does not know the device")]
    NoSuchDevice {
        /// Method and path.
        request: String,
    },
    /// Nonces went stale faster than they could be answered; nothing happened and no password was refused.
    #[error("{request}: challenged again and again with fresh nonces")]
    ChallengedAgain {
        /// Method and path.
        request: String,
    },
    /// The gateway or the device behind it is busy: nothing happened, try later.
    #[error("{request}: busy, HTTP {http_status}{}", said(.status))]
    Busy {
        /// Method and path.
        request: String,
        /// HTTP status.
        http_status: u16,
        /// The gateway's words, if it had any.
        status: Option<Box<ResponseStatus>>,
    },
    /// The password was rejected. Later calls fail with this at once, without asking the gateway, until
    /// [`Client::set_credentials`](crate::Client::set_credentials).
    #[error("the gateway rejects the password of user `{username}`{}", tries(.tries_left))]
    CredentialsRejected {
        /// Whose password.
        username: String,
        /// `retryTimes`: how many more wrong passwords until the account locks, when the gateway says so.
        tries_left: Option<u32>,
    },
    /// The account is locked. After a password of ours was refused, later calls fail with this at once until the lock is
    /// over; then one of them tries.
    #[error("the gateway has locked user `{username}`{}", locked(.locked_for))]
    Locked {
        /// Whose account.
        username: String,
        /// For how long from now on, by `resLockTime`; `None` when the gateway does not say, which counts as half an
        /// hour.
        locked_for: Option<SignedDuration>,
    },
    /// The gateway offers no Digest challenge this client can answer; nothing secret was sent.
    #[error("{request}: no Digest challenge that can be answered among {offered:?}")]
    NoUsableChallenge {
        /// Method and path.
        request: String,
        /// The schemes offered, with what is wrong with them.
        offered: Vec<String>,
    },
    /// The gateway's certificate is not the pinned one, or no trusted authority vouches for it.
    #[error("{request}: the gateway's certificate is not trusted: {problem}")]
    Certificate {
        /// Method and path.
        request: String,
        /// Why not.
        problem: String,
    },
    /// The gateway understood and said no: wrong content, missing right, not supported, moved.
    #[error("{request}: refused with HTTP {http_status}{}", said(.status))]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        http_status: u16,
        /// The gateway's words, if it had any.
        status: Option<Box<ResponseStatus>>,
    },
    /// The call makes no sense for this channel, and was not sent.
    #[error("channel id `{channel}` has no track number, so its recordings cannot be searched")]
    NoTrack {
        /// The channel's id.
        channel: String,
    },
}

/// `subStatusCode` of a playback for which the device has no file (vendor's developer guide V1.8.0).
const NO_RECORDING: &str = "taskNoRecFile";

/// An account that is locked for an unknown time is left alone this long.
pub(crate) const LOCKED_FOR: SignedDuration = SignedDuration::from_mins(30);

impl IsapiError {
    /// What everybody should know of it, if it says that our user and password were refused to the program `by`, which
    /// may know its password's `version`.
    pub fn rejection(&self, by: &str, version: Option<u64>, now: Timestamp) -> Option<Rejection> {
        let locked_until = match self {
            Self::CredentialsRejected { .. } => None,
            Self::Locked { locked_for, .. } => {
                let end = now.saturating_add(locked_for.unwrap_or(LOCKED_FOR));
                Some(end.unwrap_or(Timestamp::MAX))
            }
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Inconsistent { .. }
            | Self::Failed { .. }
            | Self::NoSuchDevice { .. }
            | Self::ChallengedAgain { .. }
            | Self::Busy { .. }
            | Self::NoUsableChallenge { .. }
            | Self::Certificate { .. }
            | Self::Refused { .. }
            | Self::NoTrack { .. } => return None,
        };
        Some(Rejection {
            version,
            since: now,
            by: by.to_owned(),
            locked_until,
        })
    }

    /// Whether the device was reached and says that it recorded nothing there: an answer, and not a failure.
    pub fn says_no_recording(&self) -> bool {
        let status = match self {
            Self::Failed { status, .. } | Self::Busy { status, .. } | Self::Refused { status, .. } => status,
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Inconsistent { .. }
            | Self::NoSuchDevice { .. }
            | Self::ChallengedAgain { .. }
            | Self::CredentialsRejected { .. }
            | Self::Locked { .. }
            | Self::NoUsableChallenge { .. }
            | Self::Certificate { .. }
            | Self::NoTrack { .. } => return false,
        };
        status
            .as_ref()
            .is_some_and(|status| status.sub_status_code.eq_ignore_ascii_case(NO_RECORDING))
    }

    /// The same failure as the domain's ports name it; `doing` says what was being done, and to what.
    pub fn into_port(self, doing: impl Into<String>) -> PortError {
        match self {
            Self::Busy { .. } | Self::ChallengedAgain { .. } => PortError::throttled(doing, self),
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::Inconsistent { .. }
            | Self::Failed { .. }
            | Self::NoSuchDevice { .. } => PortError::unknown(doing, self),
            Self::CredentialsRejected { .. }
            | Self::Locked { .. }
            | Self::NoUsableChallenge { .. }
            | Self::Certificate { .. }
            | Self::Refused { .. }
            | Self::NoTrack { .. } => PortError::refused(doing, self),
        }
    }
}

/// `ResponseStatus`: the gateway's verdict on a write, or its reason for refusing a read.
///
/// Texts are cut at 200 characters. All fields are optional because builds leave them out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseStatus {
    /// `statusCode`: 1 OK (0 on some devices), 2 busy, 3 device error, 4 invalid operation, 5 bad format,
    /// 6 bad content, 7 reboot required.
    pub status_code: Option<u64>,
    /// `statusString`: the code in words.
    pub status_string: String,
    /// `subStatusCode`: the precise reason, such as `lowPrivilege`.
    pub sub_status_code: String,
    /// `errorCode`: a number for support.
    pub error_code: Option<u64>,
    /// `errorMsg`: the reason in words.
    pub error_msg: String,
    /// `lockStatus` is `lock`.
    pub locked: bool,
    /// `retryTimes`: tries left until the account locks.
    pub tries_left: Option<u32>,
    /// `resLockTime`, given in seconds: more than none, and at most a day.
    pub locked_for: Option<SignedDuration>,
}

impl ResponseStatus {
    /// Whether the code says that it worked, be it only after a reboot.
    pub fn is_ok(&self) -> bool {
        matches!(self.status_code, Some(0 | 1 | 7))
    }

    /// The same without words the gateway chose freely: they may repeat what was sent to it.
    pub(crate) fn codes_only(self) -> Self {
        Self {
            status_string: String::new(),
            error_msg: String::new(),
            ..self
        }
    }
}

impl fmt::Display for ResponseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status_code {
            Some(code) => write!(f, "statusCode {code}")?,
            None => write!(f, "no statusCode")?,
        }
        for text in [&self.status_string, &self.sub_status_code, &self.error_msg] {
            if !text.is_empty() {
                write!(f, ", {}", text.escape_debug())?;
            }
        }
        Ok(())
    }
}

fn said(status: &Option<Box<ResponseStatus>>) -> String {
    status
        .as_ref()
        .map(|status| format!(" ({status})"))
        .unwrap_or_default()
}

fn tries(left: &Option<u32>) -> String {
    left.map(|left| format!(", {left} tries left"))
        .unwrap_or_default()
}

fn locked(locked_for: &Option<SignedDuration>) -> String {
    locked_for
        .map(|time| format!(" for {time:#}"))
        .unwrap_or_default()
}
