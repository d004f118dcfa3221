//! The self-signed certificate of an HTTPS gateway.

use anyhow::Context;
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A certificate as a client may want to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, PEM.
    pub pem: String,
    /// SHA-256 of its DER, lower-case hexadecimal without separators.
    pub fingerprint: String,
}

/// Makes a certificate for `localhost` and 127.0.0.1, and the configuration that serves it.
///
/// # Errors
/// No key can be made, or TLS does not take what was made.
pub fn self_signed() -> anyhow::Result<(Certificate, RustlsConfig)> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
    let der = made.cert.der().clone();
    let certificate = Certificate {
        pem: made.cert.pem(),
        fingerprint: hex::encode(Sha256::digest(&der)),
    };
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choosing TLS versions")?
        .with_no_client_auth()
        .with_single_cert(vec![der], key.into())
        .context("loading the certificate")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((certificate, RustlsConfig::from_config(Arc::new(config))))
}
