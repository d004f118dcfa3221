//! Pictures and sound that must change: ffmpeg children, and what becomes of their deaths.
//!
//! ```text
//! frames ─▶ waiting ─▶ fragments ─stdin▶ ffmpeg ─stdout▶ samples ─▶ frames, on the same media clock
//!              ▲                                            │
//!              └── given: from the last key frame whose pictures are not all out yet
//! ```
//! The one idea: what a child was given and has not answered for is kept, so when it dies another one is given
//! the same, told to put out only what is missing, and nothing is lost.
//!
//! One child per thing that changes (pictures, sound, stills): what is only copied never passes through one, and
//! one that dies takes nothing else with it.

mod args;
mod child;
mod debt;
mod feed;
mod g711;
mod kept;
mod stage;
mod stills;

pub use args::Job;
pub use child::TransformError;

use crate::media::demux::{Access, Item};
use crate::media::frame::{Frame, MediaTime, Track};
use crate::media::mux::TrackSpec;
use child::Running;
use debt::Debt;
pub use feed::Source;
use feed::Writer;
use jiff::{SignedDuration, Timestamp};
use kept::Kept;
pub use stage::{Flow, Passed, Stage};
use std::time::Duration;
pub use stills::{Still, Stills};
use tokio::time::Instant;

/// How long a child may take to put out what it holds when its input ends.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(5);
/// A child that lived so long was healthy: the next one is started at once.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// Pauses before the second, third, ... start in a row.
const RESTART_PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];
/// After so many deaths in a row without an answer, what the child was given is the likely reason, and given up.
const POISON_AFTER: usize = 3;
/// Sound may be so far behind; pictures that are not held back would close its segment without it.
const LAG_MAX: SignedDuration = SignedDuration::from_secs(1);
/// What comes out of a transform.
#[derive(Debug)]
pub enum Output {
    /// How the frames that follow are encoded.
    Track(TrackSpec),
    /// One encoded frame.
    Frame(Frame),
    /// The child died. Another one starts at once, or after a pause (`again_in`) when it was not the first in a row.
    Failed {
        /// Why.
        error: TransformError,
        /// The pause before the next start.
        again_in: Duration,
    },
    /// Everything is out, after [`Transform::close`].
    End,
}

/// One child's job, whoever does it.
#[derive(Debug)]
pub struct Transform {
    program: String,
    job: Job,
    source: Source,
    state: State,
    kept: Kept,
    last_out: Option<MediaTime>,
    failures: usize,
    closed: bool,
    /// [`Output::End`] was given.
    told: bool,
}

#[derive(Debug)]
enum State {
    /// No child before then.
    Pausing(Instant),
    Running(Box<Child>),
    /// All is out.
    Ended,
}

/// What happened between us and the child.
enum Turn {
    Out(Option<Result<Item, TransformError>>),
    Fed(Result<(), TransformError>),
    Stuck(u64),
}

#[derive(Debug)]
struct Child {
    running: Running,
    writer: Writer,
    started: Instant,
    debt: Debt,
    /// The encoder's name for the first sample is known.
    announced: bool,
}

impl Transform {
    /// A transform of one track. The child is started with the first frame.
    pub fn new(program: impl Into<String>, job: Job, source: Source) -> Self {
        Self {
            program: program.into(),
            job,
            source,
            state: State::Pausing(Instant::now()),
            kept: Kept::default(),
            last_out: None,
            failures: 0,
            closed: false,
            told: false,
        }
    }

    /// What it reads.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Takes a frame; it is worked on by [`Transform::next`].
    pub fn offer(&mut self, frame: Frame) {
        self.kept.push(frame);
    }

    /// The child does not keep up: the caller should wait for [`Transform::next`] before it offers more. False
    /// while there is no child to wait for.
    pub fn is_behind(&self) -> bool {
        let is_active = match &self.state {
            State::Pausing(until) => *until <= Instant::now(),
            State::Running(_) => true,
            State::Ended => false,
        };
        is_active && (self.is_full() || self.sound_behind() > LAG_MAX)
    }

    /// More frames wait than a child should ever be behind.
    pub fn is_full(&self) -> bool {
        self.kept.is_full()
    }

    /// How much sound has not come out. Pictures may be far apart, and are kept longer than they are unanswered.
    fn sound_behind(&self) -> SignedDuration {
        match self.source {
            Source::Sound { .. } => self.kept.span(),
            Source::Pictures(_) => SignedDuration::ZERO,
        }
    }

    /// Lets the child put out what it holds and end; [`Output::End`] follows.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Feeds the child and waits for what comes out. Cancel-safe. Waits for ever when there is nothing to do.
    pub async fn next(&mut self) -> Output {
        loop {
            self.kept.bound();
            match &mut self.state {
                State::Ended if self.told => std::future::pending().await,
                State::Ended => {
                    self.told = true;
                    return Output::End;
                }
                State::Pausing(_) if self.kept.is_empty() => {
                    if !self.closed {
                        std::future::pending::<()>().await;
                    }
                    self.state = State::Ended;
                }
                State::Pausing(until) => {
                    tokio::time::sleep_until(*until).await;
                    if let Err(error) = self.start() {
                        return self.fail(error);
                    }
                }
                State::Running(_) => match self.exchange().await {
                    Ok(Some(output)) => return output,
                    Ok(None) => {}
                    Err(error) => return self.fail(error),
                },
            }
        }
    }

