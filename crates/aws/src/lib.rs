//! The ports on AWS, a cargo feature per service, so that a binary compiles only the SDKs it talks to.

mod client;
#[cfg(any(feature = "dynamodb", feature = "ecs", feature = "sns", feature = "ssm"))]
mod error;
#[cfg(feature = "s3")]
pub mod s3;

pub use client::config_from_env;
