//! One channel from frames to closed files.
//!
//! The one idea: taking a frame never waits, doing the work may; so the work is a queue of steps that any of the
//! `async` functions here carries on with, and dropping one of their futures loses nothing.

mod event;
mod flows;
mod work;

use crate::media::clock::SessionClock;
use crate::media::frame::{AudioParams, Frame, StreamParams, Track};
use crate::media::segmenter::Segmenter;
use crate::media::spool::ChannelSpool;
use crate::media::transform::{DRAIN_MAX, Passed, Stage, Still, Stills};
use domain::settings::{RecordingSettings, Video};
pub use event::{Break, Event, PipelineError, What};
use flows::Flows;
use jiff::Timestamp;
use std::time::Duration;
use work::Work;

/// Records one channel, session after session.
#[derive(Debug)]
pub struct Pipeline {
    program: String,
    settings: RecordingSettings,
    /// Every key frame begins a segment.
    in_parts: bool,
    session: Option<Session>,
    work: Work,
}

#[derive(Debug)]
struct Session {
    /// As the source has them.
    params: StreamParams,
    /// The sound as it is stored.
    stored_sound: Option<AudioParams>,
    clock: SessionClock,
    segmenter: Segmenter,
    pictures: Stage,
    sound: Stage,
    stills: Option<Stills>,
}

impl Pipeline {
    /// A pipeline for a channel whose last segment ended at `recorded_until`: nothing is recorded with an earlier
    /// time. Transforms run the program `ffmpeg`.
    pub fn new(spool: ChannelSpool, settings: RecordingSettings, recorded_until: Option<Timestamp>) -> Self {
        Self {
            program: "ffmpeg".to_owned(),
            settings,
            in_parts: false,
            session: None,
            work: Work::new(spool, recorded_until),
        }
    }

