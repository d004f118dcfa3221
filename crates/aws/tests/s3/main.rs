//! The S3 archive, on an emulator of S3 and against servers that misbehave.

mod contract;
mod environment;
mod faults;
mod restore;
mod server;
