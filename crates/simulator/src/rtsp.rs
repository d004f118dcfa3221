//! An RTSP 1.0 server (RFC 2326) that plays loops the way the gateway's cameras do, and fails on demand.
//!
//! The one idea: a session is a [`player`] that is asked, whenever time has passed, which bytes are due; it
//! knows nothing of sockets. What happens to a stream (another resolution, a fault, the end) is a new value
//! in its [`catalog`] entry, which every session of it watches.
//!
//! ```text
//!   Catalog: path ─▶ what is on air ──watch──▶ session ─▶ player ─▶ packet, rtcp ─┐
//!                                                 ▲                              ▼
//!   client ◀──────────── one TCP connection ── connection: requests, media, reports
//! ```
//!
//! Media travels interleaved in the RTSP connection alone (RFC 2326 section 10.12); UDP is refused as the
//! vendor's `.../TCP` paths promise.

mod auth;
mod catalog;
mod clock;
mod connection;
mod exchange;
mod packet;
mod player;
mod rtcp;
mod sdp;
mod server;
mod session;
mod spec;
mod timeline;
mod track;
mod transport;

pub use catalog::Catalog;
pub use server::RtspServer;
pub use spec::{CameraClock, Kind, StreamFault, StreamSpec};
