//! The ports on AWS, a cargo feature per service, so that a binary compiles only the SDKs it talks to.

mod client;
#[cfg(feature = "cloudformation")]
pub mod cloudformation;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
#[cfg(feature = "ec2")]
pub mod ec2;
#[cfg(feature = "ecs")]
pub mod ecs;
#[cfg(any(
    feature = "cloudformation",
    feature = "dynamodb",
    feature = "ec2",
    feature = "ecs",
    feature = "sns",
    feature = "ssm"
))]
mod error;
#[cfg(feature = "harness")]
pub mod harness;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sns")]
pub mod sns;
#[cfg(feature = "ssm")]
pub mod ssm;

pub use aws_config::SdkConfig;
pub use client::config_from_env;
