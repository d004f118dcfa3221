//! The gateway's own configuration as desired state: password, name, clock, port maps.
//!
//! 1. *Log in* with the wanted password; only a gateway fresh from its base image gets the initial one instead.
//!    Tries are counted before they are made, so that no crash and no repetition locks the account.
//! 2. *Compare* ([`plan`]) what is with what is wanted.
//! 3. *Change* only what differs. A change that needs a restart is remembered as owing one before it is made.
//! 4. *Restart* the gateway's software when one is owed, never else.

mod configuration;
mod memory;
mod plan;
mod policy;
mod report;
mod run;

pub use configuration::{Applied, Change, Clock, Configuration, Identity, PortMap};
pub use plan::{Difference, Plan, plan};
pub use policy::{NotAnOffset, SetupPolicy, Wanted, WantedClock, utc_offset};
pub use report::{Preview, Report, Standing};
pub use run::{MEMORY, compare, is_refused, owes_initial, set_up};
