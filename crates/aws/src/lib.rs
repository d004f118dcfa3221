//! The ports on AWS, a cargo feature per service, so that a binary compiles only the SDKs it talks to.

#[cfg(feature = "s3")]
pub mod s3;
