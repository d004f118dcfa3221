//! Alerts by SNS and secrets from the Parameter Store, on an emulator.

mod sns;
mod ssm;
mod subscriber;
