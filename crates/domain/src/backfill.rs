//! Backfill: what the network, the gateway or a recorder cost is fetched from the device's own storage.
//!
//! The idea: the archive's listing is the only truth about what is missing, before a playback and again before each
//! segment of it is stored. So a crash anywhere costs a playback and never a frame, and nothing is stored twice.
//!
//! ```text
//! gaps + segments ──missing──▶ plan: oldest first, one a device ──▶ ask the device what it has
//!        ▲                                                               │ nothing ──▶ settled, never asked again
//!        │                                                               ▼
//!     archive ◀──store── still missing? ◀── segments of generation 0 ◀── playback
//! ```
//!
//! One worker a gateway at a time: the memory has a lease, written over the version that was read.

mod look;
mod memory;
mod missing;
mod plan;
mod policy;
mod run;
mod work;

pub use memory::{Fate, MEMORY, Memory, Settled};
pub use missing::{Known, Missing, is_fillable, missing};
pub use plan::{Look, Piece, Plan, admits, plan};
pub use policy::BackfillPolicy;
pub use run::{Report, backfill, cut_off, survey};
pub use work::Ports;
