//! A media gateway to test against: its HTTP API, real RTSP video, and faults on demand.

pub mod frames;
pub mod media;
