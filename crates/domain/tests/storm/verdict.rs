//! What a fleet is held to: the numbered invariants of docs/lifecycle.md, and which branches of the planners it met.

use super::fleet::{STEP, Sim};
use domain::alert::UNREMEMBERED;
use domain::coverage::{State, coverage, recorded_time};
use domain::settings::Overrides;
use domain::{
    Assignment, ChannelKey, ChannelRow, DeviceState, LiveTask, SegmentKey, Severity, TaskArn, TaskKind,
};
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A channel that is to be had, and that a poll and then a dispatch could look after, is recorded within so long: a recorder that
/// hangs is noticed after six minutes when many are silent, and the next one may hang, too.
const OWED_MAX: SignedDuration = SignedDuration::from_mins(20);
/// Steps until all is as it should be once the weather calms: 20 rounds of poll and dispatch.
const SETTLED_AFTER: u64 = 120;
/// Steps that it is then watched for.
const WATCHED_FOR: u64 = 60;
/// What is recorded now is in the archive by then.
const ARCHIVED_AFTER: SignedDuration = SignedDuration::from_mins(2);

impl Sim {
    /// What a poll changed: a branch each, a record of the table's stream each, and for each removal I1.
    pub(crate) fn take_in_poll(&mut self, before: &[ChannelRow]) {
        let mut old: BTreeMap<&ChannelKey, &ChannelRow> = before.iter().map(|row| (&row.key, row)).collect();
        for row in self.tables.channels() {
            let branch = match old.remove(&row.key) {
                None => "add",
                Some(old) if old.revision == row.revision => continue,
                Some(old) if old.media_url != row.media_url => "record",
                Some(old) if old.state == row.state => "details",
                Some(_) if row.state == DeviceState::Present => "is-back",
                Some(_) => "miss",
            };
            self.reach(branch, 1);
            self.wakes.record(&row.key, self.now);
        }
        for row in old.into_values() {
            self.assert_removal_was_right(row);
            self.wakes.record(&row.key, self.now);
        }
    }

    /// I1: a channel goes only after no poll that reached its end has seen its device online, and with this channel,
    /// for the whole grace period. (A look whose poll crashed, or could not write, is lost.) Where the loops' clock was stepped
    /// meanwhile, time proves nothing; two polls that missed it must.
    fn assert_removal_was_right(&mut self, row: &ChannelRow) {
        self.reach("remove", 1);
        let Some(seen) = self.gateway.sighting(&row.key) else {
            return;
        };
        if seen.clock_steps != self.clock_steps {
            self.reach("remove after a clock step", 1);
            assert!(seen.misses >= 2, "I1: removed {} after {seen:?}", row.key);
            return;
        }
        let missing_for = self.now.duration_since(seen.at);
        assert!(
            missing_for >= self.poll_policy.offline_grace,
            "I1: removed {} seen online {missing_for} ago",
            row.key
        );
    }

    /// What a dispatch changed, and I4: the generation of a channel never goes back while it is known.
    pub(crate) fn take_in_assignments(&mut self) {
        let mut after = BTreeMap::new();
        for Assignment {
            key,
            generation,
            predecessor,
            ..
        } in self.tables.assignments().into_iter().map(|row| row.assignment)
        {
            let is_new = self.generations.get(&key) != Some(&generation);
            let older = predecessor.is_some_and(|old| old.generation.next() < generation);
            self.reach("inherits its predecessor", u64::from(is_new && older));
            after.insert(key, generation);
        }
        let before = std::mem::replace(&mut self.generations, after);
        for (key, generation) in &self.generations {
            let went_back = before.get(key).is_some_and(|before| before > generation);
            assert!(!went_back, "I4: {key} went back");
        }
    }

    /// I13: bad weather costs some video, and never for long what the loops could do something about.
    pub(crate) fn assert_nothing_is_owed_for_long(&self) {
        let Some((key, owed_for)) = self.owed.longest(self.now) else {
            return;
        };
        assert!(
            owed_for <= OWED_MAX,
            "I13: {key} could have been recorded for {owed_for}: {}, {}",
            self.why_lost(key, &self.gateway.inner.url(key)),
            self.now
        );
    }

