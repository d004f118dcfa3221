//! The ports on one machine: every table in one SQLite file ([`Sqlite`]) and the archive in a folder
//! ([`Folder`]).
//!
//! The idea: the processes of one machine (`millrace run`, its recorders, a `millrace status` in another
//! terminal) share nothing but these two, so both are safe to use from many processes and to kill at any time.

mod folder;
mod sqlite;
mod threads;

pub use folder::{Folder, Found};
pub use sqlite::Sqlite;
