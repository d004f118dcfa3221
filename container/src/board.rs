//! What each channel says of itself, and telling the table: the heartbeats.

use crate::media::clock::believed;
use domain::ports::{PortError, Put, TasksTable};
use domain::{ChannelKey, FirstPicture, Generation, Heartbeat, TaskArn};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

/// The longest wait for the table's answer.
const BEAT_WITHIN: Duration = Duration::from_secs(10);
/// Errors in rows are cut to this many characters.
const ERROR_MAX_CHARS: usize = 300;

/// Which heartbeats to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which<'a> {
    /// Every channel's.
    All,
    /// Those with an error that appeared or cleared.
    News,
    /// One channel's.
    Only(&'a ChannelKey),
}

/// The newest word of every channel that is recorded.
#[derive(Debug, Default)]
pub(crate) struct Board {
    entries: Mutex<BTreeMap<ChannelKey, Entry>>,
    ends_at: OnceLock<Timestamp>,
    changed: Notify,
    fenced: Notify,
}

#[derive(Debug, Clone)]
struct Entry {
    generation: Generation,
    last_segment_at: Option<Timestamp>,
    last_error: Option<String>,
    first_picture: Option<FirstPicture>,
    /// The table does not know the newest of it yet.
    news: bool,
    /// The table has refused a heartbeat: the channel is somebody else's.
    fenced: bool,
}

impl Board {
    /// A channel is being recorded from now on. `last_segment_at` is what the row says, so that the first
    /// heartbeat does not forget it.
    pub(crate) fn enter(&self, key: &ChannelKey, generation: Generation, last_segment_at: Option<Timestamp>) {
        let entry = Entry {
            generation,
            last_segment_at,
            last_error: None,
            first_picture: None,
            news: true,
            fenced: false,
        };
        self.lock().insert(key.clone(), entry);
        self.changed.notify_one();
    }

    /// The channel is not recorded any more.
    pub(crate) fn leave(&self, key: &ChannelKey) {
        self.lock().remove(key);
    }

    /// Why nothing is recorded, or that it is; told at once when it is news.
    pub(crate) fn report(&self, key: &ChannelKey, error: Option<&str>) {
        let error = error.map(|text| text.chars().take(ERROR_MAX_CHARS).collect::<String>());
        if let Some(entry) = self.lock().get_mut(key)
            && entry.last_error != error
        {
            entry.last_error = error;
            entry.news = true;
            self.changed.notify_one();
        }
    }

    /// A segment was closed; goes with the next heartbeat. A channel's very first is told at once: should this
    /// recorder die before that heartbeat, the next one would not know where the hole begins. Segments may close out of order:
    /// the newest is told, unless our clock, `now`, has been put right since.
    pub(crate) fn closed(&self, key: &ChannelKey, end: Timestamp, now: Timestamp) {
        if let Some(entry) = self.lock().get_mut(key) {
            if entry.last_segment_at.is_none() {
                entry.news = true;
                self.changed.notify_one();
            }
            entry.last_segment_at = believed(entry.last_segment_at, now).max(Some(end));
        }
    }

    /// The first pictures of a session are on disk; the first of all is told at once, since a predecessor waits for it.
    pub(crate) fn on_disk(&self, key: &ChannelKey, first: FirstPicture) {
        if let Some(entry) = self.lock().get_mut(key)
            && entry.first_picture.is_none()
        {
            entry.first_picture = Some(first);
            entry.news = true;
            self.changed.notify_one();
        }
    }

    /// This recorder was told to end and will have ended at `at`; told at once.
    pub(crate) fn leave_at(&self, at: Timestamp) {
        if self.ends_at.set(at).is_ok() {
            self.lock().values_mut().for_each(|entry| entry.news = true);
            self.changed.notify_one();
        }
    }

    /// Waits until the table refuses a heartbeat, and returns whose.
    pub(crate) async fn fenced(&self) -> Vec<(ChannelKey, Generation)> {
        self.fenced.notified().await;
        let mut entries = self.lock();
        let mut fenced = Vec::new();
        for (key, entry) in entries.iter_mut() {
            if std::mem::take(&mut entry.fenced) {
                fenced.push((key.clone(), entry.generation));
            }
        }
        fenced
    }

    /// Writes heartbeats.
    ///
    /// # Errors
    /// The first one that is not about a single row; the rest is left for the next beat.
    pub(crate) async fn beat<T: TasksTable>(
        &self,
        table: &T,
        task: &TaskArn,
        which: Which<'_>,
        now: Timestamp,
    ) -> Result<(), PortError> {
        for (key, entry) in self.chosen(which) {
            let heartbeat = Heartbeat {
                heartbeat_at: Some(now),
                last_segment_at: entry.last_segment_at,
                last_error: entry.last_error.clone(),
                first_picture: entry.first_picture,
                ends_at: self.ends_at.get().copied(),
            };
            let call = table.heartbeat(&key, task, entry.generation, &heartbeat);
            let answer = tokio::time::timeout(BEAT_WITHIN, call)
                .await
                .unwrap_or_else(|late| Err(PortError::unknown(format!("reporting {key}"), late)));
            match answer {
                Ok(Put::Written) => self.told(&key, &entry),
                Ok(Put::Stale) => self.refused(&key, &entry),
                Err(error @ PortError::Refused { .. }) => {
                    tracing::error!(channel = %key, error = error.chain(), "heartbeat refused");
                }
                Err(error @ (PortError::Throttled { .. } | PortError::Unknown { .. })) => return Err(error),
            }
        }
        Ok(())
    }

