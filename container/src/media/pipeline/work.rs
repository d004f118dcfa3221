//! What is left to do on disk, and what it led to.

use super::{Break, Event, PipelineError};
use crate::media::clock::SessionClock;
use crate::media::segmenter::{Closing, SegmentId, Segmenter, Step};
use crate::media::spool::{ChannelSpool, OpenFile, SpoolError, Unhashed};
use bytes::Bytes;
use domain::{FirstPicture, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};

/// A camera's own clock is worth a note when it is so far off ours.
const CAMERA_CLOCK_NOTED: SignedDuration = SignedDuration::from_secs(2);

/// The steps of one channel, in order, and the files they work on.
#[derive(Debug)]
pub(super) struct Work {
    spool: ChannelSpool,
    steps: VecDeque<Step>,
    files: BTreeMap<SegmentId, OpenFile>,
    /// The step under way; kept here so that dropping a future does not drop it.
    writing: Option<JoinHandle<Written>>,
    closing: JoinSet<Outcome>,
    events: VecDeque<Event>,
    stopped: bool,
    /// The first picture since recording began, until it is on disk.
    first: Option<(SegmentId, FirstPicture)>,
    recorded_until: Option<Timestamp>,
}

/// What is there now, and what went wrong on the way.
type Outcome = (Vec<Event>, Option<SpoolError>);

/// A step that was done.
#[derive(Debug)]
struct Written {
    id: SegmentId,
    file: Option<OpenFile>,
    result: Result<(), SpoolError>,
    /// Pictures were written, and not only a file's front.
    pictures: bool,
}

impl Work {
    pub(super) fn new(spool: ChannelSpool, recorded_until: Option<Timestamp>) -> Self {
        Self {
            spool,
            steps: VecDeque::new(),
            files: BTreeMap::new(),
            writing: None,
            closing: JoinSet::new(),
            events: VecDeque::new(),
            stopped: true,
            first: None,
            recorded_until,
        }
    }

    /// The end of the last segment that was closed.
    pub(super) fn recorded_until(&self) -> Option<Timestamp> {
        self.recorded_until
    }

    pub(super) fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Takes over what the segmenter wants done; `because` is why, if it has no open segment now.
    pub(super) fn take_steps(&mut self, segmenter: &mut Segmenter, clock: &SessionClock, because: Break) {
        for mut step in segmenter.steps() {
            match &mut step {
                Step::Open {
                    id,
                    start,
                    opens_with,
                    ..
                } if self.stopped => {
                    self.stopped = false;
                    self.events.push_back(Event::Started { at: *start });
                    let (at, mark) = (*start, *opens_with);
                    self.first = Some((*id, FirstPicture { at, mark }));
                }
                Step::Close(closing) => {
                    self.recorded_until = Some(closing.span.end);
                    note_camera_clock(closing, clock);
                }
                Step::Open { .. } | Step::Append { .. } => {}
            }
            self.steps.push_back(step);
        }
        if segmenter.end().is_none() && !self.stopped {
            self.stopped = true;
            let at = self.recorded_until.unwrap_or(Timestamp::MIN);
            self.events.push_back(Event::Stopped { at, because });
        }
    }

    /// Stores a still picture.
    pub(super) fn put_still(&mut self, taken_at: Timestamp, jpeg: Bytes) {
        let spool = self.spool.clone();
        self.closing
            .spawn_blocking(move || match spool.put_still(taken_at, &jpeg) {
                Ok(pending) => (vec![Event::Still(pending)], None),
                Err(error) => (vec![], Some(error)),
            });
    }

    /// Does all steps there are. Cancel-safe.
    pub(super) async fn carry_on(&mut self) -> Result<(), PipelineError> {
        loop {
            if let Some(writing) = &mut self.writing {
                let written = writing.await;
                self.writing = None;
                let Written {
                    id,
                    file,
                    result,
                    pictures,
                } = written?;
                self.files.extend(file.map(|file| (id, file)));
                result?;
                if pictures {
                    let first = self.take_first(id);
                    self.events.extend(first.map(Event::OnDisk));
                }
            }
            while let Some(closed) = self.closing.try_join_next() {
                self.note_closed(closed)?;
            }
            match self.steps.pop_front() {
                Some(step) => self.start(step),
                None => return Ok(()),
            }
        }
    }

