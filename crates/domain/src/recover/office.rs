//! The gateway in office as setup reaches it: others log in there too.

use crate::credentials::{self, Begun, Fate, Rejection};
use crate::ports::{ControlTable, Credential, GatewayAdmin, LogIn, PortError};
use crate::setup::{Applied, Change, Configuration};
use jiff::Timestamp;

/// Who says what it learns of the password.
pub(super) const BY: &str = "setup";

/// A gateway whose wanted password is tried when it may be, and not while somebody else does. Of the initial one only
/// setup knows, and counts its tries itself.
pub(super) struct InOffice<'a, G, T> {
    pub(super) gateway: G,
    pub(super) table: &'a T,
    /// The wanted password's.
    pub(super) version: u64,
    /// What stood against it before.
    pub(super) rejection: Option<Rejection>,
    pub(super) now: Timestamp,
}

impl<G, T: ControlTable> InOffice<'_, G, T> {
    /// The wanted password is right, whatever was said of it before.
    async fn accept(&self) -> Result<(), PortError> {
        match &self.rejection {
            None => Ok(()),
            Some(rejection) => credentials::accept(self.table, rejection).await,
        }
    }
}

impl<G: GatewayAdmin, T: ControlTable> GatewayAdmin for InOffice<'_, G, T> {
    async fn log_in(&self, with: Credential) -> Result<LogIn, PortError> {
        match with {
            Credential::Wanted => {}
            Credential::Initial => return self.gateway.log_in(with).await,
        }
        let tried = match credentials::begin(self.table, self.version, BY, self.now).await? {
            Begun::Try(tried) => tried,
            Begun::Wait(wait) => {
                return Err(PortError::throttled(
                    "logging in at the gateway",
                    wait.to_string(),
                ));
            }
        };
        let answer = self.gateway.log_in(with).await;
        match Fate::of(&answer) {
            // All are told when setup has tried the initial password too; until then they wait for this try.
            Fate::Denied => {}
            fate @ (Fate::Accepted | Fate::Lost | Fate::NotSent) => {
                credentials::settle(self.table, tried, fate).await?;
            }
        }
        if matches!(answer, Ok(LogIn::Accepted(_))) {
            self.accept().await?;
        }
        answer
    }

    async fn configuration(&self) -> Result<Configuration, PortError> {
        self.gateway.configuration().await
    }

    async fn adopt_password(&self) -> Result<(), PortError> {
        self.gateway.adopt_password().await?;
        self.accept().await
    }

    async fn change(&self, change: &Change) -> Result<Applied, PortError> {
        self.gateway.change(change).await
    }

    async fn restart(&self) -> Result<(), PortError> {
        self.gateway.restart().await
    }
}
