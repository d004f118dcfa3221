//! Tasks (running recorders) and assignments (which task records which channel).

use crate::channel::DeviceState;
use crate::id::{ChannelKey, Generation, TaskArn};
use crate::settings::RecordingSettings;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
