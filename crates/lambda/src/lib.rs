//! What the functions share.
pub mod metrics;
