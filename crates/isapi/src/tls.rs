//! HTTPS, never blindly: the gateway's self-signed certificate is pinned, or an authority vouches for it.

use crate::config::ConfigError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What makes an `https` gateway trustworthy.
#[derive(Debug, Clone)]
pub enum Tls {
    /// The machine's certificate store vouches for the gateway's name.
    WebPki,
    /// The gateway's own certificate is exactly this one; its names and dates do not matter.
    PinnedFingerprint(Fingerprint),
    /// One of these PEM certificates is an authority that vouches for the gateway's name.
    Ca(String),
}

impl Tls {
    /// The TLS side of an `https` client that trusts as this says; for programs that talk to others, such as an
    /// alert's webhook, with the same care.
    ///
    /// # Errors
    /// No certificate store, or an authority that is not PEM.
    pub fn client_config(&self) -> Result<ClientConfig, ConfigError> {
        client_config(self, true)
    }
}

/// SHA-256 of a certificate in DER form, as `openssl x509 -fingerprint -sha256` prints it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER form.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The text a fingerprint argument failed on.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a SHA-256 fingerprint of 64 hexadecimal digits")]
pub struct NotAFingerprint(String);

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    /// Reads 64 hexadecimal digits of either case, with or without colons between bytes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.replace(':', "");
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotAFingerprint(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

/// The TLS side of a client; on plain `http` one that trusts nobody.
pub(crate) fn client_config(tls: &Tls, https: bool) -> Result<ClientConfig, ConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    if !https {
        return Ok(builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth());
    }
    let verifier: Arc<dyn ServerCertVerifier> = match tls {
        Tls::WebPki => Arc::new(rustls_platform_verifier::Verifier::new(provider)?),
        Tls::PinnedFingerprint(pin) => Arc::new(Pinned { pin: *pin, provider }),
        Tls::Ca(pem) => WebPkiServerVerifier::builder_with_provider(Arc::new(roots(pem)?), provider)
            .build()
            .map_err(|error| ConfigError::BadCa(error.to_string()))?,
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn roots(pem: &str) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| ConfigError::BadCa(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| ConfigError::BadCa(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(ConfigError::BadCa("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// Accepts one certificate only. The peer still has to prove that it holds the key.
#[derive(Debug)]
struct Pinned {
    pin: Fingerprint,
    provider: Arc<CryptoProvider>,
}

/// The certificate shown is not the pinned one.
#[derive(Debug, thiserror::Error)]
#[error("its fingerprint is {shown}, pinned is {pinned}")]
struct PinMismatch {
    shown: Fingerprint,
    pinned: Fingerprint,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        if shown == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let mismatch = PinMismatch {
            shown,
            pinned: self.pin,
        };
        Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What a failed connection says of the peer's certificate, if that is why it failed.
pub(crate) fn certificate_problem(error: &reqwest::Error) -> Option<String> {
    let mut cause = cause_of(error);
    // Error chains here are a handful deep; the bound only keeps a cyclic one from hanging us.
    for _ in 0..16 {
        let current = cause?;
        if let Some(Error::InvalidCertificate(problem)) = current.downcast_ref::<Error>() {
            return Some(problem_text(problem));
        }
        cause = cause_of(current);
    }
    None
}

/// The error an error is about. `io::Error::source` skips the one it wraps, so that one has to be asked for.
fn cause_of<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => error
            .get_ref()
            .map(|inner| inner as &(dyn std::error::Error + 'static)),
        None => error.source(),
    }
}

fn problem_text(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Other(OtherError(inner)) => inner.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons_in_either_case() {
        let plain: Fingerprint = HEX.parse().unwrap();
        let pairs: Vec<String> = HEX
            .to_uppercase()
            .as_bytes()
            .chunks(2)
            .map(|p| String::from_utf8_lossy(p).into_owned())
            .collect();
        assert_eq!(pairs.join(":").parse::<Fingerprint>().unwrap(), plain);
        assert_eq!(plain.to_string(), HEX);
    }

    #[test]
    fn anything_but_64_digits_is_no_fingerprint() {
        for text in [
            "",
            "0",
            &HEX[1..],
            &format!("{HEX}0"),
            &format!("{HEX}00"),
            &HEX.replace('0', "g"),
            "é",
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        for pem in [
            "",
            "not pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(client_config(&Tls::Ca(pem.to_owned()), true).is_err(), "{pem}");
        }
    }
}
