//! For tests: emulators of AWS that the scripts of this repository install and run, and what a stack has in them.
//!
//! ```text
//!   test ──Emulator::ministack()──▶ scripts/ministack.sh run PORT     one a process, ends with it
//!     └──sdk_config()──▶ create_tables, create_bucket, create_site, or any client of an SDK
//! ```
//!
//! An emulator is shared by all tests of a process, and can outlive them: whatever a test makes has an
//! [`unused_name`]. Everything here panics where an emulator does not do its part.

#[cfg(feature = "s3")]
mod bucket;
mod calls;
mod emulator;
#[cfg(feature = "ec2")]
mod machines;
#[cfg(feature = "cloudformation")]
mod stack;
#[cfg(feature = "dynamodb")]
mod tables;

#[cfg(feature = "s3")]
pub use bucket::{create_bucket, s3_client};
pub use calls::{Calls, counted};
pub use emulator::{Emulator, sdk_config};
#[cfg(feature = "ec2")]
pub use machines::{Site, create_site};
#[cfg(feature = "cloudformation")]
pub use stack::create_stack;
#[cfg(feature = "dynamodb")]
pub use tables::{create_tables, tables_of};

use std::sync::atomic::{AtomicU64, Ordering};

/// A name nobody used before, also on an emulator that outlives the tests; short enough to be part of a bucket's name.
pub fn unused_name() -> String {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    format!(
        "s{}-{}-{}",
        std::process::id(),
        jiff::Timestamp::now().as_millisecond(),
        NAMES.fetch_add(1, Ordering::Relaxed)
    )
}
