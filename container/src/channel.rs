//! One recorded channel: the state machine, what it knows of its coverage, and the driver that owns the I/O.

pub(crate) mod driver;
mod handover;
pub(crate) mod hole;
mod line;
pub(crate) mod machine;
mod recording;
