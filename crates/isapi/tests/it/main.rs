//! The client against pages that lie, a gateway that says anything, and one that behaves as documented.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod authentication;
mod events;
mod parsers;
mod simulated;
mod support;
mod transport;