    /// I14: once the weather calms, all is as it should be after a bounded number of rounds, and stays so. A channel
    /// that cannot be assigned holds up no other.
    pub(crate) fn settle(&mut self) {
        if let Some(poisoned) = self.poisoned.take() {
            self.reach("poison", 1);
            self.wait_for_order(Some(&poisoned));
            self.tables.poison(&poisoned, false);
        }
        self.wait_for_order(None);
        for step in 0..WATCHED_FOR {
            self.step(step);
        }
        self.assert_converged();
    }

    fn wait_for_order(&mut self, but: Option<&ChannelKey>) {
        let mut step = 0;
        while let Some(disorder) = self.disorder(but) {
            assert!(step < SETTLED_AFTER, "I14: {disorder} after {step} steps of calm");
            self.step(step);
            step += 1;
        }
    }

    /// What is not as it should be: exactly the streams there are are known, each is recorded by one live task from its
    /// URL, and no task is left over.
    fn disorder(&self, but: Option<&ChannelKey>) -> Option<String> {
        let mut streams = self.streams(false);
        let known: BTreeSet<ChannelKey> = self.tables.channels().into_iter().map(|row| row.key).collect();
        if !known.iter().eq(streams.keys()) {
            return Some(format!("known are {known:?} of {:?}", streams.keys()));
        }
        if let Some(key) = self.set_otherwise(but) {
            return Some(format!("{key} has not the settings that people gave it"));
        }
        let tasks = self.tasks.inner.truth();
        if tasks.iter().any(|task| task.stopping) {
            return Some("a task is about to end".into());
        }
        if let Some(sparse) = self.sparse(&tasks).filter(|_| but.is_none()) {
            return Some(format!("{sparse} is emptier than need be"));
        }
        let live: BTreeSet<_> = tasks.into_iter().map(|task| task.arn).collect();
        let mut used = BTreeSet::new();
        for row in self.tables.assignments() {
            let url = streams.remove(&row.assignment.key);
            if but == Some(&row.assignment.key) {
                continue;
            }
            let runs = row
                .assignment
                .task
                .as_ref()
                .is_some_and(|task| live.contains(task));
            let reports = row
                .heartbeat
                .heartbeat_at
                .is_some_and(|at| self.now.duration_since(at) <= STEP);
            let has_pictures = row.heartbeat.first_picture.is_some();
            let records = reports && has_pictures && row.heartbeat.last_error.is_none();
            if !runs || !records || url.as_ref() != Some(&row.assignment.media_url) {
                return Some(format!("{row:?}"));
            }
            used.extend(row.assignment.task);
        }
        if let Some(poisoned) = but {
            streams.remove(poisoned);
            return (!streams.is_empty()).then(|| format!("nobody records {streams:?}"));
        }
        let quiet = used == live && self.wakes.are_quiet() && self.recorders.are_settled();
        (!streams.is_empty() || !quiet).then(|| format!("{streams:?} of nobody, {used:?} of {live:?} in use"))
    }

    /// A task all of whose channels fit into the room of others of its build.
    fn sparse(&self, tasks: &[LiveTask]) -> Option<TaskArn> {
        let mut crews: BTreeMap<TaskArn, Vec<Assignment>> = BTreeMap::new();
        for assignment in self.tables.assignments().into_iter().map(|row| row.assignment) {
            if let Some(task) = assignment.task.clone() {
                crews.entry(task).or_default().push(assignment);
            }
        }
        let load = |task: &LiveTask| crews.get(&task.arn).map_or(0, Vec::len);
        let room = |task: &LiveTask| self.dispatch_policy.channels_per_task.saturating_sub(load(task));
        let fits = |task: &&LiveTask| {
            let others = tasks
                .iter()
                .filter(|other| other.kind == task.kind && other.arn != task.arn);
            let mut crew = crews.get(&task.arn).into_iter().flatten();
            crew.all(|assignment| TaskKind::for_settings(&assignment.settings) == task.kind)
                && load(task) <= others.map(room).sum()
        };
        tasks.iter().find(fits).map(|task| task.arn.clone())
    }

