//! One channel's life as a state machine without I/O: inputs with their time in, what to do out.
//!
//! ```text
//!             Connected            Frame                 Stop (from anywhere)
//!  Starting ────────────▶ Silent ────────▶ Recording ──────────▶ Stopping ──▶ Draining ──▶ (gone)
//!    ▲  ▲                   │ too long       │ silent too long
//!    │  │ Changed           └───────┬────────┘
//!    │  └──── Rejected              ▼
//!    │           ▲  401          Stalled
//!    │           │                  │ Disconnected
//!    └── BackingOff ◀───────────────┘◀── Failed (from Starting, Silent, Recording)
//! ```

use super::hole::Coverage;
use crate::backoff::Pace;
use domain::{DeviceState, Gap, GapCause};
use jiff::Timestamp;
use std::time::Duration;

/// The longest silence on a connection that has given frames: longer than any camera's jitter, half of what
/// operators accept as "stalled within 10 s".
pub(crate) const STALL_AFTER: Duration = Duration::from_secs(5);
/// The longest silence between PLAY and the first frame; some NVRs wait for their own next key frame.
pub(crate) const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(10);
/// Recording this long means that the trouble is over: the next failure is retried at once.
pub(crate) const HEALTHY_AFTER: Duration = Duration::from_secs(30);
/// The least delay between attempts, after one attempt without any: with a key frame every second, an outage of a
/// few seconds makes a hole that is at most 2 s longer.
pub(crate) const RECONNECT_FIRST: Duration = Duration::from_millis(800);
/// The longest delay between attempts.
pub(crate) const RECONNECT_MAX: Duration = Duration::from_secs(10);

/// One reading of both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The monotonic clock, since the process began: for delays.
    pub(crate) tick: Duration,
    /// UTC, which may step: for rows.
    pub(crate) wall: Timestamp,
}

/// Why an attempt or a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the hole it leaves is recorded as.
    pub(crate) cause: GapCause,
    /// One line for a person; has no secrets.
    pub(crate) text: String,
}

impl Failure {
    /// A failure with its one line.
    pub(crate) fn new(cause: GapCause, text: impl Into<String>) -> Self {
        Self {
            cause,
            text: text.into(),
        }
    }
}

/// What happens to a channel.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The stream plays; frames should come.
    Connected,
    /// A video frame came, whether it is recorded or not.
    Frame,
    /// Frames are recorded from this time on.
    Started(Timestamp),
    /// The recorded frames end here, for the time being because of this.
    Stopped(Timestamp, GapCause),
    /// The attempt failed or the connection ended by itself, and what it gave is recorded.
    Failed(Failure),
    /// The answer to `Disconnect`: there is no connection any more, and what it gave is recorded.
    Disconnected,
    /// Somebody changed what could have been the reason of a rejection; with `reconnect`, where to connect to.
    Changed {
        /// The stream is somewhere else now.
        reconnect: bool,
    },
    /// The poll's newest word on the device.
    Device(DeviceState),
    /// The channel's rows that are open, or about the time since its first hole began.
    Known(Vec<Gap>),
    /// Time passed.
    Tick,
    /// Close everything; nothing is tried any more.
    Stop,
}

/// What the driver must do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Connect; answer with `Connected` or `Failed`. Given only when there is no connection.
    Connect,
    /// Drop the connection or the attempt, close the open segment, then answer with `Disconnected`.
    Disconnect,
    /// Store this row.
    Gap(Gap),
    /// Say this in the next heartbeat, at once.
    Report(Option<String>),
    /// Tell a person, once.
    Alert(Notice),
    /// The channel is stopped: finish, then end.
    Drain,
}

/// What a person is told of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Nothing will be recorded until somebody changes something.
    NeedsAPerson(Failure),
    /// It is recorded again; this was the matter.
    Resolved(GapCause),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Silent { until: Duration },
    Recording { since: Duration, last_frame: Duration },
    Stalled { silence: Duration },
    Moving,
    BackingOff { until: Duration },
    Rejected,
    Stopping,
    Draining,
}

/// One channel's state. Every input is answered by the outputs pushed to the driver's list.
#[derive(Debug)]
pub(crate) struct Machine {
    state: State,
    coverage: Coverage,
    pace: Pace,
    reported: Option<String>,
    alerted: Option<GapCause>,
}