    /// Runs another program for transforms; it must understand ffmpeg's arguments.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<String>) -> Self {
        self.program = program.into();
        self
    }

    /// The end of the last picture that is recorded, by UTC; what is in memory counts.
    pub fn recorded_until(&self) -> Option<Timestamp> {
        let open = self.session.as_ref().and_then(Session::recorded_until);
        open.or(self.work.recorded_until())
    }

    /// How far the camera's own clock is ahead of ours, by its last sender report in this session.
    pub fn note_sender_report(&mut self, camera_time: Timestamp, arrived_at: Timestamp) {
        if let Some(session) = &mut self.session {
            session.clock.note_sender_report(camera_time, arrived_at);
        }
    }

    /// Begins a session: its media clock starts anew. What is open is closed first, like [`Pipeline::finish`].
    ///
    /// # Errors
    /// [`PipelineError`] when what was open cannot be closed; the session has not begun then.
    pub async fn begin(&mut self, params: StreamParams) -> Result<(), PipelineError> {
        self.finish().await?;
        self.session = Some(self.session_with(params));
        Ok(())
    }

    /// What must be decoded before the next picture, which is the first of the session ([`Segmenter::lead_in`]). Only
    /// pictures that are stored as they come can have it.
    pub fn lead_in(&mut self, pictures: Vec<Frame>) {
        if let Some(session) = &mut self.session
            && self.settings.video == Video::Copy
        {
            session.segmenter.lead_in(pictures);
        }
    }

    fn session_with(&self, params: StreamParams) -> Session {
        let flows = Flows::new(&params, &self.settings);
        let mut session = Session {
            clock: SessionClock::new(self.work.recorded_until()),
            segmenter: Segmenter::new(self.segment_length(), flows.stored.clone()),
            pictures: Stage::default(),
            sound: Stage::default(),
            stills: None,
            stored_sound: None,
            params,
        };
        session.follow(flows, &self.program);
        if self.in_parts {
            session.segmenter.cut_at_every_key();
        }
        session
    }

    /// Begins a segment with every key frame from now on, in this session and those that follow.
    pub fn cut_into_parts(&mut self) {
        self.in_parts = true;
        if let Some(session) = &mut self.session {
            session.segmenter.cut_at_every_key();
        }
    }

    fn segment_length(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.segment_seconds.get()))
    }

    /// Other parameters from the next frame on, in the same session.
    pub fn reconfigure(&mut self, params: StreamParams) {
        let Some(session) = &mut self.session else {
            return;
        };
        if session.params != params {
            let flows = Flows::new(&params, &self.settings);
            session.params = params;
            session.follow(flows, &self.program);
        }
    }

    /// Other settings from the next frame on. A new segment begins when more than its length changes.
    pub fn apply(&mut self, settings: RecordingSettings) {
        let only_length = RecordingSettings {
            segment_seconds: settings.segment_seconds,
            retention_days: settings.retention_days,
            backfill: settings.backfill,
            ..self.settings.clone()
        } == settings;
        self.settings = settings;
        let length = self.segment_length();
        let Some(session) = &mut self.session else {
            return;
        };
        session.segmenter.aim_at(length);
        if !only_length {
            session.follow(Flows::new(&session.params, &self.settings), &self.program);
        }
    }

    /// Takes a frame and carries on with the work. Cancel-safe: a frame once passed is never lost, and what is
    /// left to do is done by the next call. Waits while a transform does not keep up.
    ///
    /// # Errors
    /// [`PipelineError`]; call [`Pipeline::finish`], then [`Pipeline::begin`] again when it makes sense.
    pub async fn push(&mut self, frame: Frame) -> Result<(), PipelineError> {
        self.take(frame)?;
        while self.is_behind() {
            self.note_waiting();
            self.wait().await?;
        }
        self.work.carry_on().await
    }

    /// [`Pipeline::push`] for a caller who has more to do than to wait for a transform: while [`Pipeline::is_behind`], it offers
    /// nothing and lets the pipeline [`Pipeline::catch_up`].
    ///
    /// # Errors
    /// [`PipelineError`], as for [`Pipeline::push`].
    pub async fn offer(&mut self, frame: Frame) -> Result<(), PipelineError> {
        self.take(frame)?;
        self.work.carry_on().await
    }

    /// Whether a transform does not keep up.
    pub fn is_behind(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_behind)
    }

    fn note_waiting(&mut self) {
        if let Some(session) = &mut self.session {
            session.clock.note_waiting();
        }
    }

    /// What happens until no transform is behind any more; `None` then. Cancel-safe.
    ///
    /// # Errors
    /// [`PipelineError`], as for [`Pipeline::push`].
    pub async fn catch_up(&mut self) -> Result<Option<Event>, PipelineError> {
        while self.is_behind() {
            self.note_waiting();
            self.work.carry_on().await?;
            if let Some(event) = self.work.event() {
                return Ok(Some(event));
            }
            self.wait().await?;
        }
        Ok(None)
    }

    fn take(&mut self, frame: Frame) -> Result<(), PipelineError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        if !session.clock.observe(frame.time, frame.arrived_at) {
            self.jump(&frame)?;
        }
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        match frame.track {
            Track::Video => {
                if let Some(stills) = &mut session.stills {
                    stills.offer(&frame);
                }
                session.pictures.offer(frame);
            }
            Track::Audio => session.sound.offer(frame),
        }
        self.pass_ready()
    }

    /// The media clock jumped: what is open ends, and a session with a new clock takes over.
    fn jump(&mut self, frame: &Frame) -> Result<(), PipelineError> {
        let Some(mut session) = self.session.take() else {
            return Ok(());
        };
        let finished = session.segmenter.finish(&mut session.clock);
        self.work
            .take_steps(&mut session.segmenter, &session.clock, Break::ClockJump);
        let mut next = self.session_with(session.params);
        // The first frame a clock sees cannot be a jump.
        let _ = next.clock.observe(frame.time, frame.arrived_at);
        self.session = Some(next);
        Ok(finished?)
    }

    /// What happens next; errors belong to recording, not to the call. Cancel-safe. Waits for ever when nothing will.
    ///
    /// # Errors
    /// [`PipelineError`], as for [`Pipeline::push`].
    pub async fn next(&mut self) -> Result<Event, PipelineError> {
        loop {
            self.work.carry_on().await?;
            if let Some(event) = self.work.event() {
                return Ok(event);
            }
            self.wait().await?;
        }
    }

    /// An event that is there already; for after [`Pipeline::finish`].
    pub fn ready_event(&mut self) -> Option<Event> {
        self.work.event()
    }

    /// Ends the session: lets transforms put out what they hold, and closes what is open. Returns when everything
    /// is durable; the events are there then. Safe to call again when it was dropped or failed.
    ///
    /// # Errors
    /// [`PipelineError`] when something could not be closed. Another call tries that again.
    pub async fn finish(&mut self) -> Result<(), PipelineError> {
        let drained = tokio::time::timeout(2 * DRAIN_MAX, self.drain()).await;
        let mut result = drained.unwrap_or(Ok(()));
        if let Some(mut session) = self.session.take() {
            let finished = session.segmenter.finish(&mut session.clock);
            self.work
                .take_steps(&mut session.segmenter, &session.clock, Break::Asked);
            result = result.and(finished.map_err(PipelineError::from));
        }
        result.and(self.work.finish().await)
    }

    /// Nothing is tried again: what could not be closed is [`Event::Lost`].
    pub fn give_up(&mut self) {
        self.work.give_up();
    }

    async fn drain(&mut self) -> Result<(), PipelineError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        session.pictures.close();
        session.sound.close();
        self.pass_ready()?;
        while self.session.as_ref().is_some_and(Session::is_draining) {
            self.wait().await?;
        }
        Ok(())
    }

    /// Hands on what is there without waiting for a child.
    fn pass_ready(&mut self) -> Result<(), PipelineError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        while let Some(passed) = session.pictures.ready() {
            session.pass(passed, What::Pictures, &mut self.work)?;
        }
        while let Some(passed) = session.sound.ready() {
            session.pass(passed, What::Sound, &mut self.work)?;
        }
        Ok(())
    }

    /// Waits for one thing: out of a transform, or from the disk. Cancel-safe.
    async fn wait(&mut self) -> Result<(), PipelineError> {
        let Some(session) = &mut self.session else {
            return self.work.closed().await;
        };
        tokio::select! {
            passed = session.pictures.next() => session.pass(passed?, What::Pictures, &mut self.work),
            passed = session.sound.next() => session.pass(passed?, What::Sound, &mut self.work),
            still = next_still(&mut session.stills) => {
                session.take_still(still, &mut self.work);
                Ok(())
            }
            closed = self.work.closed() => closed,
        }
    }
}

