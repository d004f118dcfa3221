//! The simulator's video, read back by programs that are not ours.

#[cfg(test)]
mod common;
#[cfg(test)]
mod frames;