    /// A channel, but this one, that is not yet recorded with the settings it was given.
    fn set_otherwise(&self, but: Option<&ChannelKey>) -> Option<ChannelKey> {
        let (overrides, _) = block_on(Overrides::load(&self.tables.calm())).unwrap();
        let is_other = |assignment: &Assignment| {
            let given = overrides.settings(&assignment.key, &self.poll_policy.settings);
            but != Some(&assignment.key) && assignment.settings != given
        };
        let mut assignments = self.tables.assignments().into_iter().map(|row| row.assignment);
        let other = assignments.find(is_other);
        other.map(|assignment| assignment.key)
    }

    fn assert_converged(&mut self) {
        assert_eq!(self.disorder(None), None, "I5");
        self.assert_archive();
        self.assert_told();
        self.assert_quiet();
    }

    /// I7 and I13: no moment is in the archive twice in one generation, unless people deleted rows of the channel; and what was recorded since the weather calmed
    /// is there without a hole.
    fn assert_archive(&mut self) {
        let to = self.now - ARCHIVED_AFTER;
        let from = self.now - STEP * i32::try_from(WATCHED_FOR).unwrap();
        let mut archived = SignedDuration::ZERO;
        for (key, segments) in &self.recorders.archive {
            if !self.meddled_with.contains(key) {
                assert_no_overlap(segments);
            }
            archived += recorded_time(&coverage(segments, &[], Timestamp::MIN, self.now));
            let spans = coverage(segments, &[], from, to);
            let whole = spans.iter().all(|span| span.state == State::Recorded);
            assert!(
                whole || !self.streams(true).contains_key(key),
                "I13: {key}: {spans:?}"
            );
        }
        let recorded = STEP * i32::try_from(self.recorded).unwrap();
        assert!(archived <= recorded, "{archived} are archived of {recorded}");
    }

    /// I16: whatever people were told of, they were told of its end; unless they were told that they may not be, or
    /// somebody spoilt a memory since.
    fn assert_told(&self) {
        let last: BTreeMap<_, _> = self
            .alerts
            .told()
            .into_iter()
            .filter(|alert| !alert.subject.starts_with("recorder task-"))
            .filter(|alert| {
                self.memory_spoilt_at
                    .is_none_or(|spoilt_at| alert.since > spoilt_at)
            })
            .map(|alert| (alert.subject.clone(), alert))
            .collect();
        for alert in last.values() {
            let is_over = alert.severity == Severity::Resolved || alert.text.ends_with(UNREMEMBERED);
            assert!(is_over, "I16: {alert:?} stands");
        }
    }

    /// I5: a further round writes nothing and asks the gateway for nothing but the device list.
    fn assert_quiet(&mut self) {
        let (writes, lookups) = (self.tables.writes(), self.gateway.inner.lookups());
        let calls = self.weather.calls();
        self.poll();
        self.wakes.schedule(self.now);
        self.dispatch();
        assert_eq!(
            (self.tables.writes(), self.gateway.inner.lookups()),
            (writes, lookups),
            "I5: a quiet round"
        );
        // Poll: credentials, devices, channels, assignments, settings, memory.
        // Dispatch: tasks, channels, assignments, memory.
        assert_eq!(self.weather.calls() - calls, 10, "I5: calls of a quiet round");
    }
}

fn assert_no_overlap(segments: &[SegmentKey]) {
    let mut in_order: Vec<_> = segments.iter().collect();
    in_order.sort_by_key(|segment| (segment.generation, segment.start));
    for pair in in_order.windows(2) {
        let apart = pair[0].generation != pair[1].generation || pair[0].end() <= pair[1].start;
        assert!(apart, "I7: {} and {} overlap", pair[0], pair[1]);
    }
}
