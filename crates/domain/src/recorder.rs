//! What a recorder decides by itself: which channels it records, what it makes of a channel that may be somebody else's, when
//! it ends, and whether it tries its password.
//!
//! ```text
//!   rows of this task ──▶ Roster ──▶ start, tell, doubt        rejections ──▶ Password ──▶ try, hold back, leave
//!   row of one channel ─▶ Roster ──▶ go on, hand over, stop    tries ───────▶ Trust
//! ```
//! The recorder's program and the storm's recorders both go by it. How a line is connected and what is written to disk is the
//! program's; what becomes of a picture while a channel moves is [`crate::succession`]'s.

mod password;
mod plan;
mod roster;

pub use password::{Cleared, Password, Trust};
pub use plan::Action;
pub use roster::{End, Roster, Verdict};
