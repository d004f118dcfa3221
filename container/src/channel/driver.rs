//! The driver: gives the state machine what happens and does what it says.
//!
//! ```text
//!  commands, stop ─┐                         ┌─▶ pipeline ─▶ spool ─▶ uploader
//!  line (RTSP) ────┼─▶ next event ─▶ handle ─┼─▶ machine ─▶ connect, disconnect, rows, reports
//!  pipeline, timer ┘                         └─▶ (Ended)
//! ```

use super::handover::settle;
use super::hole::Coverage;
use super::line::{Line, LineEvent};
use super::machine::{Failure, Input, Machine, Output};
use super::recording::{Recorded, Recording};
use crate::calm::Urgent;
use crate::context::Context;
use crate::media::frame::Track;
use crate::media::spool::Pending;
use crate::source::{Item, gateway_of};
use domain::ports::chain;
use domain::succession::{Handover, Succession, keeps_from};
use domain::{Assignment, AssignmentRow, ChannelKey, FirstPicture, Gap, Generation};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

mod closing;
mod telling;

/// A timer that is not needed yet is set this far away.
const FAR_AWAY: Duration = Duration::from_hours(24);

/// What the supervisor tells a running channel.
#[derive(Debug)]
pub(crate) enum Command {
    /// The row changed, in the same generation.
    Assignment(Box<Assignment>),
    /// The channel's rows that are open, or about the time since its first hole began.
    Known(Vec<Gap>),
    /// A rejection of the password is over.
    Retry,
    /// The channel is another recorder's from now on, which this one hands it over to.
    Succeeded(Succession),
}

/// A channel that has ended, with everything it recorded closed and waiting for the archive.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) key: ChannelKey,
    pub(crate) generation: Generation,
    pub(crate) coverage: Coverage,
    /// There is a successor, which had no picture yet.
    pub(crate) gave_up: bool,
}

/// Records one assignment until `stop` is cancelled. `on_disk` is the end of the channel's newest recording in
/// the spool.
pub(crate) async fn record(
    context: Arc<Context>,
    row: AssignmentRow,
    on_disk: Option<Timestamp>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) -> Ended {
    let mut out = Vec::new();
    let mut driver = Driver::start(context, row, on_disk, commands, stop, &mut out);
    for output in out {
        driver.obey(output).await;
    }
    while !driver.drained {
        let event = driver.next_event().await;
        driver.handle(event).await;
    }
    for recorded in driver.recording.give_up() {
        // Only what is lost is left to be told.
        let _ = driver.take(recorded);
    }
    driver.tell_end();
    let gave_up = driver
        .handover
        .as_ref()
        .is_some_and(|handover| !handover.is_done());
    if let Some(handover) = driver.handover.take() {
        for part in settle(handover).await {
            driver.complete(part);
        }
    }
    Ended {
        gave_up,
        key: driver.assignment.key,
        generation: driver.assignment.generation,
        coverage: driver.machine.into_coverage(),
    }
}

struct Driver {
    context: Arc<Context>,
    assignment: Assignment,
    machine: Machine,
    line: Line,
    recording: Recording,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
    timer: Pin<Box<Sleep>>,
    /// What the machine is still to be told, in order; most inputs cause others.
    inputs: VecDeque<Input>,
    /// When an ffmpeg child died last, of those that people were told of.
    transform_failed_at: Option<Instant>,
    /// Frames are being recorded, in this session.
    started: bool,
    /// Nothing that is filmed before is recorded: the predecessor has it.
    keeps_from: Option<Timestamp>,
    /// Since there is a successor.
    handover: Option<Handover<Pending>>,
    /// While the channel connects, waits for its first frame, or is transformed.
    urgent: Option<Urgent>,
    stopping: bool,
    drained: bool,
}

enum Event {
    Stop,
    Command(Command),
    Line(LineEvent),
    Recorded(Recorded),
    Tick,
}

