//! The keep loop: what is older than its retention and in no episode goes.
//!
//! The idea: deleting is the only thing that cannot be repaired, so every doubt keeps. An object goes when its name
//! says what it is, its age says it may, and episodes read *after* it was listed and moments before the delete say
//! nobody wants it. Episodes that cannot be read, a name that cannot be parsed, a clock that jumped: nothing goes.
//!
//! ```text
//! archive ──page──▶ ┐
//! episodes ─fresh─▶ ├─ verdict per object ──▶ one batched delete ──▶ next page … cursor for the next run
//! retention ──────▶ ┘
//! ```

mod memory;
mod plan;
mod policy;
mod run;

pub use plan::{Because, BytesByClass, PagePlan, Verdict, plan, verdict};
pub use policy::KeepPolicy;
pub use run::{Mode, Report, keep};
