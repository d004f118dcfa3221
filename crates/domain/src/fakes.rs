//! In-memory ports that behave like the real ones, with weather: calls that are throttled, answers that are lost
//! after the deed, lists that lag. Everything is deterministic under a seed, and every call yields, so that a
//! test can interleave loops or drop one between any two calls.

mod alerts;
mod archive;
mod footage;
mod gateway;
mod host;
pub mod rows;
mod site;
mod software;
mod tables;
mod tasks;
mod weather;

pub use alerts::FakeAlerts;
pub use archive::FakeArchive;
pub use footage::{FakeFetch, FakeFootage};
pub use gateway::FakeGateway;
pub use host::FakeHost;
pub use site::{FakeAdmin, FakeSite};
pub use software::{Password, Software};
pub use tables::FakeTables;
pub use tasks::FakeTasks;
pub use weather::{Random, Weather};
