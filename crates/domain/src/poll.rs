//! The poll: what the gateway has → the channels that are wanted.
//!
//! 1. *Observe* the whole device list and the tables. A list that failed, or cannot be believed, is no
//!    observation: nothing is changed on it.
//! 2. *Ask* for channel lists and URLs of the devices that are new or suspect ([`lookups`]), a bounded number.
//! 3. *Plan* ([`plan`]): add, update, count misses, and remove only what has been missing for the whole grace
//!    period and not too much at once.
//! 4. *Apply* row by row, each write conditional on the revision that was read.

mod lookups;
mod plan;
mod policy;
mod run;

pub use lookups::{Lookup, LookupReason, lookups};
pub use plan::{Action, DeviceLookup, FoundChannel, Hold, Observed, Plan, Why, plan};
pub use policy::PollPolicy;
pub use run::{Report, look, poll};