    fn start(&mut self) -> Result<(), TransformError> {
        let args = self.job.args(self.last_out.map(feed::to_child));
        let writer = Writer::new(&self.source)?;
        self.state = State::Running(Box::new(Child {
            running: Running::start(&self.program, &args)?,
            writer,
            started: Instant::now(),
            debt: Debt::default(),
            announced: false,
        }));
        self.kept.give_again();
        Ok(())
    }

    /// One step with the running child: a frame in, or a sample out.
    async fn exchange(&mut self) -> Result<Option<Output>, TransformError> {
        match self.turn().await {
            Turn::Out(Some(item)) => Ok(self.answered(item?)),
            Turn::Out(None) => self.ended().map(|()| None),
            Turn::Fed(result) => {
                self.kept.was_given();
                if !self.job.loses_nothing() {
                    self.kept.forget_given();
                }
                result.map(|()| None)
            }
            Turn::Stuck(seconds) => Err(TransformError::Stuck { seconds }),
        }
    }

    async fn turn(&mut self) -> Turn {
        let is_waited_for = self.is_behind();
        let State::Running(child) = &mut self.state else {
            return Turn::Out(None);
        };
        let Child {
            running,
            writer,
            debt,
            ..
        } = child.as_mut();
        self.kept.skip_until(|frame| writer.accepts(frame));
        if self.closed && self.kept.next().is_none() {
            running.close_input();
            debt.fall_due();
        }
        let patience = if self.closed {
            DRAIN_MAX
        } else {
            self.job.patience()
        };
        let (feed, outputs) = running.ends();
        let is_blocked = self.kept.next().is_some() && feed.is_some_and(|feed| feed.capacity() == 0);
        debt.blocked(is_waited_for || is_blocked);
        let stuck_at = debt.since().map(|since| since + patience);
        let room = async {
            let feed = feed?;
            let frame = self.kept.next()?;
            feed.reserve().await.ok().map(|permit| (permit, frame))
        };
        tokio::select! {
            biased;
            item = outputs.recv() => Turn::Out(item),
            Some((permit, frame)) = room => {
                debt.fed(frame.time, self.last_out);
                let written = writer.write(frame).map(|fragment| permit.send(fragment));
                Turn::Fed(written.map_err(TransformError::Feed))
            }
            () = until(stuck_at) => Turn::Stuck(patience.as_secs()),
        }
    }

    fn answered(&mut self, item: Item) -> Option<Output> {
        let State::Running(child) = &mut self.state else {
            return None;
        };
        match item {
            Item::Tracks(tracks) => {
                child.announced = true;
                tracks.into_iter().next().map(Output::Track)
            }
            Item::Sample(access) => {
                child.debt.answered();
                let time = feed::from_child(access.time);
                let is_new = self
                    .last_out
                    .is_none_or(|last| time.since_start() > last.since_start());
                if !is_new {
                    return None;
                }
                self.last_out = Some(time);
                match self.source {
                    Source::Pictures(_) => self.kept.forget_pictures(time),
                    Source::Sound { .. } => self.kept.forget(time),
                }
                Some(Output::Frame(self.frame(access, time)))
            }
        }
    }

    fn frame(&self, access: Access, time: MediaTime) -> Frame {
        let track = match self.source {
            Source::Pictures(_) => Track::Video,
            Source::Sound { .. } => Track::Audio,
        };
        Frame {
            track,
            time,
            duration: Some(access.duration),
            key: access.key,
            data: access.data,
            arrived_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// The child ended without an error.
    fn ended(&mut self) -> Result<(), TransformError> {
        if self.closed {
            self.state = State::Ended;
            return Ok(());
        }
        Err(TransformError::Ended {
            status: "exit status: 0".to_owned(),
            messages: ", though its input had not".to_owned(),
        })
    }

    fn fail(&mut self, error: TransformError) -> Output {
        let (announced, lived) = match &self.state {
            State::Running(child) => (child.announced, child.started.elapsed()),
            State::Pausing(_) | State::Ended => (false, Duration::ZERO),
        };
        if announced && lived >= HEALTHY_AFTER {
            self.failures = 0;
        }
        let again_in = RESTART_PAUSES[self.failures.min(RESTART_PAUSES.len() - 1)];
        self.failures += 1;
        if self.failures >= POISON_AFTER {
            self.kept.forget_given();
        }
        // One that does not work is not worth waiting for at the end.
        self.state = if self.closed && (!announced || self.failures >= POISON_AFTER) {
            State::Ended
        } else {
            State::Pausing(Instant::now() + again_in)
        };
        Output::Failed { error, again_in }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