impl Driver {
    fn start(
        context: Arc<Context>,
        row: AssignmentRow,
        on_disk: Option<Timestamp>,
        commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
        out: &mut Vec<Output>,
    ) -> Self {
        let AssignmentRow {
            assignment,
            heartbeat,
        } = row;
        let coverage = Coverage::new(&assignment, &heartbeat, on_disk);
        let machine = Machine::start(coverage, rand::random(), out);
        let recorded_to = on_disk.max(heartbeat.last_segment_at);
        Self {
            keeps_from: keeps_from(&assignment, context.now().wall),
            handover: None,
            recording: Recording::new(&context, &assignment, recorded_to),
            context,
            assignment,
            machine,
            line: Line::Down,
            commands,
            stop,
            timer: Box::pin(sleep_until(Instant::now() + FAR_AWAY)),
            inputs: VecDeque::new(),
            transform_failed_at: None,
            started: false,
            urgent: None,
            stopping: false,
            drained: false,
        }
    }

    async fn next_event(&mut self) -> Event {
        self.set_timer();
        // Frames wait where they are while a transform does not keep up; orders and the end do not.
        let takes_frames = !self.recording.is_behind();
        tokio::select! {
            biased;
            () = self.stop.cancelled(), if !self.stopping => Event::Stop,
            Some(command) = self.commands.recv() => Event::Command(command),
            recorded = self.recording.next() => Event::Recorded(recorded),
            event = self.line.next(), if takes_frames => Event::Line(event),
            () = self.timer.as_mut() => Event::Tick,
        }
    }

    /// Setting a timer costs more than a look at the machine, and its time moves with every frame: an early tick
    /// is harmless, so it is only ever moved when it is too late or over.
    fn set_timer(&mut self) {
        let now = self.context.now();
        let wanted = self.machine.next_tick(now).unwrap_or(now.tick + FAR_AWAY);
        let wanted = self.context.began + wanted;
        if self.timer.is_elapsed() || self.timer.deadline() > wanted {
            self.timer.as_mut().reset(wanted);
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Stop => {
                self.stopping = true;
                self.inputs.push_back(Input::Stop);
            }
            Event::Command(Command::Known(gaps)) => self.inputs.push_back(Input::Known(gaps)),
            Event::Command(Command::Assignment(assignment)) => self.reassigned(*assignment),
            Event::Command(Command::Retry) => self.inputs.push_back(Input::Changed { reconnect: false }),
            Event::Command(Command::Succeeded(succession)) => {
                let tick = self.context.now().tick;
                match &mut self.handover {
                    Some(handover) => handover.learn(succession, tick),
                    None => self.handover = Some(Handover::new(succession, tick)),
                }
            }
            Event::Recorded(recorded) => self.recorded(recorded).await,
            Event::Line(LineEvent::Connected) => self.inputs.push_back(Input::Connected),
            Event::Line(LineEvent::Item(item)) => self.received(item).await,
            Event::Line(LineEvent::Failed(failure)) => {
                let failure = self.recording.explained(failure);
                self.broken(failure).await;
            }
            Event::Tick if self.recording.is_behind() => {
                // The silence is ours: the camera's frames wait. A transform that hangs is given up by itself.
                self.recording.note_waiting();
                self.inputs.push_back(Input::Frame);
            }
            Event::Tick => self.inputs.push_back(Input::Tick),
        }
        self.hand_over();
        while let Some(input) = self.inputs.pop_front() {
            let mut out = Vec::new();
            self.machine.step(input, self.context.now(), &mut out);
            for output in out {
                self.obey(output).await;
            }
        }
    }

    /// Goes on with the handover, if there is one: records in parts, gives back those that nobody asked for, and stops when
    /// the successor has what follows.
    fn hand_over(&mut self) {
        let Some(handover) = self.handover.as_mut().filter(|_| !self.stopping) else {
            return;
        };
        let now = self.context.now();
        if handover.begins_parts(now.wall) {
            self.recording.cut_into_parts();
        }
        let overdue = handover.overdue(now.wall);
        let is_over = handover.is_over(self.started, self.recording.recorded_until(), now.tick);
        overdue.into_iter().for_each(|part| self.complete(part));
        if is_over {
            tracing::info!(channel = %self.assignment.key, "channel is handed over: stopping");
            self.stopping = true;
            self.inputs.push_back(Input::Stop);
        }
    }

