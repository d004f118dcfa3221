//! What the Lambda functions share: configuration, logs, metrics, and the way into the gateway.
//!
//! A function's `main` is: parse [`Stack`] and its own options from the environment, build the clients once, [`run`] a
//! handler that turns an event into a scope, calls the domain, [`emit`](Stack::emit)s the report as one wide event, and
//! maps the result. Everything that two of them would repeat is here.
//!
//! [`metrics`] lists every metric by name.

mod alerts;
mod gateway;
#[cfg(feature = "harness")]
pub mod harness;
pub mod metrics;
mod options;
mod runtime;

pub use alerts::Outbox;
pub use gateway::{Door, GatewayOptions, Guest, Keyring, Keys, LoginOptions, Visit};
pub use options::{LogFormat, Maybe, Stack, positive_duration};
pub use runtime::{Invocation, run};
