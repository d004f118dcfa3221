//! The health ladder: is the gateway well, and if not, what is the mildest thing that has not been tried yet?
//!
//! ```text
//!  suspect ──▶ restart its software ──▶ reboot ──▶ stop and start ──▶ replace
//!     ▲  looks in a row     cool-down       cool-down    (other hardware)   (recover)
//! ```
//!
//! A symptom enters the ladder where it makes sense and leaves it where more would be no help: a failed system
//! check starts with other hardware, cameras that are all offline never end in a replacement, and a refused
//! password is nothing a reboot could mend. What was tried stays remembered after the gateway is well again, so
//! one that falls ill after each restart climbs.
//!
//! How far it climbs is the operator's decision, and of a gateway that others run ([`Patient::Elsewhere`]) nothing but
//! its software is touched.
//!
//! The step is remembered before it is taken: a lost, doubled or crashed invocation takes none twice.

mod look;
mod memory;
mod observe;
mod patient;
mod plan;
mod policy;
mod run;
mod tell;

pub use look::{ArchiveLook, DevicesLook, EndpointLook, InstanceLook, Look, Symptom};
pub use memory::{Memory, Outcome, Rung, Try};
pub use patient::Patient;
pub use plan::{Action, Plan, plan};
pub use policy::LadderPolicy;
pub use run::{MEMORY, Report, check};
