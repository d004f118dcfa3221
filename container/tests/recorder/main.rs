//! The recorder on real RTSP, decoded and counted frame by frame.

#[cfg(test)]
mod archives;
#[cfg(test)]
mod away;
#[cfg(test)]
mod aws;
#[cfg(test)]
mod backfill;
#[cfg(test)]
mod bed;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod cloud;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod footage;
#[cfg(test)]
mod lag;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod playback;
#[cfg(test)]
mod process;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod troubles;
