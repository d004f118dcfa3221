//! Millrace's decisions: the nouns, the pure planners, the loops over ports, and the ports themselves.
//!
//! Nothing here performs I/O, reads a clock or the environment, or knows of AWS. Every loop is
//! *observe → plan → apply*: `plan(policy, observed, now)` is a pure function of one possibly stale look,
//! and applying is idempotent action by action.
//!
//! ```text
//!   Gateway ──observe──▶ poll ──▶ channels ──▶ dispatch ──▶ tasks + assignments ──▶ recorder (pulls)
//! ```

pub mod alert;
pub mod backfill;
pub mod channel;
#[cfg(any(test, feature = "fakes"))]
pub mod contract;
pub mod control;
pub mod coverage;
pub mod credentials;
pub mod death;
pub mod device;
pub mod dispatch;
pub mod encoding;
pub mod episode;
#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
pub mod freshness;
pub mod gap;
pub mod id;
pub mod instance;
pub mod keep;
pub mod ladder;
mod memory;
pub mod poll;
pub mod ports;
pub mod recorder;
pub mod recover;
pub mod segment;
pub mod settings;
pub mod setup;
pub mod status;
pub mod storage;
pub mod succession;
pub mod task;
mod watch;

pub use alert::{Alert, Severity};
pub use channel::{ChannelRow, DeviceState, Revision};
pub use device::{Device, DeviceKind, DeviceStatus, OfflineHint};
pub use episode::Episode;
pub use gap::{Gap, GapCause};
pub use id::{ChannelId, ChannelKey, DeviceIndex, Generation, ImageId, InstanceId, TaskArn};
pub use instance::{Image, ImageState, Instance, InstanceState, StatusCheck};
pub use segment::{Archived, ObjectKey, Origin, SegmentKey, SegmentMeta};
pub use settings::RecordingSettings;
pub use storage::{RestoreTier, StorageClass};
pub use task::{
    Assignment, AssignmentRow, FirstPicture, Heartbeat, Launch, LiveTask, PictureMark, Predecessor, TaskKind,
};
