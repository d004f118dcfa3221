//! The recorder: RTSP to segments to archive, many channels in one process.

pub mod media;
