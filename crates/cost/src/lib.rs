//! What a stack costs a month.
//!
//! The idea: prices are data with a date and a source, a deployment is the template's parameters, and a bill is a pure
//! function of both. So is what would be cheaper: every neighbour that differs in one parameter has a bill, too.
//!
//! ```text
//! prices/REGION.toml ──▶ ┐
//!                        ├─ bill ──▶ lines, what dominates ── the same for each neighbour ──▶ savings
//! Deployment ──────────▶ ┘
//! ```

mod bill;
mod deployment;
mod dollars;
mod neighbours;
mod prices;
mod storage;

pub use bill::{Bill, Item, Line, bill};
pub use deployment::{Architecture, Deployment, FunctionNetwork, GatewayMachine, RecorderNetwork};
pub use dollars::Dollars;
pub use neighbours::{Neighbour, neighbours};
pub use prices::{ClassPrices, NoPrice, Prices, RestorePrices, built_in, regions};
pub use storage::{Restore, kept_per_month, restore};
