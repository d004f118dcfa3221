//! The host of recorders on ECS: on a service that keeps ECS's documented promises, and on an emulator.

mod contract;
mod emulated;
#[path = "../support/emulator.rs"]
mod emulator;
mod events;
mod failures;
mod listing;
#[path = "../support/ministack.rs"]
mod ministack;
mod requests;
mod service;
mod service_state;
