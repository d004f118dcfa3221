//! The gateway's one account: nonces and their counts, wrong passwords and the lock they lead to.

use crate::digest::{self, Credentials};
use crate::scenario::{DigestAlgorithm, GatewaySpec, Lockout, Password};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Nonces kept; the oldest is forgotten, and so stale, beyond it.
const NONCES_MAX: usize = 4096;
/// Uses of one nonce that are remembered; it is stale beyond it whatever the scenario says.
const USES_MAX: u32 = 100_000;

/// The account and everything its log-in remembers.
#[derive(Debug)]
pub(crate) struct Account {
    username: String,
    password: Password,
    algorithm: DigestAlgorithm,
    qop: bool,
    opaque: Option<String>,
    basic_first: bool,
    uses_max: u32,
    lockout: Lockout,
    wrong_tries: u32,
    locked_until: Option<Timestamp>,
    nonces: BTreeMap<String, Uses>,
    oldest: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Uses {
    count: u32,
    seen: BTreeSet<u32>,
}

/// What became of a request's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are right.
    Granted,
    /// The client must compute its digest anew, for a reason that is not a wrong password.
    Challenged(Cause),
    /// The password or the user name is wrong.
    Rejected {
        /// Tries left until the account locks; 0 = it has just locked.
        tries_left: u32,
        /// Seconds the account is locked for, now.
        locked_seconds: i64,
    },
    /// The account is locked; the password was not looked at.
    Locked {
        /// Seconds left.
        seconds: i64,
    },
    /// The header breaks the rules of RFC 7616.
    Malformed(&'static str),
}

/// Why a challenge is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No credentials came.
    NoCredentials,
    /// Right, for a nonce that is used up or forgotten.
    Stale,
    /// Right, but the nonce count has been used before: someone replays a request.
    Replayed,
    /// A password was sent in the clear, as Basic.
    Basic,
}

impl Account {
    pub(crate) fn new(spec: &GatewaySpec) -> Self {
        Self {
            username: spec.username.clone(),
            password: spec.password.clone(),
            algorithm: spec.digest,
            qop: spec.qop,
            opaque: spec.opaque.then(random_token),
            basic_first: spec.basic_first,
            uses_max: spec.nonce_lifetime_requests.unwrap_or(USES_MAX).min(USES_MAX),
            lockout: spec.lockout,
            wrong_tries: 0,
            locked_until: None,
            nonces: BTreeMap::new(),
            oldest: VecDeque::new(),
        }
    }

    /// The user's name and password as they are now.
    pub(crate) fn login(&self) -> (&str, &str) {
        (&self.username, self.password.as_str())
    }

    /// Another password from now on; every client must log in anew.
    pub(crate) fn set_password(&mut self, password: &str) {
        self.password = Password::from(password);
        self.forget_nonces();
    }

    /// Locks the account.
    pub(crate) fn lock(&mut self, now: Timestamp, seconds: u32) {
        self.locked_until = Some(later(now, seconds));
        self.wrong_tries = 0;
    }

    /// Ends a lock and forgives wrong tries.
    pub(crate) fn unlock(&mut self) {
        self.locked_until = None;
        self.wrong_tries = 0;
    }

    /// Makes every nonce stale.
    pub(crate) fn forget_nonces(&mut self) {
        self.nonces.clear();
        self.oldest.clear();
    }

    /// Seconds until the lock ends, rounded up; none = not locked.
    pub(crate) fn locked_seconds(&self, now: Timestamp) -> Option<i64> {
        let left = self.locked_until?.duration_since(now);
        left.is_positive()
            .then(|| left.as_secs() + i64::from(left.subsec_nanos() > 0))
    }

    /// The `WWW-Authenticate` values of a new challenge, with a fresh nonce.
    pub(crate) fn challenges(&mut self, stale: bool) -> Vec<String> {
        let nonce = random_token();
        if self.oldest.len() >= NONCES_MAX
            && let Some(forgotten) = self.oldest.pop_front()
        {
            self.nonces.remove(&forgotten);
        }
        self.oldest.push_back(nonce.clone());
        self.nonces.insert(nonce.clone(), Uses::default());
        let opaque = self.opaque.as_deref();
        let digest = digest::challenge(self.algorithm, self.qop, opaque, &nonce, stale);
        if !self.basic_first {
            return vec![digest];
        }
        vec![format!("Basic realm=\"{}\"", digest::REALM), digest]
    }

    /// Judges the `Authorization` of a request to `uri` (path and query).
    pub(crate) fn check(&mut self, header: Option<&str>, method: &str, uri: &str, now: Timestamp) -> Verdict {
        let Some(header) = header else {
            return Verdict::Challenged(Cause::NoCredentials);
        };
        if header.to_ascii_lowercase().starts_with("basic ") {
            return Verdict::Challenged(Cause::Basic);
        }
        let credentials = match Credentials::parse(header) {
            Ok(credentials) => credentials,
            Err(reason) => return Verdict::Malformed(reason),
        };
        if let Err(reason) = self.check_form(&credentials, uri) {
            return Verdict::Malformed(reason);
        }
        if let Some(seconds) = self.locked_seconds(now) {
            return Verdict::Locked { seconds };
        }
        let expected = credentials.expected(self.algorithm, method, self.password.as_str());
        if credentials.username != self.username || credentials.response != expected {
            return self.reject(now);
        }
        self.unlock();
        self.count(&credentials)
    }

    fn check_form(&self, credentials: &Credentials, uri: &str) -> Result<(), &'static str> {
        if credentials.realm != digest::REALM {
            return Err("another realm");
        }
        if credentials.uri != uri {
            return Err("the digest is for another uri");
        }
        if credentials.opaque != self.opaque {
            return Err("the opaque did not come back as it was sent");
        }
        if credentials.session.is_some() != self.qop {
            return Err("qop is not as offered");
        }
        let named = credentials.algorithm.as_deref().unwrap_or("MD5");
        if named != self.algorithm.token().unwrap_or("MD5") {
            return Err("another algorithm than offered");
        }
        Ok(())
    }

    fn reject(&mut self, now: Timestamp) -> Verdict {
        self.wrong_tries += 1;
        let tries_left = self.lockout.tries.saturating_sub(self.wrong_tries);
        if tries_left == 0 {
            self.lock(now, self.lockout.seconds);
        }
        Verdict::Rejected {
            tries_left,
            locked_seconds: self.locked_seconds(now).unwrap_or(0),
        }
    }

    /// Counts a use of the nonce. Counts may arrive in any order (calls run side by side) but only once.
    fn count(&mut self, credentials: &Credentials) -> Verdict {
        let uses_max = self.uses_max;
        let Some(uses) = self.nonces.get_mut(&credentials.nonce) else {
            return Verdict::Challenged(Cause::Stale);
        };
        if uses.count >= uses_max {
            return Verdict::Challenged(Cause::Stale);
        }
        if let Some(session) = &credentials.session
            && !uses.seen.insert(session.count)
        {
            return Verdict::Challenged(Cause::Replayed);
        }
        uses.count += 1;
        Verdict::Granted
    }
}

fn later(now: Timestamp, seconds: u32) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(i64::from(seconds)))
        .expect("a signed duration has no calendar units")
}

fn random_token() -> String {
    format!("{:032x}", rand::random::<u128>())
}
