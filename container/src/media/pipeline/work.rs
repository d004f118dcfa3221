//! What is left to do on disk, and what it led to.

use super::{Break, Event, PipelineError};
use crate::media::clock::SessionClock;
use crate::media::segmenter::{Closing, SegmentId, Segmenter, Step};
use crate::media::spool::{ChannelSpool, OpenFile, Pending, SpoolError, Unhashed};
use bytes::Bytes;
use domain::coverage::JOIN;
use domain::{FirstPicture, SegmentKey};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};

/// A camera's own clock is worth a note when it is so far off ours.
const CAMERA_CLOCK_NOTED: SignedDuration = SignedDuration::from_secs(2);
/// Files that the disk did not let be closed are kept open for another try, so many: each costs a descriptor. Beyond, the
/// oldest is lost until the next salvage.
const UNCLOSED_MAX: usize = 8;

/// The steps of one channel, in order, and the files they work on.
#[derive(Debug)]
pub(super) struct Work {
    spool: ChannelSpool,
    steps: VecDeque<Step>,
    files: BTreeMap<SegmentId, OpenFile>,
    /// The step under way; kept here so that dropping a future does not drop it.
    writing: Option<JoinHandle<Written>>,
    closing: JoinSet<Outcome>,
    /// What could not be closed, oldest first.
    unclosed: VecDeque<Unclosed>,
    events: VecDeque<Event>,
    stopped: bool,
    /// The first picture since recording began, until it is on disk.
    first: Option<(SegmentId, FirstPicture)>,
    recorded_until: Option<Timestamp>,
}

/// What became of closing a file.
#[derive(Debug, Default)]
struct Outcome {
    /// What is there now.
    events: Vec<Event>,
    /// What went wrong on the way.
    error: Option<SpoolError>,
    /// It is worth another try.
    unclosed: Option<Unclosed>,
}

/// A file that is to be closed.
#[derive(Debug)]
struct Unclosed {
    file: OpenFile,
    closing: Closing,
    /// The first picture since recording began, if it is in the last fragment.
    first: Option<FirstPicture>,
}

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
            unclosed: VecDeque::new(),
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
                Ok(pending) => Outcome {
                    events: vec![Event::Still(pending)],
                    ..Outcome::default()
                },
                Err(error) => Outcome {
                    error: Some(error),
                    ..Outcome::default()
                },
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
                    self.events.push_back(lost(&closing));
                    return;
                };
                let first = self.take_first(closing.id);
                self.close_again(Telling::Known);
                self.close(Unclosed { file, closing, first }, Telling::News);
            }
        }
    }

    fn close(&mut self, unclosed: Unclosed, telling: Telling) {
        let spool = self.spool.clone();
        self.closing.spawn_blocking(move || {
            let mut outcome = close(unclosed, &spool);
            if telling == Telling::Known {
                outcome.error = None;
            }
            outcome
        });
    }

    /// Tries what could not be closed once more.
    fn close_again(&mut self, telling: Telling) {
        for unclosed in std::mem::take(&mut self.unclosed) {
            self.close(unclosed, telling);
        }
    }

    /// What could not be closed is lost, as far as this process can tell: the next salvage may know better.
    pub(super) fn give_up(&mut self) {
        let unclosed = std::mem::take(&mut self.unclosed);
        self.events
            .extend(unclosed.iter().map(|unclosed| lost(&unclosed.closing)));
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

    /// Does everything and waits until it is durable; tries again what could not be closed before. Goes on after a failure,
    /// and answers with the first.
    pub(super) async fn finish(&mut self) -> Result<(), PipelineError> {
        let mut result = Ok(());
        self.close_again(Telling::News);
        while self.writing.is_some() || !self.steps.is_empty() {
            result = result.and(self.carry_on().await);
        }
        while let Some(closed) = self.closing.join_next().await {
            result = result.and(self.note_closed(closed));
        }
        result
    }

    fn note_closed(&mut self, closed: Result<Outcome, JoinError>) -> Result<(), PipelineError> {
        let Outcome {
            events,
            error,
            unclosed,
        } = closed?;
        self.events.extend(events);
        self.unclosed.extend(unclosed);
        while self.unclosed.len() > UNCLOSED_MAX {
            let oldest = self.unclosed.pop_front();
            self.events.extend(oldest.map(|oldest| lost(&oldest.closing)));
        }
        error.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Whether a failure to close a file is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    News,
    /// It was told before, and is nobody's fault who records now.
    Known,
}

fn close(mut unclosed: Unclosed, spool: &ChannelSpool) -> Outcome {
    let Unclosed { file, closing, first } = &mut unclosed;
    // What was whole before is worth closing even if the last fragment is lost. Another try finds it appended.
    let appended = file.append(&std::mem::take(&mut closing.fragment));
    let span = closing.span;
    let length = span.end.duration_since(span.start);
    let segment = SegmentKey::new(spool.key().clone(), span.start, length, spool.generation());
    let meta = Unhashed {
        captured_at: span.captured_at,
        codecs: closing.codecs.clone(),
        origin: spool.origin(),
        clock_drift_ms: span.drift_ms,
        note: closing.note.clone(),
    };
    match file.close(&closing.patches, &segment, &meta) {
        Ok(pending) => Outcome {
            events: closed(pending, closing, *first),
            error: appended.err(),
            unclosed: None,
        },
        Err(error @ SpoolError::Damaged { .. }) => Outcome {
            events: vec![lost(closing)],
            error: Some(error),
            unclosed: None,
        },
        Err(error @ (SpoolError::Io { .. } | SpoolError::InUse { .. } | SpoolError::Metadata { .. })) => {
            Outcome {
                events: Vec::new(),
                error: Some(error),
                unclosed: Some(unclosed),
            }
        }
    }
}

/// A file is closed, and what the disk did not take of its end is lost.
fn closed(pending: Pending, closing: &Closing, first: Option<FirstPicture>) -> Vec<Event> {
    let end = pending.segment.as_ref().map_or(closing.span.end, SegmentKey::end);
    let cut_off = (closing.span.end.duration_since(end) > JOIN).then_some(Event::Lost {
        start: end,
        end: closing.span.end,
    });
    let opens_with = closing.opens_with;
    let closed = Event::Closed { pending, opens_with };
    let events = first.map(Event::OnDisk).into_iter().chain([closed]);
    events.chain(cut_off).collect()
}

fn lost(closing: &Closing) -> Event {
    Event::Lost {
        start: closing.span.start,
        end: closing.span.end,
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
