//! How many requests reached the gateway, so that a test can count round trips.

use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that reached the API since the start. Refused and challenged requests count too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestCounts {
    /// Requests by method and path, such as `GET /ISAPI/System/time`; unknown ones as `unknown`.
    pub calls: BTreeMap<String, u64>,
    /// Requests without credentials, answered 401 with a challenge.
    pub challenged: u64,
    /// Right credentials for a nonce that was no longer good, answered 401 with `stale=true`.
    pub stale: u64,
    /// Right credentials whose nonce count had been used before, answered 401.
    pub replayed: u64,
    /// Wrong credentials, answered 401.
    pub rejected: u64,
    /// Credentials that were not looked at because the account was locked, answered 401.
    pub locked: u64,
    /// Passwords sent in the clear, as Basic, answered 401. A client must never do that.
    pub basic: u64,
    /// Digests that break the rules, answered 400.
    pub malformed: u64,
    /// Requests that logged in.
    pub granted: u64,
}

impl RequestCounts {
    /// All requests.
    pub fn total(&self) -> u64 {
        self.calls.values().sum()
    }

    /// Requests of one call, such as `GET /ISAPI/System/time`.
    pub fn of(&self, call: &str) -> u64 {
        self.calls.get(call).copied().unwrap_or(0)
    }
}
