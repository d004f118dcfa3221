//! From frames to files, on video whose frames can be told apart and with the real ffmpeg.

#![allow(clippy::unwrap_used, reason = "a failed test is what it is for")]

mod camera;
mod harness;
mod hostile;
mod salvage;
mod segmenter;
mod segments;
mod spool;
mod transform;
