//! The commands, a file each.

#[cfg(feature = "aws")]
pub(crate) mod aws;
pub(crate) mod backfill;
pub(crate) mod channels;
pub(crate) mod cost;
pub(crate) mod episodes;
pub(crate) mod export;
pub(crate) mod gateway;
pub(crate) mod keep;
pub(crate) mod playlist;
pub(crate) mod poll;
pub(crate) mod prices;
pub(crate) mod recordings;
pub(crate) mod run;
pub(crate) mod segments;
pub(crate) mod status;
pub(crate) mod timeline;
pub(crate) mod why;
