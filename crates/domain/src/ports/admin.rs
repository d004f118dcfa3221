use super::{Gateway, PortError};
use crate::setup::{Applied, Change, Configuration, Identity};
use jiff::SignedDuration;

/// The administrator's side of one gateway. Passwords stay in the adapter: callers say which of the two they mean.
pub trait GatewayAdmin: Send + Sync {
    /// Tries a password once and says who the gateway is. A wrong one costs one of the tries until the account
    /// locks, so callers count.
    ///
    /// # Errors
    /// No answer that tells; a password that was refused is an answer. [`PortError::Throttled`] when the gateway was
    /// surely not reached, so that no try was spent.
    fn log_in(&self, with: Credential) -> impl Future<Output = Result<LogIn, PortError>> + Send;

    /// How the gateway is configured.
    fn configuration(&self) -> impl Future<Output = Result<Configuration, PortError>> + Send;

    /// Replaces the initial password with the wanted one.
    ///
    /// # Errors
    /// After [`PortError::Unknown`] either may be right.
    fn adopt_password(&self) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Changes one setting and leaves what this version does not know as it is. The same change again is `Ok`.
    fn change(&self, change: &Change) -> impl Future<Output = Result<Applied, PortError>> + Send;

    /// Restarts the gateway's software. Every stream ends.
    ///
    /// # Errors
    /// A connection that breaks is [`PortError::Unknown`]: it may be the restart itself.
    fn restart(&self) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Which password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credential {
    /// The one the gateway should have.
    Wanted,
    /// The one a gateway fresh from its base image has.
    Initial,
}

/// What the gateway said to a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogIn {
    /// It is right, and this is who answers.
    Accepted(Identity),
    /// It is wrong.
    Rejected {
        /// Tries until the account locks, when the gateway says so.
        tries_left: Option<u32>,
    },
    /// The account is locked; whether the password is right is not said.
    Locked {
        /// For how long, when the gateway says so.
        locked_for: Option<SignedDuration>,
    },
}

/// Reaches gateways by their base URL: the one in office, a candidate, or the one behind the public address.
pub trait Connect: Send + Sync {
    /// A gateway that can be asked and set up.
    type Gateway: GatewayAdmin + Gateway;

    /// The gateway at `endpoint`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`PortError::Refused`] when `endpoint` is no base URL.
    fn connect(&self, endpoint: &str) -> Result<Self::Gateway, PortError>;
}
