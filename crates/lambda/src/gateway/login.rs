//! How the gateway's API lets the functions in.

use crate::options::Maybe;
use aws::ssm::Parameters;
use clap::Args;
use domain::ports::PortError;
use isapi::{Config, Fingerprint, StreamHost, Tls};
use secrecy::SecretString;
use std::time::Duration;
use url::Url;

/// A call that takes longer has no answer. Shorter than the client's usual limit, so that a few devices that hang
/// leave time for the others.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

/// How the gateway's API lets the functions in.
#[derive(Debug, Clone, Args)]
pub struct LoginOptions {
    /// The gateway's user
    #[arg(long, env = "MILLRACE_GATEWAY_USERNAME", default_value = "admin")]
    pub gateway_username: String,
    /// Name of the SSM parameter (a SecureString) that holds its password
    #[arg(long, env = "MILLRACE_GATEWAY_PASSWORD_PARAMETER")]
    pub gateway_password_parameter: String,
    /// SHA-256 of the gateway's self-signed certificate, as openssl prints it; empty: it needs one that is vouched for
    #[arg(long, env = "MILLRACE_GATEWAY_FINGERPRINT", default_value = "")]
    pub gateway_fingerprint: Maybe<Fingerprint>,
}

/// A password of the gateway's, and the version of the parameter it was read from.
#[derive(Debug, Clone)]
pub(super) struct Password {
    pub(super) secret: SecretString,
    pub(super) version: u64,
}

impl Password {
    /// Reads the parameter of that name.
    pub(super) async fn read(name: &str, parameters: &Parameters) -> Result<Self, PortError> {
        let (secret, version) = parameters.secret(name).await?;
        Ok(Self { secret, version })
    }
}

impl LoginOptions {
    /// Reads the gateway's password as it is now.
    pub(super) async fn password(&self, parameters: &Parameters) -> Result<Password, PortError> {
        Password::read(&self.gateway_password_parameter, parameters).await
    }

    /// How a client is made of them.
    pub(super) fn config(&self, endpoint: Url, password: SecretString) -> Config {
        let mut config = Config::new(endpoint, &self.gateway_username, password);
        if let Some(fingerprint) = self.gateway_fingerprint.0 {
            config.tls = Tls::PinnedFingerprint(fingerprint);
        }
        config.request_timeout = REQUEST_TIMEOUT;
        config.concurrency_max = 8;
        // Functions and recorders live beside the gateway: through its external address video would cost money.
        config.stream_host = StreamHost::OfBaseUrl;
        config
    }
}
