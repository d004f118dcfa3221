//! Digest authentication (RFC 2617) of one connection: MD5, with `qop=auth` or, as older clients do, without.

use super::catalog::Login;
use crate::digest::{Credentials, REALM, challenge};
use crate::scenario::DigestAlgorithm;
use rtsp_types::{Request, headers};
use secrecy::ExposeSecret;
use url::Url;

/// The nonce a connection's client must use.
#[derive(Debug)]
pub(super) struct Guard {
    nonce: String,
}

impl Guard {
    /// A guard with a nonce of its own.
    pub(super) fn new() -> Self {
        Self {
            nonce: hex::encode(rand::random::<[u8; 16]>()),
        }
    }

    /// The challenge; it says `stale` to a request that was signed with another connection's nonce.
    pub(super) fn challenge(&self, request: &Request<Vec<u8>>) -> String {
        let stale = presented(request).is_some_and(|presented| presented.nonce != self.nonce);
        challenge(DigestAlgorithm::Md5, true, None, &self.nonce, stale)
    }

    /// Whether the request is signed with the right password.
    pub(super) fn admits(&self, request: &Request<Vec<u8>>, login: &Login) -> bool {
        let Some(presented) = presented(request) else {
            return false;
        };
        let method: &str = request.method().into();
        let expected = presented.expected(DigestAlgorithm::Md5, method, login.password.expose_secret());
        let signed = Url::parse(&presented.uri).ok();
        presented.username == login.user
            && presented.realm == REALM
            && presented.nonce == self.nonce
            && presented.algorithm.as_deref().unwrap_or("MD5") == "MD5"
            && signed.as_ref() == request.request_uri()
            && presented.response == expected
    }
}

fn presented(request: &Request<Vec<u8>>) -> Option<Credentials> {
    let header = request.header(&headers::AUTHORIZATION)?;
    Credentials::parse(header.as_str()).ok()
}
