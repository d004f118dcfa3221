//! Images of the gateway, and its replacement behind the same public address.
//!
//! The replacement is a saga kept in one control item. A round looks at everything, plans one move, remembers it and
//! then does the deeds that follow from the memory. Deeds need no answers: the next look shows what they did, so a
//! round may be lost, doubled or crash between any two calls, and the next one goes on.
//!
//! ```text
//!  choose ─▶ launch ─▶ boot ─▶ prove ─▶ move address ─▶ verify ─▶ announce ─▶ retire old ─▶ compare ─▶ report
//!    ▲         │         │       │           │             │
//!    └─────────┴── give the address back if it was moved ──┘   (next image, or the end)
//! ```
//!
//! Who has the public address is the gateway. The control item [`ROLE`] says so to everybody who needs its private
//! endpoint; when a person moves the address, the item follows.

mod images;
mod memory;
mod observe;
mod office;
mod plan;
mod policy;
mod role;
mod run;
mod saga;
mod tell;
mod yard;

pub use images::{ImageAction, ImagePlan, plan_images};
pub use memory::{Memory, Retired, Saga, SagaResult, Step};
pub use plan::{Deed, Observed, Plan, Proof, plan};
pub use policy::RecoverPolicy;
pub use role::{Asked, REQUEST, ROLE, Request, Role, request};
pub use run::{MEMORY, Report, is_replacing, recover};