impl Session {
    fn recorded_until(&self) -> Option<Timestamp> {
        self.segmenter.end().map(|end| self.clock.utc(end))
    }

    fn is_behind(&self) -> bool {
        self.pictures.is_behind() || self.sound.is_behind()
    }

    fn is_draining(&self) -> bool {
        !self.pictures.is_drained() || !self.sound.is_drained()
    }

    /// Sends the frames that follow where the settings want them.
    fn follow(&mut self, flows: Flows, program: &str) {
        self.stored_sound = flows.stored.audio;
        self.pictures.switch(program, flows.pictures);
        self.sound.switch(program, flows.sound);
        let every = flows.stills_every;
        self.stills = every.map(|every| Stills::new(program, every, self.params.video.clone()));
    }

    fn pass(&mut self, passed: Passed, what: What, work: &mut Work) -> Result<(), PipelineError> {
        match passed {
            Passed::Pictures(video) => {
                let audio = self.stored_sound.clone();
                self.segmenter.reconfigure(StreamParams { video, audio });
            }
            Passed::Frame(frame) => {
                let pushed = self.segmenter.push(frame, &mut self.clock);
                work.take_steps(&mut self.segmenter, &self.clock, Break::Parameters);
                pushed?;
            }
            Passed::Failed { error, again_in } => {
                work.tell(Event::TransformFailed {
                    what,
                    error,
                    again_in,
                });
                if what == What::Pictures && !again_in.is_zero() {
                    let finished = self.segmenter.finish(&mut self.clock);
                    work.take_steps(&mut self.segmenter, &self.clock, Break::Transform);
                    finished?;
                }
            }
            Passed::End => {}
        }
        Ok(())
    }

    fn take_still(&mut self, still: Still, work: &mut Work) {
        match still {
            Still::Taken(time, jpeg) => work.put_still(self.clock.utc(time), jpeg),
            Still::Failed { error, again_in } => {
                work.tell(Event::TransformFailed {
                    what: What::Stills,
                    error,
                    again_in,
                });
            }
        }
    }
}

async fn next_still(stills: &mut Option<Stills>) -> Still {
    match stills {
        Some(stills) => stills.next().await,
        None => std::future::pending().await,
    }
}
