//! Alerts by SNS and secrets from the Parameter Store, on an emulator.

#[path = "../support/emulator.rs"]
mod emulator;
#[path = "../support/ministack.rs"]
mod ministack;
mod sns;
mod ssm;
mod subscriber;
