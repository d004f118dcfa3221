//! The way into the gateway: where it is, which password, and never a rejected one twice.
//!
//! The password is read from the Parameter Store once and kept while the environment lives. When the gateway rejects
//! it, it is read again, once: somebody may have changed it. When there is no other, the rejection is remembered in the
//! control table ([`domain::credentials`]), and no function tries that version of the parameter again.
//!
//! A [`Door`] leads to the gateway in office, for those who ask much of it. A [`Keyring`] opens any gateway of the
//! stack for those who treat, set up and replace it: they count tries themselves, so they need the version too.

mod guest;
mod keyring;
mod login;
mod visit;

use crate::options::Maybe;
use aws::ssm::Parameters;
use clap::Args;
use domain::ports::{ControlTable, PortError};
use domain::recover::Role;
use isapi::Client;
use login::Password;
use std::sync::{Mutex, MutexGuard, PoisonError};
use url::Url;

pub use guest::Guest;
pub use keyring::{Keyring, Keys};
pub use login::LoginOptions;
pub use visit::Visit;

/// What to do about a gateway nobody has registered yet.
const NOT_WRITTEN: &str = "the control item `gateway` is not written yet; it is when the stack's own gateway has been \
                           found well, or give the gateway's address to the stack";

/// How the functions reach the gateway.
#[derive(Debug, Clone, Args)]
pub struct GatewayOptions {
    /// Base URL of the gateway, such as `https://10.0.0.5`; empty: the gateway of this stack
    #[arg(long, env = "MILLRACE_GATEWAY_ENDPOINT", default_value = "")]
    pub gateway_endpoint: Maybe<Url>,
    /// How its API lets us in.
    #[command(flatten)]
    pub login: LoginOptions,
}

/// The way into one gateway. What it has learnt stays for the next invocation.
#[derive(Debug)]
pub struct Door<T> {
    options: GatewayOptions,
    parameters: Parameters,
    table: T,
    warm: Mutex<Warm>,
}

#[derive(Debug, Default)]
struct Warm {
    password: Option<Password>,
    key: Option<Key>,
}

/// A client, and what it was made of.
#[derive(Debug, Clone)]
struct Key {
    endpoint: Url,
    version: u64,
    client: Client,
}

impl<T: ControlTable> Door<T> {
    /// The way into the gateway of these options; nothing is asked yet.
    pub fn new(options: GatewayOptions, parameters: Parameters, table: T) -> Self {
        Self {
            options,
            parameters,
            table,
            warm: Mutex::default(),
        }
    }

    async fn endpoint(&self) -> Result<Url, PortError> {
        if let Some(endpoint) = &self.options.gateway_endpoint.0 {
            return Ok(endpoint.clone());
        }
        let refused = |why| PortError::refused("looking up in the control item `gateway` where it is", why);
        let role = Role::load(&self.table).await?;
        let role = role.ok_or_else(|| refused(NOT_WRITTEN.to_owned()))?;
        Url::parse(&role.endpoint).map_err(|error| refused(error.to_string()))
    }

    /// The password of the last reading, if there was one.
    async fn password(&self) -> Result<(Password, Freshness), PortError> {
        let known = self.warm().password.clone();
        match known {
            Some(password) => Ok((password, Freshness::Cached)),
            None => Ok((self.read_password().await?, Freshness::Read)),
        }
    }

    async fn read_password(&self) -> Result<Password, PortError> {
        let password = self.options.login.password(&self.parameters).await?;
        self.warm().password = Some(password.clone());
        Ok(password)
    }

    /// The client for this endpoint and password: the former one, with its connections, where nothing changed.
    fn key(&self, endpoint: &Url, password: &Password) -> Result<Key, PortError> {
        let mut warm = self.warm();
        let same = |key: &&Key| key.endpoint == *endpoint && key.version == password.version;
        if let Some(key) = warm.key.as_ref().filter(same) {
            return Ok(key.clone());
        }
        let config = self
            .options
            .login
            .config(endpoint.clone(), password.secret.clone());
        let client = Client::new(config)
            .map_err(|error| PortError::refused("preparing the gateway's client", error))?;
        let key = Key {
            endpoint: endpoint.clone(),
            version: password.version,
            client,
        };
        warm.key = Some(key.clone());
        Ok(key)
    }

    fn warm(&self) -> MutexGuard<'_, Warm> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a password was read in this visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Cached,
    Read,
}
