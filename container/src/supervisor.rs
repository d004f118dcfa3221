//! The pull: what is assigned to this task is recorded, and nothing else.
//!
//! Observe (the rows of this task), plan ([`plan::plan`]), apply (start, tell, stop channels). A table that does
//! not answer changes nothing: channels go on with what they last knew. A channel is stopped only when its own row
//! says so too.

mod plan;

use crate::board::Which;
use crate::calm::Urgent;
use crate::channel::driver::{self, Command, Ended};
use crate::channel::hole::first_hole;
use crate::context::Context;
use crate::estates::OnDisk;
use crate::media::clock::believed;
use crate::word::Cleared;
use domain::ports::{GapsTable, PortError, TasksTable};
use domain::succession::{Standing, Succession, standing};
use domain::{Assignment, AssignmentRow, ChannelKey, Gap, GapCause, Generation};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use plan::{Action, Running, plan};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The longest wait for the table's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a channel's open gap rows are looked for again: rows that a stopping recorder wrote late, or that
/// an unreachable table kept back.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// The same after a failed look.
const LOOK_RETRY: Duration = Duration::from_secs(5);
/// Commands to one channel that are not taken yet; they are taken at once as a rule.
const COMMANDS_MAX: usize = 8;
/// How often a recorder that hands channels over, or was told to leave, looks whether it may go.
const HANDOVER_LOOK: Duration = Duration::from_secs(1);

/// Records what is assigned, until `hurry` is cancelled or nothing has been assigned for the grace; then drains
/// the channels. Uploads and rows are still on their way when it returns.
pub(crate) async fn supervise<T: TasksTable + GapsTable>(
    context: &Arc<Context>,
    table: &T,
    on_disk: OnDisk,
    starting: Urgent,
) {
    let mut supervisor = Supervisor {
        context,
        table,
        on_disk,
        running: BTreeMap::new(),
        channels: BTreeMap::new(),
        tasks: JoinSet::new(),
        looks: FuturesUnordered::new(),
        assigned_at: Instant::now(),
        leaves_by: None,
    };
    supervisor.pull().await;
    drop(starting);
    supervisor.pull_until_the_end().await;
    let _stopping = context.config.calm.urgent();
    supervisor.drain().await;
}

struct Supervisor<'a, T> {
    context: &'a Arc<Context>,
    table: &'a T,
    on_disk: OnDisk,
    running: BTreeMap<ChannelKey, Running>,
    channels: BTreeMap<ChannelKey, Channel>,
    tasks: JoinSet<Ended>,
    looks: FuturesUnordered<BoxFuture<'a, Look>>,
    /// When something was last assigned to this task.
    assigned_at: Instant,
    /// When this recorder, which was told to leave, waits for successors no more.
    leaves_by: Option<Instant>,
}

/// The ways to reach a running channel.
struct Channel {
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    task: Id,
}

/// An answer to "which rows of this channel are there already?".
struct Look {
    key: ChannelKey,
    /// For which run of the channel.
    task: Id,
    since: Timestamp,
    found: Result<Vec<Gap>, PortError>,
}

