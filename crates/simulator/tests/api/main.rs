//! The simulated gateway's API through the eyes of an independent client.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod client;
mod control;
mod devices;
mod events;
mod faults;
mod login;
mod media;
mod streams;
mod system;
