//! Recovery as Lambda runs it: its own processes, a simulated gateway, emulated tables, parameters and machines.
#![allow(clippy::unwrap_used)]

mod office;
mod rig;
