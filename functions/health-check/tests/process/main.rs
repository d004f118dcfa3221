//! The health check as Lambda runs it: its own process, a simulated gateway, emulated tables, parameters and machines.
#![allow(clippy::unwrap_used)]

mod climb;
mod looks;
mod rig;