impl Machine {
    /// A channel that is to be recorded; the last output is `Connect`.
    pub(crate) fn start(coverage: Coverage, seed: u64, out: &mut Vec<Output>) -> Self {
        out.push(Output::Connect);
        Self {
            state: State::Starting,
            coverage,
            pace: Pace::new(RECONNECT_FIRST, RECONNECT_MAX, seed),
            reported: None,
            alerted: None,
        }
    }

    /// How far the channel is recorded, when it is over.
    pub(crate) fn into_coverage(self) -> Coverage {
        self.coverage
    }

    /// Takes one input and appends what to do about it.
    pub(crate) fn step(&mut self, input: Input, now: Moment, out: &mut Vec<Output>) {
        match input {
            Input::Connected => self.connected(now),
            Input::Frame => self.frame(now),
            Input::Started(at) => self.started(at, now, out),
            Input::Stopped(at, cause) => self.stopped(at, cause, out),
            Input::Failed(failure) => self.ended(failure, now, out),
            Input::Disconnected => self.disconnected(now, out),
            Input::Changed { reconnect } => self.changed(reconnect, out),
            Input::Device(state) => self.coverage.device(state),
            Input::Known(gaps) => out.extend(self.coverage.known(gaps).into_iter().map(Output::Gap)),
            Input::Tick => self.tick(now, out),
            Input::Stop => self.stop(out),
        }
        if !self.is_ending() {
            out.extend(self.coverage.due(now.wall).map(Output::Gap));
        }
    }

    /// When the next `Tick` is due at the latest.
    pub(crate) fn next_tick(&self, now: Moment) -> Option<Duration> {
        if self.is_ending() {
            return None;
        }
        let timer = match self.state {
            State::Silent { until } | State::BackingOff { until } => Some(until),
            State::Recording { last_frame, .. } => Some(last_frame + STALL_AFTER),
            State::Starting
            | State::Stalled { .. }
            | State::Moving
            | State::Rejected
            | State::Stopping
            | State::Draining => None,
        };
        let row = self
            .coverage
            .due_at()
            .map(|at| now.tick + until_wall(at, now.wall));
        timer.into_iter().chain(row).min()
    }

    fn is_ending(&self) -> bool {
        matches!(self.state, State::Stopping | State::Draining)
    }

    fn connected(&mut self, now: Moment) {
        if self.state == State::Starting {
            let until = now.tick + FIRST_FRAME_WITHIN;
            self.state = State::Silent { until };
        }
    }

    fn frame(&mut self, now: Moment) {
        let since = match self.state {
            State::Silent { .. } => now.tick,
            State::Recording { since, .. } => since,
            State::Starting
            | State::Stalled { .. }
            | State::Moving
            | State::BackingOff { .. }
            | State::Rejected
            | State::Stopping
            | State::Draining => return,
        };
        if now.tick.saturating_sub(since) >= HEALTHY_AFTER {
            self.pace.reset();
        }
        let last_frame = now.tick;
        self.state = State::Recording { since, last_frame };
    }

    fn started(&mut self, at: Timestamp, now: Moment, out: &mut Vec<Output>) {
        out.extend(self.coverage.started(at).map(Output::Gap));
        self.frame(now);
        if matches!(self.state, State::Recording { .. }) {
            self.report(None, out);
            if let Some(cause) = self.alerted.take() {
                out.push(Output::Alert(Notice::Resolved(cause)));
            }
        }
    }

    fn stopped(&mut self, at: Timestamp, cause: GapCause, out: &mut Vec<Output>) {
        self.coverage.stopped(at, cause);
        let failure = Failure::new(cause, cause.to_string());
        if cause == GapCause::TransformFailed {
            self.tell(failure, out);
        } else if cause != GapCause::Starting {
            // The next key frame goes on. `Starting` is a break whose failure will be told.
            self.report(Some(failure.text), out);
        }
    }

    /// The attempt or the connection is over without our doing.
    fn ended(&mut self, failure: Failure, now: Moment, out: &mut Vec<Output>) {
        match self.state {
            State::Starting | State::Silent { .. } | State::Recording { .. } => {
                self.retry_after(failure, now, out);
            }
            // It ended while being dropped; `Disconnected` follows.
            State::Stalled { .. }
            | State::Moving
            | State::BackingOff { .. }
            | State::Rejected
            | State::Stopping
            | State::Draining => {}
        }
    }

