//! The host of recorders on ECS: on a service that keeps ECS's documented promises, and on an emulator.

mod contract;
mod emulated;
mod events;
mod failures;
mod listing;
mod requests;
mod service;
mod service_state;