    fn chosen(&self, which: Which<'_>) -> Vec<(ChannelKey, Entry)> {
        let is_chosen = |key: &ChannelKey, entry: &Entry| match which {
            Which::All => true,
            Which::News => entry.news,
            Which::Only(only) => key == only,
        };
        let entries = self.lock();
        let chosen = entries.iter().filter(|(key, entry)| is_chosen(key, entry));
        chosen.map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    fn told(&self, key: &ChannelKey, told: &Entry) {
        if let Some(entry) = self.lock().get_mut(key)
            && entry.generation == told.generation
            && entry.last_error == told.last_error
            && entry.first_picture == told.first_picture
        {
            entry.news = false;
        }
    }

    fn refused(&self, key: &ChannelKey, told: &Entry) {
        if let Some(entry) = self.lock().get_mut(key)
            && entry.generation == told.generation
        {
            entry.fenced = true;
            self.fenced.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChannelKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes heartbeats for ever: all of them every `every`, and at once those with news.
pub(crate) async fn beat<T: TasksTable>(
    board: &Board,
    table: &T,
    task: &TaskArn,
    every: Duration,
) -> Infallible {
    let mut all = tokio::time::interval(every);
    all.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let which = tokio::select! {
            _ = all.tick() => Which::All,
            () = board.changed.notified() => Which::News,
        };
        if let Err(error) = board.beat(table, task, which, Timestamp::now()).await {
            tracing::warn!(error = error.chain(), "heartbeats not written; recording goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Assignment;
    use domain::fakes::{FakeTables, Weather, rows};

    fn key() -> ChannelKey {
        ChannelKey::new("A", "1")
    }

    async fn assigned(generation: u64) -> (FakeTables, TaskArn) {
        let tables = FakeTables::new(Weather::calm());
        let task = TaskArn::new("task");
        let assignment = Assignment {
            generation: Generation(generation),
            ..rows::assignment(key(), task.clone(), Timestamp::UNIX_EPOCH)
        };
        let put = tables.put_assignment(&assignment, None).await.unwrap();
        assert_eq!(put, Put::Written);
        (tables, task)
    }

    async fn reported(tables: &FakeTables) -> Heartbeat {
        tables.assignment(&key()).await.unwrap().unwrap().heartbeat
    }

    #[tokio::test]
    async fn news_is_written_once_and_everything_on_time() {
        let (tables, task) = assigned(1).await;
        let (board, before) = (Board::default(), Timestamp::from_second(5).ok());
        board.enter(&key(), Generation(1), before);
        board
            .beat(&tables, &task, Which::News, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        assert_eq!(
            reported(&tables).await.last_segment_at,
            before,
            "an earlier recorder's segment stays known"
        );

        board.report(&key(), Some("broken"));
        let end = Timestamp::from_second(9).unwrap();
        board.closed(&key(), end, end);
        let writes = tables.writes();
        for _ in 0..3 {
            board
                .beat(&tables, &task, Which::News, Timestamp::UNIX_EPOCH)
                .await
                .unwrap();
        }
        assert_eq!(tables.writes(), writes + 1);
        assert_eq!(reported(&tables).await.last_error.as_deref(), Some("broken"));
        assert_eq!(
            reported(&tables).await.last_segment_at,
            Timestamp::from_second(9).ok()
        );
        board
            .beat(&tables, &task, Which::All, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        assert_eq!(tables.writes(), writes + 2);
    }

    #[tokio::test]
    async fn the_first_segment_of_all_is_news_and_later_ones_wait() {
        let (tables, task) = assigned(1).await;
        let board = Board::default();
        board.enter(&key(), Generation(1), None);
        let at = |second| Timestamp::from_second(second).unwrap();
        board.beat(&tables, &task, Which::News, at(1)).await.unwrap();
        for (end, known) in [(9, 9), (19, 9)] {
            board.closed(&key(), at(end), at(end));
            board.beat(&tables, &task, Which::News, at(20)).await.unwrap();
            assert_eq!(reported(&tables).await.last_segment_at, Some(at(known)));
        }
    }

    #[tokio::test]
    async fn the_newest_segment_is_told_and_not_the_one_of_a_wrong_clock() {
        let (tables, task) = assigned(1).await;
        let board = Board::default();
        board.enter(&key(), Generation(1), None);
        let at = |second| Timestamp::from_second(second).unwrap();
        for (end, now, known) in [(30, 30, 30), (25, 31, 30), (9_060, 9_060, 9_060), (90, 90, 90)] {
            board.closed(&key(), at(end), at(now));
            board.beat(&tables, &task, Which::All, at(now)).await.unwrap();
            assert_eq!(reported(&tables).await.last_segment_at, Some(at(known)));
        }
    }

    #[tokio::test]
    async fn a_stale_heartbeat_fences_the_channel() {
        let (tables, task) = assigned(2).await;
        let board = Board::default();
        board.enter(&key(), Generation(1), None);
        board
            .beat(&tables, &task, Which::All, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        assert_eq!(board.fenced().await, [(key(), Generation(1))]);
        assert_eq!(reported(&tables).await, Heartbeat::default());
    }
}
