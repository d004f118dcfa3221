//! The media gateway's HTTP API (Hikvision *Hik Device Gateway*, ISAPI in JSON), as a typed client.
//!
//! The one idea: **an answer is believed only when it is whole.** A list that is short, changes between
//! pages or repeats itself is an error and never a smaller world; a rejected password is tried exactly once;
//! an answer that is late, too long or not JSON is an error that says what the caller can do about it
//! ([`IsapiError`]).
//!
//! ```text
//!  Client ── Call ──▶ exchange: permit, time limit, digest rounds ──▶ answer: bounded body, ResponseStatus
//!    │                              │                                            │
//!    │                          auth, digest                              parse: pages, channels, URLs
//!    └─ subscribe ──▶ events: multipart splitter ──▶ typed events, silence is an error
//! ```
//!
//! Facts of the protocol come from the vendor's developer guide for Hik Device Gateway V1.8.0 unless a
//! constant says otherwise.

mod admin;
mod answer;
mod auth;
mod call;
mod client;
mod config;
mod digest;
mod error;
pub mod events;
mod exchange;
mod gateway;
mod lists;
pub mod parse;
mod portmaps;
mod recordings;
mod streams;
mod system;
mod tls;
mod traffic;

pub use admin::{Admin, Connector};
pub use client::Client;
pub use config::{Config, ConfigError, StreamHost};
pub use error::{IsapiError, ResponseStatus};
pub use lists::InconsistentList;
pub use portmaps::{DevicePortEntry, DevicePortMap, ExternalAddress, PlatformPortMap, PortPair, PortRange};
pub use recordings::Recording;
pub use streams::{Method, StreamType};
pub use system::{Applied, DeviceInfo, GatewayTime, TimeMode};
pub use tls::{Fingerprint, NotAFingerprint, Tls};
pub use traffic::Traffic;
