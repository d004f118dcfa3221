//! A recorder's folder, a pipeline into it, and what others say of the result.

use crate::camera::Camera;
use domain::settings::RecordingSettings;
use domain::{ChannelKey, Generation, TaskArn};
use recorder::media::pipeline::{Event, Pipeline};
use recorder::media::spool::{Pending, Spool};
use simulator::frames::ReadFrame;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) struct Folder {
    pub(crate) root: TempDir,
    pub(crate) spool: Arc<Spool>,
}

pub(crate) fn channel() -> ChannelKey {
    ChannelKey::new("38941127-49B5-44B3", "1")
}

pub(crate) fn settings(segment_seconds: u32) -> RecordingSettings {
    RecordingSettings {
        segment_seconds: NonZeroU32::new(segment_seconds).unwrap(),
        ..RecordingSettings::default()
    }
}

impl Folder {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::open(root.path(), &TaskArn::from("task-1")).unwrap();
        Self {
            root,
            spool: Arc::new(spool),
        }
    }

    /// The spool itself; the folder goes when the test ends.
    pub(crate) fn take(self) -> Spool {
        let _path = self.root.keep();
        Arc::into_inner(self.spool).unwrap()
    }

    pub(crate) fn pipeline(&self, settings: RecordingSettings) -> Pipeline {
        Pipeline::new(self.spool.channel(channel(), Generation(7)), settings, None)
    }
}

/// Records all a camera sent, from the first frame to a finish.
pub(crate) async fn record(pipeline: &mut Pipeline, camera: &Camera) -> Vec<Event> {
    pipeline.begin(camera.params.clone()).await.unwrap();
    for frame in &camera.frames {
        pipeline.push(frame.clone()).await.unwrap();
    }
    pipeline.finish().await.unwrap();
    events(pipeline)
}

pub(crate) fn events(pipeline: &mut Pipeline) -> Vec<Event> {
    std::iter::from_fn(|| pipeline.ready_event()).collect()
}

/// The segments among the events, by start.
pub(crate) fn closed(events: &[Event]) -> Vec<Pending> {
    let mut closed: Vec<Pending> = events
        .iter()
        .filter_map(|event| match event {
            Event::Closed { pending, .. } => Some(pending.clone()),
            Event::Started { .. }
            | Event::OnDisk(_)
            | Event::Stopped { .. }
            | Event::Lost { .. }
            | Event::Still(_)
            | Event::TransformFailed { .. } => None,
        })
        .collect();
    closed.sort_by_key(|pending| pending.start);
    closed
}

/// Decodes a file and reads its frames.
pub(crate) async fn frames(file: &Path) -> Vec<ReadFrame> {
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || simulator::frames::read(&file).unwrap())
        .await
        .unwrap()
}

/// The indexes of all frames of files, in order.
pub(crate) async fn indexes(pending: &[Pending]) -> Vec<u32> {
    let mut indexes = Vec::new();
    for segment in pending {
        let read = frames(&segment.file).await;
        indexes.extend(read.iter().map(|frame| frame.index.expect("a readable frame")));
    }
    indexes
}

/// What ffprobe says.
pub(crate) fn ffprobe(args: &str, file: &Path) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(args.split_ascii_whitespace())
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
