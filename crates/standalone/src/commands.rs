//! The commands, a file each.

pub(crate) mod poll;
pub(crate) mod run;
