//! The tables in DynamoDB.
//!
//! The idea: a row is written by `UpdateItem`, each time with a condition on what the writer read (`revision`,
//! `generation`, `version`). So a program sets the attributes it owns, those of others survive, and of two writers
//! one is told [`Put::Stale`]. No read comes before a write. (A gap has one writer, who replaces it whole.)
//!
//! # Tables
//! Types are S (text), N (number), M (map). Times are RFC 3339 text in UTC. What a row has beyond these attributes
//! is left alone.
//!
//! | table | keys | attributes |
//! | --- | --- | --- |
//! | channels | `deviceIndex` S (hash), `channel` S (range) | `mediaURL` S, `deviceName` S, `channelName` S, `state` M, `deviceChannels` N, `listedChannels` N, `wantedSince` S, `settings` M, `revision` N |
//! | tasks | `deviceIndex` S (hash), `channel` S (range) | `taskARN` S or absent, `generation` N, `deviceURL` S, `settings` M, `deviceState` M, `startedAt` S, `attempts` N; the recorder's: `heartbeatAt` S, `lastSegmentAt` S, `lastError` S, each may be absent |
//! | gaps | `channelKey` S (hash), `start` S (range) | `end` S, `cause` S or M |
//! | episodes | `channelKey` S (hash), `start` S (range) | `end` S, `reason` S, `labels` M, `expiresAt` S or absent, `preview` S or absent, `origin` S, `revision` N |
//! | control | `name` S (hash) | `version` N, `value` S, the loop's own JSON |
//!
//! - channels has a stream of `NEW_AND_OLD_IMAGES`; it wakes the dispatcher.
//! - tasks has the global index `taskARN-index`: `taskARN` S (hash), projection `ALL`. Rows that no task records are
//!   not in it.
//! - gaps and episodes have the local index `end-index`: `channelKey` S (hash), `end` S (range), projection
//!   `ALL`. `channelKey` is the channel's archive prefix; `start` and `end` always have nine digits of a second, so
//!   that their order as text is that of time; the `end` of what lasts is `open`, which sorts behind every time.
//! - No table needs a TTL or another index; an episode outlives its expiry until somebody deletes it. On demand
//!   billing fits: writes follow the heartbeats.
//! - Control items in use: `settings` (channels' own settings), `credentials` (the rejected password), `poll`,
//!   `dispatch` and `freshness` (what people were told), `deaths` (of tasks), `gateway` (where the stack's own is),
//!   `health` (the ladder), `setup` (tries and restarts), `recover` (images and the replacement), `recover-request`
//!   (who asks for one).
//!
//! # Operations
//! | table | read | write |
//! | --- | --- | --- |
//! | channels | `Scan` | `UpdateItem`, `DeleteItem` |
//! | tasks | `Scan`, `GetItem`, `Query` of the index | `UpdateItem`, `DeleteItem` |
//! | gaps | `Query` of the index | `PutItem` |
//! | episodes | `Query` of the index | `UpdateItem`, `DeleteItem` |
//! | control | `GetItem` | `UpdateItem` |
//!
//! # What a read may miss
//! Scans, queries of a table and its local index, and reads of one row are strongly consistent (1 read unit per
//! 4 KB instead of a half): a plan made of a row that another program has just replaced would only be found stale
//! when it is written. A global index cannot be read so. [`TasksTable::assignments_of`] may therefore not see a new
//! row yet, still see one that has moved away, or for a moment not see one it saw before (its replicas are not equal).
//! The heartbeat is fenced in the table itself; and who is about to stop for a row that is not there asks for that
//! row by its key first.
//!
//! # What does not read
//! Rows can be edited by people and written by a newer version of this program. An attribute that is missing or does
//! not read is reported, and the row goes on with a value that keeps its channel recorded (settings: the defaults;
//! a device: present; times: 1970). A row never disappears from a list on that account, is never deleted for it, and
//! the loops write it anew where it differs from what they want. Only a gap whose times or cause do not read is left
//! out: its time shows as unexplained then. An episode or a control item that does not read is refused: there is no
//! safe value to go on with.
//!
//! # Cost
//! A heartbeat of an assigned row is two write units, one of them the index's. At a pull interval of 10 s this is
//! 525,600 units a camera-month ($0.33 at $0.625 a million, us-east-1); at 60 s $0.05. The pull itself is one query.

mod channels;
mod control;
mod episodes;
mod gaps;
mod intervals;
mod item;
mod names;
mod pages;
mod tasks;
mod write;

pub use names::{NotTableNames, TableNames};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use domain::ports::PortError;
#[cfg(doc)]
use domain::ports::{Put, TasksTable};

/// All tables of one stack. Clones share the client.
#[derive(Debug, Clone)]
pub struct Tables {
    client: Client,
    names: TableNames,
}

impl Tables {
    /// The tables called `names`, by the region, credentials and time-outs of `config`.
    pub fn new(config: &SdkConfig, names: TableNames) -> Self {
        Self {
            client: Client::new(config),
            names,
        }
    }
}

/// The name of the table a program was not told of.
fn told<'a>(name: Option<&'a str>, table: &str) -> Result<&'a str, PortError> {
    name.ok_or_else(|| {
        PortError::refused(
            format!("using the table `{table}`"),
            "its name is not among those this program was given",
        )
    })
}
