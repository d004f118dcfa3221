//! The ports: everything the loops and the recorder need of the outside. Small traits, static dispatch, one
//! error that says what the caller can do.

mod admin;
mod alerts;
mod archive;
mod error;
mod footage;
mod gateway;
mod host;
mod site;
mod sweep;
mod tables;
mod tasks;

pub use admin::{Connect, Credential, GatewayAdmin, LogIn};
pub use alerts::Alerts;
pub use archive::{Archive, Stored};
pub use error::{PortError, chain};
pub use footage::{Ended, Fetch, Footage, Playback};
pub use gateway::{Gateway, GatewayChannel};
pub use host::{AddressLook, Held, Images, Instances, Moved, NewInstance, Power, PublicAddress, Source};
pub use site::Site;
pub use sweep::{ArchiveRead, ArchiveSweep, DELETE_MAX, Page, StoredObject, StoredSegment};
pub use tables::{ChannelsTable, ControlItem, ControlTable, EpisodesTable, GapsTable, Put, TasksTable};
pub use tasks::Tasks;
