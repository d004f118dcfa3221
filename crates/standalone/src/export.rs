//! A range of the archive as one MP4 file: the frames as they were recorded, not encoded anew.
//!
//! The idea: what a file *shows* is its edit list, what it *holds* may be more. Decoding must begin at a key frame, so
//! the file holds the frames since the last one before the range, and the edit list shows the range alone. Time in the
//! file is time on the wall: over a gap the last frame stands still for as long as the gap was.

mod clip;
mod source;
mod track;

pub(crate) use clip::Clip;
pub(crate) use source::{Source, a_box};