impl<T: TasksTable + GapsTable> Supervisor<'_, T> {
    async fn pull_until_the_end(&mut self) {
        let every = self.context.config.pull_interval;
        let mut pulls = interval_at(Instant::now() + every, every);
        pulls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = interval_at(Instant::now() + HANDOVER_LOOK, HANDOVER_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let context = self.context;
        loop {
            tokio::select! {
                biased;
                () = context.hurry.cancelled() => return,
                () = context.config.notice.cancelled(), if self.leaves_by.is_none() => self.prepare_to_leave(),
                _ = pulls.tick() => {
                    self.heed_the_word();
                    self.pull().await;
                }
                _ = looks.tick(), if self.leaves_by.is_some() || self.hands_over() => self.look_for_successors().await,
                fenced = context.board.fenced() => self.doubt(fenced).await,
                Some(ended) = self.tasks.join_next_with_id() => {
                    if self.ended(ended).await {
                        pulls.reset_immediately();
                    }
                }
                Some(look) = self.looks.next() => self.looked(look),
            }
            if self.may_leave() {
                self.context.hurry.cancel();
                return;
            }
            if self.is_orphan() {
                tracing::warn!(task = %self.context.config.task, "nothing was assigned for long: ending");
                self.context.hurry.cancel();
            }
        }
    }

    /// This recorder is to end: what it records is recorded on for a while, so that successors can take it over.
    fn prepare_to_leave(&mut self) {
        let within = self.context.config.hand_over_within;
        tracing::info!(
            ?within,
            channels = self.channels.len(),
            "told to leave: handing over"
        );
        self.leaves_by = Some(Instant::now() + within);
        let ended = within.saturating_add(self.context.config.stop_deadline);
        let ended = SignedDuration::try_from(ended).unwrap_or(SignedDuration::MAX);
        let now = Timestamp::now();
        self.context
            .board
            .leave_at(now.saturating_add(ended).unwrap_or(now));
    }

    fn may_leave(&self) -> bool {
        self.leaves_by
            .is_some_and(|by| self.tasks.is_empty() || Instant::now() >= by)
    }

    fn hands_over(&self) -> bool {
        self.running
            .values()
            .any(|running| running.succeeded && !running.stopping)
    }

    /// Reads the rows of channels that have successors, and when leaving, of all.
    async fn look_for_successors(&mut self) {
        let all = self.leaves_by.is_some();
        let looked_after = self
            .running
            .iter()
            .filter(|(_, running)| !running.stopping && (all || running.succeeded));
        let looked_after = looked_after.map(|(key, running)| (key.clone(), running.assignment.generation));
        self.doubt(looked_after.collect()).await;
    }

    /// Channels that may be somebody else's by now.
    async fn doubt(&mut self, channels: Vec<(ChannelKey, Generation)>) {
        for (key, generation) in channels {
            self.stop_if_lost(&key, generation).await;
        }
    }

    fn is_orphan(&self) -> bool {
        self.tasks.is_empty() && self.assigned_at.elapsed() >= self.context.config.orphan_grace
    }

    /// A rejection of the password is over.
    fn heed_the_word(&self) {
        match self.context.word.take_cleared() {
            None => {}
            Some(Cleared::Retry) => {
                self.context.gate.reopen_all();
                for channel in self.channels.values() {
                    // A full inbox belongs to a channel that is busy ending.
                    let _ = channel.commands.try_send(Command::Retry);
                }
            }
            Some(Cleared::End) => {
                tracing::warn!(
                    "the gateway takes another password than ours: ending, a successor will have it"
                );
                self.context.hurry.cancel();
            }
        }
    }

    async fn pull(&mut self) {
        let call = self.table.assignments_of(&self.context.config.task);
        let answer = tokio::select! {
            biased;
            () = self.context.hurry.cancelled() => return,
            answer = within("reading the assignments", call) => answer,
        };
        let rows = match answer {
            Ok(rows) => rows,
            Err(error) => {
                // Not knowing is no reason to end either.
                self.assigned_at = Instant::now();
                tracing::warn!(error = error.chain(), "assignments not read; recording goes on");
                return;
            }
        };
        if !rows.is_empty() {
            self.assigned_at = Instant::now();
        }
        for action in plan(&self.running, &rows) {
            match action {
                // Whoever leaves begins nothing.
                Action::Start(_) if self.leaves_by.is_some() => {}
                Action::Start(row) => self.start(row),
                Action::Tell(assignment) => self.tell(assignment).await,
                Action::Stop(key, generation) => self.stop_if_lost(&key, generation).await,
            }
        }
    }

    fn start(&mut self, mut row: AssignmentRow) {
        let Assignment { key, generation, .. } = row.assignment.clone();
        let now = self.context.now().wall;
        tracing::info!(channel = %key, %generation, "channel starts");
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let stop = CancellationToken::new();
        let last_segment_at = believed(row.heartbeat.last_segment_at, now);
        row.heartbeat.last_segment_at = last_segment_at;
        self.context.board.enter(&key, generation, last_segment_at);
        let running = Running {
            assignment: row.assignment.clone(),
            succeeded: false,
            stopping: false,
        };
        let on_disk = believed(self.on_disk.get(&key).copied(), now);
        let (since, _) = first_hole(&row.assignment, &row.heartbeat, on_disk);
        let context = Arc::clone(self.context);
        let recording = driver::record(context, row, on_disk, inbox, stop.clone());
        let task = self.tasks.spawn(recording).id();
        let look = look_after(Duration::ZERO, self.table, key.clone(), task, since);
        self.looks.push(Box::pin(look));
        let channel = Channel { commands, stop, task };
        self.running.insert(key.clone(), running);
        self.channels.insert(key, channel);
    }

    async fn tell(&mut self, assignment: Assignment) {
        let (Some(running), Some(channel)) = (
            self.running.get_mut(&assignment.key),
            self.channels.get(&assignment.key),
        ) else {
            return;
        };
        // A channel that is about to end takes no commands; its end is handled where it is joined.
        let told = channel
            .commands
            .try_send(Command::Assignment(Box::new(assignment.clone())));
        if told.is_ok() {
            running.assignment = assignment;
        }
    }

    /// A list may miss a row for a moment (an index lags, one of its replicas more than another); the row itself tells.
    async fn stop_if_lost(&mut self, key: &ChannelKey, generation: Generation) {
        let call = self.table.assignment(key);
        let row = match within("reading an assignment", call).await {
            Ok(row) => row,
            Err(error) => {
                tracing::warn!(channel = %key, error = error.chain(), "assignment not read; recording goes on");
                return;
            }
        };
        match standing(row.as_ref(), &self.context.config.task, generation) {
            // The list lags, or there is no successor yet.
            Standing::Ours => {}
            Standing::Succeeded(succession) => self.hand_over(key, generation, succession),
            Standing::Lost => self.stop(key, generation),
        }
    }

    fn hand_over(&mut self, key: &ChannelKey, generation: Generation, succession: Succession) {
        let (Some(running), Some(channel)) = (self.running.get_mut(key), self.channels.get(key)) else {
            return;
        };
        if !running.succeeded {
            tracing::info!(channel = %key, %generation, until = %succession.until, "channel moves: recording on until its successor does");
            running.succeeded = true;
            self.context.board.leave(key);
        }
        // A full inbox belongs to a channel that is busy ending; else the next look tells it again.
        let _ = channel.commands.try_send(Command::Succeeded(succession));
    }

    fn stop(&mut self, key: &ChannelKey, generation: Generation) {
        tracing::info!(channel = %key, %generation, "channel is no longer ours: stopping");
        if let Some(running) = self.running.get_mut(key) {
            running.stopping = true;
        }
        if let Some(channel) = self.channels.get(key) {
            channel.stop.cancel();
        }
    }

    fn looked(&mut self, look: Look) {
        let Some(channel) = self.channels.get(&look.key) else {
            return;
        };
        if channel.task != look.task {
            return;
        }
        let (since, again) = match look.found {
            Ok(gaps) => {
                let known = self.context.journal.overlay(&look.key, gaps);
                // A full inbox belongs to a channel that is busy ending; its successor looks for itself.
                let _ = channel.commands.try_send(Command::Known(known));
                (Timestamp::now(), LOOK_AGAIN)
            }
            Err(error) => {
                tracing::warn!(channel = %look.key, error = error.chain(), "known gaps not read");
                (look.since, LOOK_RETRY)
            }
        };
        let again = look_after(again, self.table, look.key, look.task, since);
        self.looks.push(Box::pin(again));
    }

    /// Takes a channel off the list; true when the next pull should come at once.
    async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) -> bool {
        match ended {
            Ok((_, ended)) => {
                self.last_heartbeat(&ended.key).await;
                self.forget(&ended.key);
                self.leave_row(ended).await;
                true
            }
            Err(error) => {
                // A bug in one channel must not end the others; it starts again at the next pull.
                tracing::error!(%error, "channel ended by a fault of this program");
                let id = error.id();
                let key = self.channels.iter().find(|(_, channel)| channel.task == id);
                if let Some(key) = key.map(|(key, _)| key.clone()) {
                    self.forget(&key);
                }
                false
            }
        }
    }

    /// Says how far the recording reaches; a row that is somebody else's by now stays as it is.
    async fn last_heartbeat(&mut self, key: &ChannelKey) {
        let (board, task) = (&self.context.board, &self.context.config.task);
        if let Err(error) = board
            .beat(self.table, task, Which::Only(key), Timestamp::now())
            .await
        {
            tracing::warn!(channel = %key, error = error.chain(), "last heartbeat not written");
        }
    }

    fn forget(&mut self, key: &ChannelKey) {
        self.context.board.leave(key);
        self.running.remove(key);
        self.channels.remove(key);
    }

    /// Leaves the row that says why recording ends, unless somebody else records on.
    async fn leave_row(&mut self, mut ended: Ended) {
        if let Some(recorded_to) = ended.coverage.recorded_to() {
            self.on_disk.insert(ended.key.clone(), recorded_to);
        }
        let call = self.table.assignment(&ended.key);
        let cause = match within("reading an assignment", call).await {
            Ok(None) => GapCause::NotWanted,
            Ok(Some(row)) if row.assignment.generation != ended.generation && ended.gave_up => {
                GapCause::RecorderMoved
            }
            Ok(Some(row)) if row.assignment.generation != ended.generation => return,
            Ok(Some(_)) | Err(_) if self.context.hurry.is_cancelled() => GapCause::RecorderRestarted,
            Ok(Some(_)) | Err(_) => return,
        };
        if let Some(gap) = ended.coverage.ends(cause) {
            self.context.journal.note(gap);
        }
    }

    async fn drain(&mut self) {
        for channel in self.channels.values() {
            channel.stop.cancel();
        }
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended).await;
        }
    }
}

/// Waits, then asks for the rows about the time since `since`, and all that are open.
async fn look_after<T: GapsTable>(
    wait: Duration,
    table: &T,
    key: ChannelKey,
    task: Id,
    since: Timestamp,
) -> Look {
    sleep(wait).await;
    let now = Timestamp::now();
    let moment_later = now.saturating_add(SignedDuration::from_millis(1)).unwrap_or(now);
    let call = table.list_gaps(&key, since.min(now), moment_later);
    let found = within("listing known gaps", call).await;
    Look {
        key,
        task,
        since,
        found,
    }
}

async fn within<R>(doing: &str, call: impl Future<Output = Result<R, PortError>>) -> Result<R, PortError> {
    timeout(ANSWER_WITHIN, call)
        .await
        .unwrap_or_else(|late| Err(PortError::unknown(doing, late)))
}
