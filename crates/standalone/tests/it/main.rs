//! `millrace` as a whole, against the simulated gateway: over HTTP with time as an argument, and as real processes
//! with real video.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod archive;
mod away;
mod backfill;
mod demo;
mod gateway_setup;
mod gateway_weather;
mod h265;
mod looking;
mod moves;
mod packed;
mod people;
mod prices;
mod restart;
#[cfg(feature = "s3")]
mod restores;
mod settings;
#[cfg(feature = "aws")]
mod stack;
mod support {
    pub(crate) mod archive;
    pub(crate) mod browser;
    pub(crate) mod rig;
    pub(crate) mod shelf;
}
mod video;
