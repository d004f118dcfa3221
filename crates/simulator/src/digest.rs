//! The server's half of HTTP Digest (RFC 2617, RFC 7616): the challenge, the parsed answer, the expected digest.

use crate::scenario::DigestAlgorithm;
use md5::Md5;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The realm of the gateways seen: model and a number.
pub(crate) const REALM: &str = "DS-GWAS0101(6419)";

/// The credentials of an `Authorization: Digest` header, unquoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) realm: String,
    pub(crate) nonce: String,
    pub(crate) uri: String,
    pub(crate) response: String,
    pub(crate) algorithm: Option<String>,
    pub(crate) opaque: Option<String>,
    pub(crate) session: Option<Session>,
}

/// What `qop=auth` adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The text of `nc`, eight hexadecimal digits.
    pub(crate) count_text: String,
    /// `nc` as a number.
    pub(crate) count: u32,
    /// `cnonce`.
    pub(crate) client_nonce: String,
}

impl DigestAlgorithm {
    /// Its name on the wire; none for the default, which the gateways seen leave out.
    pub(crate) fn token(self) -> Option<&'static str> {
        match self {
            Self::Md5 => None,
            Self::Md5Sess => Some("MD5-sess"),
            Self::Sha256 => Some("SHA-256"),
        }
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hex::encode(Md5::digest(text)),
            Self::Sha256 => hex::encode(Sha256::digest(text)),
        }
    }
}

/// The `WWW-Authenticate` value of a Digest challenge.
pub(crate) fn challenge(
    algorithm: DigestAlgorithm,
    qop: bool,
    opaque: Option<&str>,
    nonce: &str,
    stale: bool,
) -> String {
    let mut text = format!("Digest realm=\"{REALM}\"");
    if qop {
        text.push_str(", qop=\"auth\"");
    }
    if let Some(token) = algorithm.token() {
        text.push_str(&format!(", algorithm={token}"));
    }
    text.push_str(&format!(", nonce=\"{nonce}\""));
    if let Some(opaque) = opaque {
        text.push_str(&format!(", opaque=\"{opaque}\""));
    }
    if stale {
        text.push_str(", stale=\"true\"");
    }
    text
}

impl Credentials {
    /// Reads the value of an `Authorization` header.
    ///
    /// # Errors
    /// What is missing or malformed.
    pub(crate) fn parse(header: &str) -> Result<Self, &'static str> {
        let Some((scheme, rest)) = header.split_once(' ') else {
            return Err("an Authorization without parameters");
        };
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err("another scheme than Digest");
        }
        let mut fields = parameters(rest)?;
        let mut need = |name: &str, missing| fields.remove(name).ok_or(missing);
        Ok(Self {
            username: need("username", "a digest without username")?,
            realm: need("realm", "a digest without realm")?,
            nonce: need("nonce", "a digest without nonce")?,
            uri: need("uri", "a digest without uri")?,
            response: need("response", "a digest without response")?,
            algorithm: fields.remove("algorithm"),
            opaque: fields.remove("opaque"),
            session: session(&mut fields)?,
        })
    }

    /// The response this request would have with the right password.
    pub(crate) fn expected(&self, algorithm: DigestAlgorithm, method: &str, password: &str) -> String {
        let hash = |text: &str| algorithm.hash(text);
        let account = hash(&format!("{}:{}:{password}", self.username, self.realm));
        let request = hash(&format!("{method}:{}", self.uri));
        let Some(session) = &self.session else {
            return hash(&format!("{account}:{}:{request}", self.nonce));
        };
        let key = match algorithm {
            DigestAlgorithm::Md5 | DigestAlgorithm::Sha256 => account,
            DigestAlgorithm::Md5Sess => hash(&format!("{account}:{}:{}", self.nonce, session.client_nonce)),
        };
        hash(&format!(
            "{key}:{}:{}:{}:auth:{request}",
            self.nonce, session.count_text, session.client_nonce
        ))
    }
}

fn session(fields: &mut BTreeMap<String, String>) -> Result<Option<Session>, &'static str> {
    let Some(qop) = fields.remove("qop") else {
        return Ok(None);
    };
    if qop != "auth" {
        return Err("another qop than auth");
    }
    let count_text = fields.remove("nc").ok_or("a qop without nc")?;
    if count_text.len() != 8 {
        return Err("an nc that is not eight digits");
    }
    let count = u32::from_str_radix(&count_text, 16).map_err(|_not_hex| "an nc that is not eight digits")?;
    let client_nonce = fields.remove("cnonce").ok_or("a qop without cnonce")?;
    Ok(Some(Session {
        count_text,
        count,
        client_nonce,
    }))
}

/// Reads `name=value, name="quoted \" value"` (RFC 9110 section 11.2). Names are folded to lower case.
fn parameters(text: &str) -> Result<BTreeMap<String, String>, &'static str> {
    let mut fields = BTreeMap::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or("a parameter without value")?;
        let (value, after) = value(after)?;
        if fields.insert(name.trim().to_ascii_lowercase(), value).is_some() {
            return Err("a parameter given twice");
        }
        rest = after.trim_start_matches([' ', ',', '\t']);
    }
    Ok(fields)
}

fn value(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, character) in quoted.char_indices() {
        match character {
            _ if escaped => {
                value.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Ok((value, &quoted[at + 1..])),
            other => value.push(other),
        }
    }
    Err("a quoted value without end")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 2617 section 3.5.
    const MUFASA: &str = "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
        nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, nc=00000001, \
        cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", \
        opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";

    #[test]
    fn the_example_of_rfc_2617_is_computed_as_printed() {
        let credentials = Credentials::parse(MUFASA).unwrap();
        let expected = credentials.expected(DigestAlgorithm::Md5, "GET", "Circle Of Life");
        assert_eq!(expected, credentials.response);
    }

    /// The example of RFC 7616 section 3.9.1.
    #[test]
    fn the_sha_256_example_of_rfc_7616_is_computed_as_printed() {
        let header = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
            algorithm=SHA-256, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
            cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
            response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\"";
        let credentials = Credentials::parse(header).unwrap();
        let expected = credentials.expected(DigestAlgorithm::Sha256, "GET", "Circle of Life");
        assert_eq!(expected, credentials.response);
    }

    #[test]
    fn quotes_and_commas_inside_a_value_do_not_end_it() {
        let fields = parameters("username=\"a\\\"b, c\", nc=00000001").unwrap();
        assert_eq!(fields["username"], "a\"b, c");
        assert_eq!(fields["nc"], "00000001");
    }

    #[test]
    fn what_is_not_a_digest_is_refused_with_a_reason() {
        for header in [
            "Digest",
            "Basic YWRtaW46eA==",
            "Digest username=\"x",
            "Digest nc",
            "Digest a=1, a=2",
        ] {
            assert!(Credentials::parse(header).is_err(), "{header}");
        }
        assert!(Credentials::parse(&MUFASA.replace("nc=00000001", "nc=zz")).is_err());
        assert!(Credentials::parse(&MUFASA.replace("qop=auth,", "qop=auth-int,")).is_err());
    }
}
