//! What a channel records: its pipeline from session to session, and the breaks in it.

use super::machine::Failure;
use crate::context::Context;
use crate::media::frame::{Frame, MediaTime, StreamParams, Track};
use crate::media::pipeline::{Break, Event, Pipeline, PipelineError, What};
use crate::media::spool::{Pending, SpoolError};
use crate::media::transform::TransformError;
use domain::ports::chain;
use domain::settings::RecordingSettings;
use domain::{Assignment, FirstPicture, GapCause, PictureMark};
use jiff::{SignedDuration, Timestamp};
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// Pictures further apart than this on the camera's clock are a hole: what lies between was lost on the way, and
/// what follows cannot be decoded before the next key frame ...
const HOLE_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// ... unless so many pictures at the last interval take longer: then it is a slow camera.
const HOLE_INTERVALS: i32 = 4;
/// A hole that shows so soon after the stream had to wait for a transform is that one's doing: the gateway gave up what
/// nobody took. More than its buffers and ours hold.
const WAITED_WITHIN: Duration = Duration::from_secs(30);

/// What became of what was pushed.
#[derive(Debug)]
pub(super) enum Recorded {
    /// Pictures are recorded from this time on.
    Started(Timestamp),
    /// The recorded pictures end here, because of this as far as the pipeline knows.
    Stopped(Timestamp, GapCause),
    /// The first of them are on disk.
    OnDisk(FirstPicture),
    /// A segment that begins with this picture is complete.
    Segment(Box<Pending>, PictureMark),
    /// The disk has lost what was recorded between these times, because of this.
    Lost(Timestamp, Timestamp, GapCause),
    /// A still is complete.
    Still(Box<Pending>),
    /// An ffmpeg child died; another one takes over what it was doing, after this pause.
    TransformFailed(What, TransformError, Duration),
    /// No transform is behind any more: there is room for frames.
    CaughtUp,
    /// Recording cannot go on; [`Recording::finish`] it.
    Failed(Failure),
}

/// One channel's pipeline.
#[derive(Debug)]
pub(super) struct Recording {
    pipeline: Pipeline,
    /// How the stream is encoded; `None` while there is no session.
    params: Option<StreamParams>,
    last_picture: Option<MediaTime>,
    last_interval: SignedDuration,
    /// When the stream last had to wait for a transform for long.
    waited_at: Option<Instant>,
    /// Why the pipeline is asked to stop.
    because: GapCause,
    /// What the disk's last refusal was.
    disk_trouble: GapCause,
}

impl Recording {
    /// Records `assignment` into the spool; nothing gets a time before `recorded_to`.
    pub(super) fn new(context: &Context, assignment: &Assignment, recorded_to: Option<Timestamp>) -> Self {
        let spool = context
            .spool
            .channel(assignment.key.clone(), assignment.generation);
        Self {
            pipeline: Pipeline::new(spool, assignment.settings.clone(), recorded_to),
            params: None,
            last_picture: None,
            last_interval: SignedDuration::ZERO,
            waited_at: None,
            because: GapCause::Starting,
            disk_trouble: GapCause::SpoolDamaged,
        }
    }

    /// The frames that follow are encoded like this; begins a session if there is none.
    pub(super) async fn describe(&mut self, params: StreamParams) -> Result<(), Failure> {
        if self.params.is_some() {
            self.pipeline.reconfigure(params.clone());
            self.params = Some(params);
            return Ok(());
        }
        self.params = Some(params);
        self.begin(GapCause::Starting).await
    }

    /// Records a frame. Not to be called while a transform [is behind](Recording::is_behind).
    pub(super) async fn push(&mut self, frame: Frame) -> Result<(), Failure> {
        if frame.track == Track::Video && self.is_after_hole(frame.time) {
            let cause = if self.has_waited() {
                GapCause::TransformFailed
            } else {
                GapCause::StreamStalled
            };
            self.begin(cause).await?;
        }
        let taken = self.pipeline.offer(frame).await;
        taken.map_err(|error| self.failure(&error))
    }

    /// Whether a transform does not keep up: frames have to wait until [`Recording::next`] says otherwise.
    pub(super) fn is_behind(&self) -> bool {
        self.pipeline.is_behind()
    }

    fn has_waited(&self) -> bool {
        self.waited_at.is_some_and(|at| at.elapsed() <= WAITED_WITHIN)
    }

    /// Why a connection really broke: a gateway gives up who takes nothing for long.
    pub(super) fn explained(&self, failure: Failure) -> Failure {
        if failure.cause != GapCause::Network || !self.has_waited() {
            return failure;
        }
        let text = format!("{}, after frames had to wait for a transform", failure.text);
        Failure::new(GapCause::TransformFailed, text)
    }