    fn start(&mut self, step: Step) {
        match step {
            Step::Open { id, start, bytes, .. } => {
                let spool = self.spool.clone();
                self.writing = Some(spawn_blocking(move || {
                    let (file, result) = match spool.create(start, &bytes) {
                        Ok(file) => (Some(file), Ok(())),
                        Err(error) => (None, Err(error)),
                    };
                    Written {
                        id,
                        file,
                        result,
                        pictures: false,
                    }
                }));
            }
            Step::Append { id, chunks } => {
                // A file that could not be created was reported then.
                let Some(mut file) = self.files.remove(&id) else {
                    return;
                };
                self.writing = Some(spawn_blocking(move || {
                    let result = file.append(&chunks);
                    Written {
                        id,
                        file: Some(file),
                        result,
                        pictures: true,
                    }
                }));
            }
            Step::Close(closing) => {
                let Some(file) = self.files.remove(&closing.id) else {
                    return;
                };
                let spool = self.spool.clone();
                let first = self.take_first(closing.id);
                self.closing
                    .spawn_blocking(move || close(file, closing, &spool, first));
            }
        }
    }

    fn take_first(&mut self, id: SegmentId) -> Option<FirstPicture> {
        let (_, first) = self.first.take_if(|(first, _)| *first == id)?;
        Some(first)
    }

    /// Waits until a file is closed; for ever when none is being closed. Cancel-safe.
    pub(super) async fn closed(&mut self) -> Result<(), PipelineError> {
        match self.closing.join_next().await {
            Some(closed) => self.note_closed(closed),
            None => std::future::pending().await,
        }
    }

    /// Does everything and waits until it is durable. Goes on after a failure, and answers with the first.
    pub(super) async fn finish(&mut self) -> Result<(), PipelineError> {
        let mut result = Ok(());
        while self.writing.is_some() || !self.steps.is_empty() {
            result = result.and(self.carry_on().await);
        }
        while let Some(closed) = self.closing.join_next().await {
            result = result.and(self.note_closed(closed));
        }
        result
    }

    fn note_closed(&mut self, closed: Result<Outcome, JoinError>) -> Result<(), PipelineError> {
        let (events, error) = closed?;
        self.events.extend(events);
        error.map_or(Ok(()), |error| Err(error.into()))
    }
}

fn close(mut file: OpenFile, closing: Closing, spool: &ChannelSpool, first: Option<FirstPicture>) -> Outcome {
    // What was whole before is worth closing even if the last fragment is lost.
    let appended = file.append(&closing.fragment);
    let span = closing.span;
    let length = span.end.duration_since(span.start);
    let segment = SegmentKey::new(spool.key().clone(), span.start, length, spool.generation());
    let meta = Unhashed {
        captured_at: span.captured_at,
        codecs: closing.codecs,
        origin: spool.origin(),
        clock_drift_ms: span.drift_ms,
        note: closing.note,
    };
    match file.close(&closing.patches, &segment, &meta) {
        Ok(pending) => {
            let opens_with = closing.opens_with;
            let closed = Event::Closed { pending, opens_with };
            let events = first.map(Event::OnDisk).into_iter().chain([closed]);
            (events.collect(), appended.err())
        }
        Err(error) => (vec![], Some(error)),
    }
}

fn note_camera_clock(closing: &mut Closing, clock: &SessionClock) {
    let Some(ahead) = clock
        .camera_ahead()
        .filter(|ahead| ahead.abs() >= CAMERA_CLOCK_NOTED)
    else {
        return;
    };
    let side = if ahead.is_negative() { "behind" } else { "ahead" };
    let note = format!("the camera's own clock is {} s {side}", ahead.abs().as_secs());
    closing.note = Some(match closing.note.take() {
        Some(other) => format!("{other}; {note}"),
        None => note,
    });
}
