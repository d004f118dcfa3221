//! What opens every gateway of the stack: the one in office, a candidate, the one behind the public address.

use super::guest::Guest;
use super::login::{LoginOptions, Password};
use aws::ssm::Parameters;
use domain::ports::{Connect, PortError};
use isapi::{Admin, Connector, Traffic};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use url::Url;

/// A base URL that is no gateway's: a connector is told the real one with each connection.
const NOWHERE: &str = "https://gateway.invalid";

/// The passwords of the stack's gateways.
#[derive(Debug)]
pub struct Keyring {
    login: LoginOptions,
    initial_parameter: Option<String>,
    parameters: Parameters,
    /// The last reading, for an invocation in which the Parameter Store has no time for us.
    last: Mutex<Option<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    password: Password,
    initial: Option<Password>,
}

/// The passwords as one invocation knows them.
///
/// A password that could not be had is not one that was refused: then no gateway is asked, and each connection says
/// why.
#[derive(Debug)]
pub struct Keys {
    connector: Result<Connector, String>,
    version: u64,
    initial_version: Option<u64>,
    until: Instant,
    guests: Mutex<Vec<Admin>>,
}

impl Keyring {
    /// The passwords in these parameters; nothing is read yet.
    pub fn new(login: LoginOptions, initial_parameter: Option<String>, parameters: Parameters) -> Self {
        Self {
            login,
            initial_parameter,
            parameters,
            last: Mutex::default(),
        }
    }

    /// Reads the passwords anew: a version that is behind the gateway's would be told to all as refused. What is
    /// opened with them fails after `until`, so that there is time to remember what was learnt.
    pub async fn read(&self, until: Instant) -> Keys {
        let known = match self.read_all().await {
            Ok(known) => {
                *lock(&self.last) = Some(known.clone());
                Ok(known)
            }
            Err(error) => self.fall_back(&error),
        };
        Keys {
            version: known.as_ref().map_or(0, |known| known.password.version),
            initial_version: known
                .as_ref()
                .ok()
                .and_then(|known| Some(known.initial.as_ref()?.version)),
            connector: known.and_then(|known| self.connector(known)),
            until,
            guests: Mutex::default(),
        }
    }

    async fn read_all(&self) -> Result<Known, PortError> {
        let password = self.login.password(&self.parameters).await?;
        let initial = match &self.initial_parameter {
            Some(name) => Some(Password::read(name, &self.parameters).await?),
            None => None,
        };
        Ok(Known { password, initial })
    }

    /// A parameter that is gone or forbidden is a person's matter; one that only could not be read now is not news.
    fn fall_back(&self, error: &PortError) -> Result<Known, String> {
        match error {
            PortError::Throttled { .. } | PortError::Unknown { .. } => lock(&self.last).clone(),
            PortError::Refused { .. } => None,
        }
        .ok_or_else(|| error.chain())
    }

    fn connector(&self, known: Known) -> Result<Connector, String> {
        let nowhere = Url::parse(NOWHERE).map_err(|error| error.to_string())?;
        let config = self.login.config(nowhere, known.password.secret);
        Ok(Connector::new(
            config,
            known.initial.map(|initial| initial.secret),
        ))
    }
}

impl Keys {
    /// The version of the wanted password; 0, which no parameter has, when it could not be had.
    pub fn password_version(&self) -> u64 {
        self.version
    }

    /// The version of the initial password; `None` when there is none, or it could not be had.
    pub fn initial_password_version(&self) -> Option<u64> {
        self.initial_version
    }

    /// What gateways were asked since this was last called.
    pub fn take_traffic(&self) -> Traffic {
        let guests = lock(&self.guests);
        guests
            .iter()
            .map(Admin::take_traffic)
            .fold(Traffic::default(), Traffic::and)
    }
}

impl Connect for Keys {
    type Gateway = Guest;

    fn connect(&self, endpoint: &str) -> Result<Guest, PortError> {
        let connector = self.connector.as_ref();
        let connector = connector
            .map_err(|why| PortError::refused("looking for the gateway's password", why.as_str()))?;
        let admin = connector.connect(endpoint)?;
        lock(&self.guests).push(admin.clone());
        Ok(Guest::new(admin, self.until))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
