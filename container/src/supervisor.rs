//! The pull: what is assigned to this task is recorded, and nothing else.
//!
//! Observe (the rows of this task), plan ([`domain::recorder::Roster`]), apply (start, tell, stop channels). A table that does
//! not answer changes nothing: channels go on with what they last knew. A channel is stopped only when its own row
//! says so too. Nor does it hold up an end that is due.

mod farewell;

use crate::calm::Urgent;
use crate::channel::driver::{self, Command, Ended};
use crate::channel::hole::first_hole;
use crate::context::Context;
use crate::estates::OnDisk;
use crate::media::clock::believed;
use domain::ports::{GapsTable, PortError, TasksTable};
use domain::recorder::{Action, Cleared, End, Roster, Verdict};
use domain::succession::Succession;
use domain::{Assignment, AssignmentRow, ChannelKey, Gap, Generation};
use farewell::bid_farewell;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// The longest wait for the table's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Channels whose rows are read, or which say their last word, at once.
const READS_MAX: usize = 20;
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
        roster: Roster::new(context.config.task.clone(), context.now().tick),
        channels: BTreeMap::new(),
        tasks: JoinSet::new(),
        looks: FuturesUnordered::new(),
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
    roster: Roster,
    channels: BTreeMap<ChannelKey, Channel>,
    tasks: JoinSet<Ended>,
    looks: FuturesUnordered<BoxFuture<'a, Look>>,
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
                () = context.config.notice.cancelled(), if self.roster.leaves_by().is_none() => {
                    self.leave(Some(context.config.hand_over_within));
                }
                _ = pulls.tick() => {
                    self.heed_the_word();
                    self.pull().await;
                }
                _ = looks.tick(), if self.hands_over() => self.look_for_successors().await,
                fenced = context.board.fenced() => self.doubt(fenced).await,
                Some(ended) = self.tasks.join_next_with_id() => {
                    if self.ended(ended).await {
                        pulls.reset_immediately();
                    }
                }
                Some(look) = self.looks.next() => self.looked(look),
            }
            let Some(end) = self.roster.end(context.config.orphan_grace, context.now().tick) else {
                continue;
            };
            if end == End::Orphaned {
                tracing::warn!(task = %context.config.task, "nothing was assigned for long: ending");
            }
            context.hurry.cancel();
            return;
        }
    }

    /// This recorder is to end: what it records is recorded on, so that successors can take it over; for so long at most.
    fn leave(&mut self, within: Option<Duration>) {
        tracing::info!(?within, channels = self.channels.len(), "leaving: handing over");
        let (config, now) = (&self.context.config, self.context.now());
        self.roster
            .leave(within.map(|within| now.tick.saturating_add(within)));
        let ended = config.hand_over_within.saturating_add(config.stop_deadline);
        let ended = SignedDuration::try_from(ended).unwrap_or(SignedDuration::MAX);
        self.context
            .board
            .leave_at(now.wall.saturating_add(ended).unwrap_or(now.wall));
    }

    fn hands_over(&self) -> bool {
        self.roster.is_leaving() || self.roster.looked_after().next().is_some()
    }

    /// Reads the rows of channels that have successors, and when leaving, of all.
    async fn look_for_successors(&mut self) {
        let looked_after = self.roster.looked_after();
        let looked_after = looked_after.map(|(key, generation)| (key.clone(), generation));
        self.doubt(looked_after.collect()).await;
    }

    /// Asks the rows of channels that may be somebody else's by now, unless there is no time for answers any more.
    async fn doubt(&mut self, channels: Vec<(ChannelKey, Generation)>) {
        let (context, table) = (self.context, self.table);
        let leaves_by = self.roster.leaves_by();
        let ask = async |(key, generation): (ChannelKey, Generation)| {
            let row = within("reading an assignment", table.assignment(&key)).await;
            (key, generation, row)
        };
        let mut answers = stream::iter(channels).map(ask).buffer_unordered(READS_MAX);
        loop {
            let answer = tokio::select! {
                biased;
                () = interrupted(context, leaves_by) => return,
                answer = answers.next() => answer,
            };
            match answer {
                Some((key, generation, Ok(row))) => self.heed(&key, generation, row.as_ref()),
                Some((key, _, Err(error))) => {
                    tracing::warn!(channel = %key, error = error.chain(), "assignment not read; recording goes on");
                }
                None => return,
            }
        }
    }

    fn heed(&mut self, key: &ChannelKey, generation: Generation, row: Option<&AssignmentRow>) {
        match self.roster.judge(key, generation, row) {
            Verdict::GoOn => {}
            Verdict::HandOver { succession, begins } => {
                if begins {
                    tracing::info!(channel = %key, %generation, until = %succession.until, "channel moves: recording on until its successor does");
                    self.context.board.leave(key);
                }
                self.hand_over(key, succession);
            }
            Verdict::Stop => self.stop(key, generation),
        }
    }

    /// A rejection of the password is over.
    fn heed_the_word(&mut self) {
        match self.context.word.take_cleared() {
            None => {}
            Some(Cleared::Retry) => {
                self.context.gate.reopen_all();
                for channel in self.channels.values() {
                    // A full inbox belongs to a channel that is busy ending.
                    let _ = channel.commands.try_send(Command::Retry);
                }
            }
            // Nobody is about to kill this recorder: it has what it records for as long as no successor does.
            Some(Cleared::Leave) => {
                tracing::warn!("the gateway takes another password than ours: a successor will have it");
                self.leave(None);
            }
        }
    }

    async fn pull(&mut self) {
        let (context, leaves_by) = (self.context, self.roster.leaves_by());
        let call = self.table.assignments_of(&context.config.task);
        let answer = tokio::select! {
            biased;
            () = interrupted(context, leaves_by) => return,
            answer = within("reading the assignments", call) => answer,
        };
        let tick = context.now().tick;
        let rows = match answer {
            Ok(rows) => rows,
            Err(error) => {
                self.roster.not_pulled(tick);
                tracing::warn!(error = error.chain(), "assignments not read; recording goes on");
                return;
            }
        };
        let mut doubted = Vec::new();
        for action in self.roster.pulled(&rows, tick) {
            match action {
                Action::Start(row) => self.start(row),
                Action::Tell(assignment) => self.tell(assignment),
                Action::Doubt(key, generation) => doubted.push((key, generation)),
            }
        }
        self.doubt(doubted).await;
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
        self.roster.started(row.assignment.clone());
        let on_disk = believed(self.on_disk.get(&key).copied(), now);
        let (since, _) = first_hole(&row.assignment, &row.heartbeat, on_disk);
        let context = Arc::clone(self.context);
        let recording = driver::record(context, row, on_disk, inbox, stop.clone());
        let task = self.tasks.spawn(recording).id();
        let look = look_after(Duration::ZERO, self.table, key.clone(), task, since);
        self.looks.push(Box::pin(look));
        let channel = Channel { commands, stop, task };
        self.channels.insert(key, channel);
    }

    fn tell(&mut self, assignment: Assignment) {
        let Some(channel) = self.channels.get(&assignment.key) else {
            return;
        };
        // A channel that is about to end takes no commands; its end is handled where it is joined.
        let told = channel
            .commands
            .try_send(Command::Assignment(Box::new(assignment.clone())));
        if told.is_ok() {
            self.roster.told(assignment);
        }
    }

    fn hand_over(&self, key: &ChannelKey, succession: Succession) {
        if let Some(channel) = self.channels.get(key) {
            // A full inbox belongs to a channel that is busy ending; else the next look tells it again.
            let _ = channel.commands.try_send(Command::Succeeded(succession));
        }
    }

    fn stop(&self, key: &ChannelKey, generation: Generation) {
        tracing::info!(channel = %key, %generation, "channel is no longer ours: stopping");
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
                let key = ended.key.clone();
                if let Some(recorded_to) = ended.coverage.recorded_to() {
                    self.on_disk.insert(key.clone(), recorded_to);
                }
                bid_farewell(self.context, self.table, ended).await;
                self.forget(&key);
                true
            }
            Err(error) => {
                tell_fault(&error);
                let id = error.id();
                let key = self.channels.iter().find(|(_, channel)| channel.task == id);
                if let Some(key) = key.map(|(key, _)| key.clone()) {
                    self.forget(&key);
                }
                false
            }
        }
    }

    fn forget(&mut self, key: &ChannelKey) {
        self.context.board.leave(key);
        self.roster.ended(key);
        self.channels.remove(key);
    }

    async fn drain(&mut self) {
        for channel in self.channels.values() {
            channel.stop.cancel();
        }
        let (context, table) = (self.context, self.table);
        let tasks = std::mem::take(&mut self.tasks);
        let ends = stream::unfold(tasks, async |mut tasks| {
            Some((tasks.join_next_with_id().await?, tasks))
        });
        let farewells = ends.for_each_concurrent(READS_MAX, async |ended| match ended {
            Ok((_, ended)) => bid_farewell(context, table, ended).await,
            Err(error) => tell_fault(&error),
        });
        farewells.await;
    }
}

/// A bug in one channel must not end the others; it starts again at the next pull.
fn tell_fault(error: &JoinError) {
    tracing::error!(%error, "channel ended by a fault of this program");
}

/// Waits until no answer is worth waiting for: this recorder must end, or is told that it will have to.
async fn interrupted(context: &Context, leaves_by: Option<Duration>) {
    let due = async {
        match leaves_by {
            None => context.config.notice.cancelled().await,
            Some(by) => sleep_until(context.began + by).await,
        }
    };
    tokio::select! {
        () = context.hurry.cancelled() => {}
        () = due => {}
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
