//! What setup remembers between runs: tries of passwords, and restarts that are owed.

use super::SetupPolicy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is remembered, by endpoint: a candidate is set up while the gateway in office may owe a restart. Of a gateway
/// that is in order nothing is.
pub(super) type Memories = BTreeMap<String, Tries>;

/// Gateways remembered at a time; beyond it the one that was tried longest ago is forgotten.
pub(super) const GATEWAYS_MAX: usize = 8;

/// What is remembered of one gateway. Another password begins anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Tries {
    pub(super) password_version: u64,
    pub(super) initial_password_version: Option<u64>,
    /// Tries since a password was last right, counted before they are made.
    pub(super) tries: u32,
    /// The last of them.
    pub(super) tried_at: Option<Timestamp>,
    /// One of them was refused; without that, crashes may have used them up, and time heals.
    pub(super) refused: bool,
    /// The wanted password was refused, and the initial one may be tried: it was not refused too, or has changed since.
    pub(super) wanted_refused: bool,
    pub(super) locked_until: Option<Timestamp>,
    pub(super) restart: Option<Restart>,
}

/// A restart that is owed to the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Restart {
    pub(super) asked: u32,
    /// When the gateway should be back.
    pub(super) until: Option<Timestamp>,
    /// The gateway said that it restarts.
    pub(super) promised: bool,
}

impl Tries {
    /// What still counts under this policy.
    pub(super) fn under(mut self, policy: &SetupPolicy) -> Self {
        if policy.try_again || self.password_version != policy.password_version {
            self.tries = 0;
            self.refused = false;
            self.wanted_refused = false;
            self.locked_until = None;
            // Somebody has looked: a restart that could not be had is asked for again.
            self.restart = self.restart.map(|restart| Restart { asked: 0, ..restart });
        } else if self.owes_initial(policy) {
            // The wanted one has not changed, and is not tried again.
            self.tries = 0;
            self.refused = false;
        }
        if policy.try_again {
            self.restart = None;
        }
        self.password_version = policy.password_version;
        self.initial_password_version = policy.initial_password_version;
        self
    }

    /// Whether the gateway refused the passwords, and of these two the initial one is another now.
    pub(super) fn owes_initial(&self, policy: &SetupPolicy) -> bool {
        let changed = policy.initial_password_version.is_some()
            && policy.initial_password_version != self.initial_password_version;
        changed && self.wanted_refused && self.password_version == policy.password_version
    }

    /// Whether there is nothing worth remembering.
    pub(super) fn is_blank(&self) -> bool {
        self.tries == 0 && self.locked_until.is_none() && self.restart.is_none()
    }
}
