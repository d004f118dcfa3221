//! Tasks (running recorders) and assignments (which task records which channel).

use crate::channel::DeviceState;
use crate::id::{ChannelKey, Generation, TaskArn};
use crate::settings::RecordingSettings;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// What the dispatcher decided for a channel. Only the dispatcher writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which channel.
    pub key: ChannelKey,
    /// Who records it; `None` while no task could be started.
    pub task: Option<TaskArn>,
    /// The fence: grows with every new assignment of the channel.
    pub generation: Generation,
    /// RTSP URL to record from, without credentials.
    pub media_url: String,
    /// How to record it.
    pub settings: RecordingSettings,
    /// What the poll last saw of the device: the recorder's reason when the stream is silent.
    pub device_state: DeviceState,
    /// When this generation began.
    pub started_at: Timestamp,
    /// Assignments in a row that ended without healthy recording; sets the backoff.
    pub attempts: u32,
    /// Who recorded the channel before, if anybody did: see [`crate::succession`].
    #[serde(default)]
    pub predecessor: Option<Predecessor>,
}

/// The recorder that had a channel before, and may still record it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Predecessor {
    /// Which recorder.
    pub task: TaskArn,
    /// Its generation.
    pub generation: Generation,
    /// The new recorder keeps no picture before this time; by then the old one knows that there is a new one.
    pub until: Timestamp,
}

/// The picture a recorder began with in its generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstPicture {
    /// When it was filmed, by the recorder's clock.
    pub at: Timestamp,
    /// What it looks like.
    pub mark: PictureMark,
}

/// What tells one coded picture from another: two recorders that get the same picture from the gateway give it the
/// same mark. Text has it as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PictureMark(pub u64);

impl fmt::Display for PictureMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<PictureMark> for String {
    fn from(mark: PictureMark) -> Self {
        mark.to_string()
    }
}

impl FromStr for PictureMark {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl TryFrom<String> for PictureMark {
    type Error = ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// What the recorder of an assignment says of itself. Only that recorder writes it, fenced by generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When the recorder last reported.
    pub heartbeat_at: Option<Timestamp>,
    /// End of the newest closed segment: everything before it is on disk or in the archive.
    pub last_segment_at: Option<Timestamp>,
    /// Why nothing is being recorded now; `None` while frames arrive.
    pub last_error: Option<String>,
    /// The first picture of this generation, once it is on disk.
    pub first_picture: Option<FirstPicture>,
    /// When the recorder will have ended: it was told to leave.
    pub ends_at: Option<Timestamp>,
}

/// The row of an assignment: the decision and the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentRow {
    /// The dispatcher's part.
    pub assignment: Assignment,
    /// The recorder's part; a new generation keeps `last_segment_at` and clears the rest.
    pub heartbeat: Heartbeat,
}

/// A running recorder as the host lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveTask {
    /// Its name.
    pub arn: TaskArn,
    /// When it was started.
    pub started_at: Timestamp,
    /// Which program it is.
    pub kind: TaskKind,
    /// It has been asked to stop, or is stopping by itself.
    pub stopping: bool,
    /// It is not what a start would start now: another build, or other options.
    pub outdated: bool,
}

/// Which of the recorder's two builds a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// Stream copy only; has no ffmpeg.
    Copy,
    /// Has ffmpeg, for channels whose settings need a transform.
    Transform,
}

impl TaskKind {
    /// The build that channels with these settings need.
    pub fn for_settings(settings: &RecordingSettings) -> Self {
        if settings.needs_transform() {
            Self::Transform
        } else {
            Self::Copy
        }
    }
}

/// A request to start one recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Idempotency token: the same token within its window names the same task. At most 64 printable ASCII
    /// characters (ECS RunTask `clientToken`).
    pub token: String,
    /// Which program to run.
    pub kind: TaskKind,
    /// The channels it is started for; for tags and logs, the assignments decide.
    pub channels: Vec<ChannelKey>,
}