    fn disconnected(&mut self, now: Moment, out: &mut Vec<Output>) {
        match self.state {
            State::Stalled { silence } => {
                let text = format!("connected, but no frame for {} s", silence.as_secs());
                self.retry_after(Failure::new(GapCause::StreamStalled, text), now, out);
            }
            State::Moving => {
                self.coverage.failed(GapCause::Starting);
                self.connect(out);
            }
            State::Stopping => {
                self.state = State::Draining;
                out.push(Output::Drain);
            }
            State::Starting
            | State::Silent { .. }
            | State::Recording { .. }
            | State::BackingOff { .. }
            | State::Rejected
            | State::Draining => {}
        }
    }

    fn retry_after(&mut self, failure: Failure, now: Moment, out: &mut Vec<Output>) {
        let rejected = failure.cause == GapCause::CredentialsRejected;
        let stalled = failure.cause == GapCause::StreamStalled;
        self.coverage.failed(failure.cause);
        self.tell(failure, out);
        if rejected {
            self.state = State::Rejected;
            return;
        }
        // The silence was wait enough.
        let delay = self.pace.next_delay(now.tick);
        if delay.is_zero() || stalled {
            self.connect(out);
        } else {
            let until = now.tick + delay;
            self.state = State::BackingOff { until };
        }
    }

    fn changed(&mut self, reconnect: bool, out: &mut Vec<Output>) {
        match self.state {
            State::Rejected | State::BackingOff { .. } => {
                self.pace.reset();
                self.connect(out);
            }
            State::Starting | State::Silent { .. } | State::Recording { .. } if reconnect => {
                self.pace.reset();
                self.state = State::Moving;
                out.push(Output::Disconnect);
            }
            State::Starting
            | State::Silent { .. }
            | State::Recording { .. }
            | State::Stalled { .. }
            | State::Moving
            | State::Stopping
            | State::Draining => {}
        }
    }

    fn tick(&mut self, now: Moment, out: &mut Vec<Output>) {
        match self.state {
            State::Silent { until } if now.tick >= until => self.stalled(FIRST_FRAME_WITHIN, out),
            State::Recording { last_frame, .. } if now.tick >= last_frame + STALL_AFTER => {
                self.stalled(STALL_AFTER, out);
            }
            State::BackingOff { until } if now.tick >= until => self.connect(out),
            State::Starting
            | State::Silent { .. }
            | State::Recording { .. }
            | State::Stalled { .. }
            | State::Moving
            | State::BackingOff { .. }
            | State::Rejected
            | State::Stopping
            | State::Draining => {}
        }
    }

    fn stalled(&mut self, silence: Duration, out: &mut Vec<Output>) {
        self.state = State::Stalled { silence };
        out.push(Output::Disconnect);
    }

    fn stop(&mut self, out: &mut Vec<Output>) {
        match self.state {
            State::Starting | State::Silent { .. } | State::Recording { .. } => {
                self.state = State::Stopping;
                out.push(Output::Disconnect);
            }
            State::Stalled { .. } | State::Moving => self.state = State::Stopping,
            State::BackingOff { .. } | State::Rejected => {
                self.state = State::Draining;
                out.push(Output::Drain);
            }
            State::Stopping | State::Draining => {}
        }
    }

    fn connect(&mut self, out: &mut Vec<Output>) {
        self.state = State::Starting;
        out.push(Output::Connect);
    }

    fn tell(&mut self, failure: Failure, out: &mut Vec<Output>) {
        self.report(Some(failure.text.clone()), out);
        if needs_a_person(failure.cause) && self.alerted != Some(failure.cause) {
            self.alerted = Some(failure.cause);
            out.push(Output::Alert(Notice::NeedsAPerson(failure)));
        }
    }

    fn report(&mut self, error: Option<String>, out: &mut Vec<Output>) {
        if self.reported != error {
            self.reported.clone_from(&error);
            out.push(Output::Report(error));
        }
    }
}

/// Whether trying again cannot help.
fn needs_a_person(cause: GapCause) -> bool {
    matches!(
        cause,
        GapCause::CredentialsRejected | GapCause::UnsupportedStream | GapCause::TransformFailed
    )
}

fn until_wall(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests;