    /// Frames have been waiting for a transform for long.
    pub(super) fn note_waiting(&mut self) {
        self.waited_at = Some(Instant::now());
    }

    /// What the camera believes the time to be.
    pub(super) fn note_camera_clock(&mut self, camera: Timestamp, arrived_at: Timestamp) {
        self.pipeline.note_sender_report(camera, arrived_at);
    }

    /// Other settings from the next frame on.
    pub(super) fn change(&mut self, settings: RecordingSettings) {
        self.pipeline.apply(settings);
    }

    /// Begins a segment with every key frame from now on.
    pub(super) fn cut_into_parts(&mut self) {
        self.pipeline.cut_into_parts();
    }

    /// The end of the last picture that is recorded.
    pub(super) fn recorded_until(&self) -> Option<Timestamp> {
        self.pipeline.recorded_until()
    }

    /// What happens next; for ever pending when nothing will. Cancel-safe.
    pub(super) async fn next(&mut self) -> Recorded {
        let event = if self.pipeline.is_behind() {
            self.pipeline.catch_up().await
        } else {
            self.pipeline.next().await.map(Some)
        };
        match event {
            Ok(Some(event)) => self.named(event),
            Ok(None) => Recorded::CaughtUp,
            Err(error) => Recorded::Failed(self.failure(&error)),
        }
    }

    /// Ends the session; everything it recorded is on disk when this returns what became of it, but for what the disk
    /// refused. That is a failure, and is tried again by another call.
    pub(super) async fn finish(&mut self) -> Vec<Recorded> {
        self.params = None;
        self.last_picture = None;
        self.because = GapCause::Starting;
        let finished = self.pipeline.finish().await;
        let failed = finished.err().map(|error| Recorded::Failed(self.failure(&error)));
        let mut recorded = self.ready();
        recorded.extend(failed);
        recorded
    }

    /// Nothing is tried again; returns what is lost by that.
    pub(super) fn give_up(&mut self) -> Vec<Recorded> {
        self.pipeline.give_up();
        self.ready()
    }

    fn ready(&mut self) -> Vec<Recorded> {
        let mut recorded = Vec::new();
        while let Some(event) = self.pipeline.ready_event() {
            recorded.push(self.named(event));
        }
        recorded
    }

    async fn begin(&mut self, because: GapCause) -> Result<(), Failure> {
        let Some(params) = self.params.clone() else {
            return Ok(());
        };
        self.because = because;
        let begun = self.pipeline.begin(params).await;
        begun.map_err(|error| self.failure(&error))
    }

    /// Whether pictures are missing before this one, by the camera's own clock.
    fn is_after_hole(&mut self, time: MediaTime) -> bool {
        let Some(before) = self.last_picture.replace(time) else {
            return false;
        };
        let interval = time.since_start().saturating_sub(before.since_start());
        let slow = self.last_interval.saturating_mul(HOLE_INTERVALS);
        self.last_interval = interval;
        interval > HOLE_AFTER.max(slow)
    }

    fn named(&self, event: Event) -> Recorded {
        match event {
            Event::Started { at } => Recorded::Started(at),
            Event::Stopped { at, because } => Recorded::Stopped(at, self.cause(because)),
            Event::OnDisk(first) => Recorded::OnDisk(first),
            Event::Closed { pending, opens_with } => Recorded::Segment(Box::new(pending), opens_with),
            Event::Lost { start, end } => Recorded::Lost(start, end, self.disk_trouble),
            Event::Still(pending) => Recorded::Still(Box::new(pending)),
            Event::TransformFailed {
                what,
                error,
                again_in,
            } => Recorded::TransformFailed(what, error, again_in),
        }
    }

    fn failure(&mut self, error: &PipelineError) -> Failure {
        let cause = cause_of(error);
        if let PipelineError::Spool(_) = error {
            self.disk_trouble = cause;
        }
        Failure::new(cause, chain(error))
    }

    fn cause(&self, because: Break) -> GapCause {
        match because {
            Break::Asked => self.because,
            Break::Parameters => GapCause::UnsupportedStream,
            Break::ClockJump => GapCause::StreamStalled,
            Break::Transform => GapCause::TransformFailed,
        }
    }
}

fn cause_of(error: &PipelineError) -> GapCause {
    match error {
        PipelineError::Spool(error) if is_disk_full(error) => GapCause::SpoolOverflow,
        PipelineError::Spool(_) | PipelineError::Task(_) => GapCause::SpoolDamaged,
        PipelineError::Segment(_) => GapCause::UnsupportedStream,
    }
}

fn is_disk_full(error: &SpoolError) -> bool {
    match error {
        SpoolError::Io { source, .. } => {
            matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        }
        SpoolError::InUse { .. } | SpoolError::Metadata { .. } | SpoolError::Damaged { .. } => false,
    }
}