    /// Whether the predecessor has what arrives now.
    fn is_the_predecessors(&mut self) -> bool {
        self.keeps_from = self.keeps_from.filter(|from| self.context.now().wall < *from);
        self.keeps_from.is_some()
    }

    async fn received(&mut self, item: Item) {
        let taken = match item {
            Item::Params(params) => self.recording.describe(params).await,
            Item::Frame(frame) => {
                if frame.track == Track::Video {
                    self.inputs.push_back(Input::Frame);
                }
                if self.is_the_predecessors() {
                    return;
                }
                self.recording.push(frame).await
            }
            Item::CameraClock {
                camera, arrived_at, ..
            } => {
                self.recording.note_camera_clock(camera, arrived_at);
                Ok(())
            }
            // The end of the connection follows, and is what a live stream goes by.
            Item::Goodbye => Ok(()),
        };
        if let Err(failure) = taken {
            self.broken(failure).await;
        }
    }

    async fn recorded(&mut self, recorded: Recorded) {
        match self.take(recorded) {
            Ok(()) => {}
            Err(failure) => self.broken(failure).await,
        }
    }

    /// Hands on what became of the frames; the failure, if recording cannot go on.
    fn take(&mut self, recorded: Recorded) -> Result<(), Failure> {
        match recorded {
            Recorded::Started(at) => {
                self.started = true;
                self.set_urgency();
                self.inputs.push_back(Input::Started(at));
            }
            Recorded::Stopped(at, cause) => self.inputs.push_back(Input::Stopped(at, cause)),
            Recorded::OnDisk(first) => self.context.board.on_disk(&self.assignment.key, first),
            Recorded::Segment(pending, opens_with) => {
                let ours = match &mut self.handover {
                    Some(handover) => {
                        let at = pending.start;
                        let mark = opens_with;
                        handover.hold(FirstPicture { at, mark }, *pending)
                    }
                    None => Some(*pending),
                };
                ours.into_iter().for_each(|pending| self.complete(pending));
            }
            Recorded::Lost(start, end, cause) => self.lost(start, end, cause),
            Recorded::Still(pending) => self.complete(*pending),
            Recorded::TransformFailed(what, error, again_in) => {
                self.transform_failed(what, &chain(&error), again_in);
            }
            Recorded::CaughtUp => {}
            Recorded::Failed(failure) => return Err(failure),
        }
        Ok(())
    }

    async fn obey(&mut self, output: Output) {
        let key = &self.assignment.key;
        match output {
            Output::Connect => self.connect(),
            Output::Disconnect => {
                self.hang_up().await;
                self.inputs.push_back(Input::Disconnected);
            }
            Output::Gap(gap) => self.context.journal.note(gap),
            Output::Report(error) => self.context.board.report(key, error.as_deref()),
            Output::Alert(notice) => self.tell(&notice),
            Output::Drain => self.drained = true,
        }
    }

    /// Frames that are only copied can wait a moment; a transform lives on what comes through its pipes.
    fn set_urgency(&mut self) {
        let calm = self.started && !self.assignment.settings.needs_transform();
        self.urgent = (!calm).then(|| self.context.config.calm.urgent());
    }

    fn connect(&mut self) {
        self.set_urgency();
        self.line = Line::connect(&self.context, self.assignment.media_url.clone());
    }

    fn reassigned(&mut self, assignment: Assignment) {
        let old = std::mem::replace(&mut self.assignment, assignment);
        let new = &self.assignment;
        self.inputs.push_back(Input::Device(new.device_state));
        let (moved, reset) = (old.media_url != new.media_url, old.settings != new.settings);
        if !moved && !reset {
            return;
        }
        tracing::info!(channel = %new.key, moved, reset, "channel is told to record otherwise");
        if let Ok((_, gateway)) = gateway_of(&new.media_url) {
            self.context.gate.reopen(&gateway);
        }
        if reset {
            self.recording.change(new.settings.clone());
        }
        if self.started {
            self.set_urgency();
        }
        self.inputs.push_back(Input::Changed { reconnect: moved });
    }
}
