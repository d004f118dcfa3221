//! For the tests of the functions: a real function process, between a Runtime API of ours and emulated AWS.
//!
//! ```text
//!   test ──invoke──▶ RuntimeApi ◀──GET next / POST response── the function's own binary ──▶ emulator, simulator
//! ```

mod cloud;
mod function;
mod runtime_api;

pub use cloud::{Cloud, Cluster};
pub use function::Function;
pub use runtime_api::{Answer, RuntimeApi};
