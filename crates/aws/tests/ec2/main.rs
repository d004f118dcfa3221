//! The host of gateways on EC2: on an emulator, and on a service that says what a test tells it to.

mod address;
mod contract;
mod emulated;
mod images;
mod instances;
mod moto;
mod requests;
mod service;
