//! The ports: everything the loops and the recorder need of the outside. Small traits, static dispatch, one
//! error that says what the caller can do.

mod alerts;
mod archive;
mod error;
mod gateway;
mod tables;
mod tasks;

pub use alerts::Alerts;
pub use archive::{Archive, Stored};
pub use error::PortError;
pub use gateway::{Gateway, GatewayChannel};
pub use tables::{ChannelsTable, ControlItem, ControlTable, EpisodesTable, GapsTable, Put, TasksTable};
pub use tasks::Tasks;
