//! One Digest challenge (RFC 7616, and RFC 2069 where a gateway leaves `qop` out) and our answers to it.

use http_auth::digest::{Algorithm, Qop};
use http_auth::{ChallengeParser, ChallengeRef, DigestClient, PasswordParams};
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret, SecretString};

/// Schemes named in an error when none fits.
const OFFERED_MAX: usize = 8;

/// A challenge the gateway made. Counts how often its nonce was used.
pub(crate) struct Challenge {
    digest: DigestClient,
    /// The client nonce of a `-sess` algorithm. A gateway may compute the session key once from the first one
    /// it sees (RFC 7616 §3.4.2) or anew from each request's; with a single one per challenge both agree, and
    /// `nc` still makes every answer different.
    session_cnonce: Option<String>,
}

/// What is answered.
pub(crate) struct Question<'a> {
    pub(crate) method: &'a str,
    /// Path and query exactly as sent.
    pub(crate) uri: &'a str,
    pub(crate) body: &'a [u8],
}

impl Challenge {
    /// The first Digest challenge that can be answered. `Basic` and other schemes are passed over: answering
    /// them would show the password to whoever asks.
    ///
    /// # Errors
    /// The schemes offered, with what is wrong with them.
    pub(crate) fn choose(headers: &HeaderMap) -> Result<Self, Vec<String>> {
        let mut offered = Vec::new();
        for value in headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
        {
            for challenge in ChallengeParser::new(value) {
                match challenge
                    .map_err(|error| error.to_string())
                    .and_then(|c| Self::of(&c))
                {
                    Ok(challenge) => return Ok(challenge),
                    Err(problem) => offered.push(problem),
                }
            }
        }
        offered.truncate(OFFERED_MAX);
        Err(offered)
    }

    fn of(challenge: &ChallengeRef<'_>) -> Result<Self, String> {
        if !challenge.scheme.eq_ignore_ascii_case("Digest") {
            return Err(challenge.scheme.to_owned());
        }
        let digest = DigestClient::try_from(challenge).map_err(|problem| format!("Digest: {problem}"))?;
        if digest.session() && digest.rfc2069_compat() {
            return Err("Digest: a session algorithm without qop".to_owned());
        }
        let session_cnonce = digest
            .session()
            .then(|| format!("{:032x}", rand::random::<u128>()));
        Ok(Self {
            digest,
            session_cnonce,
        })
    }

    /// Whether the gateway says that only the nonce was too old, not that the password was wrong.
    pub(crate) fn stale(&self) -> bool {
        self.digest.stale()
    }

    pub(crate) fn nonce(&self) -> &str {
        self.digest.nonce()
    }

    /// The `Authorization` header for one request. `None` when this challenge can answer no more: its counter
    /// is exhausted, or it holds what no header can carry.
    pub(crate) fn answer(
        &mut self,
        username: &str,
        password: &SecretString,
        question: &Question<'_>,
    ) -> Option<HeaderValue> {
        // `auth-int` is the less travelled road, so it is taken only when nothing else is offered.
        let plain_auth = self.digest.qop() & Qop::Auth;
        let params = PasswordParams {
            username,
            password: password.expose_secret(),
            uri: question.uri,
            method: question.method,
            body: (!plain_auth).then_some(question.body),
        };
        let answer = match &self.session_cnonce {
            Some(cnonce) => self.digest.respond_with_testing_cnonce(&params, cnonce),
            None => self.digest.respond(&params),
        };
        let mut header = HeaderValue::try_from(self.named(answer.ok()?)).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// The answer with its algorithm. `http-auth` names none when `qop` is absent, which RFC 2069 reads as MD5;
    /// to a gateway that asked for another one the right password would look wrong.
    fn named(&self, answer: String) -> String {
        let name = match self.digest.algorithm() {
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512Trunc256 => "SHA-512-256",
            _ => return answer,
        };
        match self.digest.rfc2069_compat() {
            true => format!("{answer}, algorithm={name}"),
            false => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = r#"Digest realm="DS-GWAS0101(6419)", qop="auth", nonce="abc", opaque="xyz""#;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn answer(challenge: &mut Challenge) -> String {
        let question = Question {
            method: "GET",
            uri: "/x?format=json",
            body: b"",
        };
        let header = challenge
            .answer("admin", &SecretString::from("pw"), &question)
            .unwrap();
        header.to_str().unwrap().to_owned()
    }

    #[test]
    fn basic_is_passed_over_wherever_it_stands() {
        let together = format!(r#"Basic realm="gateway", {DIGEST}"#);
        for values in [
            &[r#"Basic realm="gateway""#, DIGEST][..],
            &[DIGEST, "Basic realm=x"],
            &[&together],
        ] {
            let mut challenge = Challenge::choose(&headers(values)).ok().unwrap();
            assert!(answer(&mut challenge).starts_with("Digest "));
        }
    }

    #[test]
    fn basic_alone_is_not_answered() {
        let offered = Challenge::choose(&headers(&[r#"Basic realm="gateway""#]))
            .err()
            .unwrap();
        assert_eq!(offered, ["Basic"]);
    }

    #[test]
    fn an_algorithm_nobody_knows_is_passed_over_for_one_that_is_known() {
        let unknown = DIGEST.replace("qop=", "algorithm=SHA-1024, qop=");
        assert!(Challenge::choose(&headers(&[&unknown])).is_err());
        assert!(Challenge::choose(&headers(&[&unknown, DIGEST])).is_ok());
    }

    #[test]
    fn a_session_without_qop_is_not_answered_because_its_key_could_not_be_agreed_on() {
        let value = r#"Digest realm="r", nonce="n", algorithm=MD5-sess"#;
        assert!(Challenge::choose(&headers(&[value])).is_err());
    }

    #[test]
    fn an_algorithm_other_than_md5_is_named_with_and_without_qop() {
        for value in [
            r#"Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth""#,
            r#"Digest realm="r", nonce="n", algorithm=SHA-256"#,
        ] {
            let mut challenge = Challenge::choose(&headers(&[value])).ok().unwrap();
            assert_eq!(
                answer(&mut challenge).matches("algorithm=SHA-256").count(),
                1,
                "{value}"
            );
        }
    }

    #[test]
    fn every_answer_counts_the_nonce_up() {
        let mut challenge = Challenge::choose(&headers(&[DIGEST])).ok().unwrap();
        assert!(answer(&mut challenge).contains("nc=00000001"));
        assert!(answer(&mut challenge).contains("nc=00000002"));
    }

    #[test]
    fn a_session_keeps_its_client_nonce_and_others_do_not() {
        let cnonce = |text: &str| {
            text.split("cnonce=")
                .nth(1)
                .unwrap()
                .split(',')
                .next()
                .unwrap()
                .to_owned()
        };
        let session = DIGEST.replace("qop=", "algorithm=MD5-sess, qop=");
        for (value, kept) in [(session.as_str(), true), (DIGEST, false)] {
            let mut challenge = Challenge::choose(&headers(&[value])).ok().unwrap();
            let (first, second) = (answer(&mut challenge), answer(&mut challenge));
            assert_eq!(cnonce(&first) == cnonce(&second), kept);
            assert_ne!(first, second);
        }
    }

    #[test]
    fn an_answer_never_shows_in_debug() {
        let mut challenge = Challenge::choose(&headers(&[DIGEST])).ok().unwrap();
        let question = Question {
            method: "GET",
            uri: "/",
            body: b"",
        };
        let header = challenge
            .answer("admin", &SecretString::from("pw"), &question)
            .unwrap();
        assert_eq!(format!("{header:?}"), "Sensitive");
    }
}
