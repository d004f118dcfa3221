//! Recovery as Lambda runs it: its own processes, emulated tables, parameters and machines, and simulated gateways.
#![allow(clippy::unwrap_used)]

mod door;
mod life;
mod process;
mod stack;
