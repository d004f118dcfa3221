//! The simulator's video, read back by programs that are not ours.

#[cfg(test)]
mod common;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod rtsp_faults;
#[cfg(test)]
mod rtsp_ffmpeg;
#[cfg(test)]
mod rtsp_protocol;
#[cfg(test)]
mod rtsp_streams;
#[cfg(test)]
mod studio;
#[cfg(test)]
mod viewer;
