//! A media gateway to test against: its HTTP API, real RTSP video, and every trouble a client must survive.
//!
//! The one idea: the gateway is a value. A request or an [`Operation`] goes in, an answer and effects come out;
//! sockets, timers and video hang on its outside.
//!
//! ```text
//!   scenario ─▶ ┌───────┐ ◀─ requests (HTTP)      ─▶ answers
//!   timeline ─▶ │ World │ ◀─ operations (Control) ─▶ effects: streams, events, reboot
//!               └───────┘
//! ```

mod account;
mod alarm;
mod api;
mod apply;
mod clock;
mod control;
mod digest;
mod fleet;
pub mod frames;
mod http;
mod hub;
mod listener;
pub mod media;
pub mod operation;
mod port;
mod ports;
mod reply;
mod requests;
pub mod rtsp;
pub mod scenario;
mod shared;
mod simulator;
mod tls;
mod video;
mod weather;
mod world;

pub use control::Control;
pub use fleet::Stream;
pub use operation::{ApiFault, ListFault, Operation};
pub use requests::RequestCounts;
pub use scenario::Scenario;
pub use simulator::Simulator;
pub use tls::{Certificate, self_signed};
pub use world::{ChannelView, DeviceView, State};
