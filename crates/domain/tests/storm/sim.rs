//! One simulated fleet under one seed.

use super::drive::drive;
use super::watched::{WatchedGateway, WatchedTasks};
use domain::dispatch::{self, DispatchPolicy, dispatch};
use domain::fakes::{FakeAlerts, FakeGateway, FakeTables, FakeTasks, Random, Weather};
use domain::poll::{PollPolicy, poll};
use domain::ports::{Put, TasksTable};
use domain::settings::{Audio, Overrides, RecordingSettings};
use domain::{
    ChannelKey, Device, DeviceIndex, DeviceKind, DeviceStatus, Generation, Heartbeat, OfflineHint, TaskArn,
};
use futures::future::join;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const STEP: SignedDuration = SignedDuration::from_secs(5);
const STEPS_STORMY: u64 = 700;
const STEPS_CALM: u64 = 500;
const ORPHAN_GRACE: SignedDuration = SignedDuration::from_secs(120);
const NAMES: [&str; 12] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"];

/// The fleet and its weather.
pub(crate) struct Sim {
    random: Random,
    now: Timestamp,
    weather: Weather,
    gateway: WatchedGateway,
    tables: FakeTables,
    tasks: WatchedTasks,
    alerts: FakeAlerts,
    poll_policy: PollPolicy,
    dispatch_policy: DispatchPolicy,
    mute: BTreeSet<TaskArn>,
    idle_since: BTreeMap<TaskArn, Timestamp>,
    reached: BTreeMap<String, u64>,
    stormy: bool,
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        let weather = Weather::seeded(seed);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let tables = FakeTables::new(weather.clone());
        let gateway = WatchedGateway {
            inner: FakeGateway::new(weather.clone()),
            now: Arc::new(Mutex::new(now)),
            look: Arc::default(),
            seen_online: Arc::default(),
        };
        let tasks = WatchedTasks {
            inner: FakeTasks::new(weather.clone()),
            tables: tables.clone(),
        };
        let mut random = Random::new(seed ^ 0xC0FFEE);
        let channels_per_task = usize::try_from(1 + random.below(3)).unwrap();
        Self {
            now,
            gateway,
            tasks,
            alerts: FakeAlerts::new(weather.clone()),
            poll_policy: PollPolicy {
                lookups_max: 4,
                ..PollPolicy::default()
            },
            dispatch_policy: DispatchPolicy {
                channels_per_task,
                launches_max: 3,
                ..DispatchPolicy::default()
            },
            mute: BTreeSet::new(),
            idle_since: BTreeMap::new(),
            reached: BTreeMap::new(),
            stormy: true,
            tables,
            weather,
            random,
        }
    }

    /// Storm, then calm; how often each planner branch was reached.
    pub(crate) fn run(mut self) -> BTreeMap<String, u64> {
        for name in NAMES.iter().take(6) {
            self.add_device(name);
        }
        for step in 0..STEPS_STORMY {
            let trouble = if (step / 60) % 3 == 2 {
                0
            } else {
                5 + self.random.below(30)
            };
            self.weather.set_trouble(trouble);
            self.provoke();
            self.step(step);
        }
        self.calm_down();
        for step in 0..STEPS_CALM {
            self.step(step);
        }
        self.assert_converged();
        self.reached
    }

    fn step(&mut self, step: u64) {
        self.now = self.now.checked_add(STEP).unwrap();
        *self.gateway.now.lock().unwrap() = self.now;
        self.tasks.inner.set_now(self.now);
        self.record();
        if step.is_multiple_of(6) {
            self.poll();
        }
        if step.is_multiple_of(2) {
            self.dispatch();
        }
    }

    fn provoke(&mut self) {
        let name = NAMES[usize::try_from(self.random.below(12)).unwrap()];
        let index = DeviceIndex::new(name);
        match self.random.below(60) {
            0 => self.add_device(name),
            1 => self.gateway.inner.delete(&index),
            2..=5 => {
                let status = match self.random.below(4) {
                    0 => DeviceStatus::Sleep,
                    1 => DeviceStatus::Offline(OfflineHint::Network),
                    _ => DeviceStatus::Online,
                };
                self.gateway.inner.change(&index, |device| device.status = status);
            }
            6 => self.gateway.inner.change_url(&ChannelKey::new(name, "1")),
            7 => {
                let live = self.tasks.inner.truth();
                if let Some(task) = live.first() {
                    self.tasks.inner.end(&task.arn);
                }
            }
            8 => {
                if let Some(task) = self.tasks.inner.truth().last() {
                    self.mute.insert(task.arn.clone());
                }
            }
            9 => self.tasks.inner.refuse(true),
            10..=12 => self.tasks.inner.refuse(false),
            13 if self.random.percent(20) => {
                for name in NAMES {
                    let offline =
                        |device: &mut Device| device.status = DeviceStatus::Offline(OfflineHint::Waiting);
                    self.gateway.inner.change(&DeviceIndex::new(name), offline);
                }
            }
            14 => {
                let settings = RecordingSettings {
                    audio: Audio::Aac,
                    ..RecordingSettings::default()
                };
                let mut overrides = Overrides::default();
                overrides.set(&ChannelKey::new(name, "1"), settings);
                let store = async {
                    let (_, version) = Overrides::load(&self.tables).await.ok()?;
                    overrides.store(&self.tables, version).await.ok()
                };
                _ = drive(store, None);
            }
            _ => {}
        }
    }

    fn add_device(&mut self, name: &str) {
        let device = Device {
            index: DeviceIndex::new(name),
            name: format!("camera {name}"),
            kind: DeviceKind::Encoder,
            status: DeviceStatus::Online,
            video_channels: 2,
        };
        self.gateway.inner.set(device, &["1", "5"]);
    }

    fn calm_down(&mut self) {
        self.stormy = false;
        self.weather.set_trouble(0);
        self.tasks.inner.refuse(false);
        self.mute.clear();
        for name in NAMES {
            self.gateway.inner.change(&DeviceIndex::new(name), |device| {
                device.status = DeviceStatus::Online;
            });
        }
        self.poll_policy.accept_removals = true;
    }

    /// Every running recorder pulls, records and reports; one without channels ends after its grace.
    fn record(&mut self) {
        for task in self.tasks.inner.truth() {
            if self.mute.contains(&task.arn) {
                continue;
            }
            let Some(Ok(rows)) = drive(self.tables.assignments_of(&task.arn), None) else {
                continue;
            };
            if rows.is_empty() {
                let idle_since = *self.idle_since.entry(task.arn.clone()).or_insert(self.now);
                if self.now.duration_since(idle_since) >= ORPHAN_GRACE {
                    self.tasks.inner.end(&task.arn);
                }
                continue;
            }
            self.idle_since.remove(&task.arn);
            for row in rows {
                let key = &row.assignment.key;
                let alive = row.assignment.media_url == self.gateway.inner.url(key) && self.is_online(key);
                let heartbeat = Heartbeat {
                    heartbeat_at: Some(self.now),
                    last_segment_at: if alive {
                        Some(self.now)
                    } else {
                        row.heartbeat.last_segment_at
                    },
                    last_error: (!alive).then(|| "no stream".to_owned()),
                };
                let beat = self
                    .tables
                    .heartbeat(key, &task.arn, row.assignment.generation, &heartbeat);
                if let Some(Ok(Put::Stale)) = drive(beat, None) {
                    panic!("I3: fenced {key} although nothing came between pull and report");
                }
            }
        }
    }

    fn is_online(&self, key: &ChannelKey) -> bool {
        let online = |device: &Device| device.index == key.device && device.status == DeviceStatus::Online;
        self.gateway
            .inner
            .truth()
            .iter()
            .any(|(device, _)| online(device))
    }

    fn poll(&mut self) {
        let before = self.tables.channels();
        let budget = self.crash_budget();
        let run = poll(
            &self.poll_policy,
            &self.gateway,
            &self.tables,
            &self.alerts,
            self.now,
        );
        if let Some(report) = drive(run, budget) {
            self.reach("hold", u64::from(report.held > 0));
            if report.failure.is_none() && report.writes_failed.is_empty() {
                self.gateway.keep_look();
            }
        }
        self.count_poll_branches(&before);
        let after: BTreeSet<ChannelKey> = self.tables.channels().into_iter().map(|row| row.key).collect();
        for row in before.iter().filter(|row| !after.contains(&row.key)) {
            self.assert_removal_was_right(row);
        }
    }

    /// I1: a channel goes only after no poll that reached its end has seen its device online for the whole grace
    /// period. (A look whose poll crashed, or could not write, is lost.)
    fn assert_removal_was_right(&mut self, row: &domain::ChannelRow) {
        self.reach("remove", 1);
        let seen = self
            .gateway
            .seen_online
            .lock()
            .unwrap()
            .get(&row.key.device)
            .copied();
        let missing_for = self.now.duration_since(seen.unwrap_or(Timestamp::MIN));
        assert!(
            missing_for >= self.poll_policy.offline_grace,
            "I1: removed {} seen online {missing_for} ago",
            row.key
        );
    }

    fn count_poll_branches(&mut self, before: &[domain::ChannelRow]) {
        let old: BTreeMap<&ChannelKey, &domain::ChannelRow> =
            before.iter().map(|row| (&row.key, row)).collect();
        for row in self.tables.channels() {
            let branch = match old.get(&row.key) {
                None => "add",
                Some(old) if old.revision == row.revision => continue,
                Some(old) if old.media_url != row.media_url => "record",
                Some(old) if old.state == row.state => continue,
                Some(_) if row.state == domain::DeviceState::Present => "is-back",
                Some(_) => "miss",
            };
            self.reach(branch, 1);
        }
    }

    fn dispatch(&mut self) {
        self.count_dispatch_branches();
        let generations = self.generations();
        let (policy, now) = (self.dispatch_policy.clone(), self.now);
        let budget = self.crash_budget();
        let one = dispatch(&policy, &self.tables, &self.tasks, &self.alerts, now);
        if self.stormy && self.random.percent(20) {
            let two = dispatch(&policy, &self.tables, &self.tasks, &self.alerts, now);
            drive(join(one, two), budget);
            self.reach("two-dispatchers", 1);
        } else {
            drive(one, budget);
        }
        // I4: the generation of a channel never goes back while it is known.
        for (key, generation) in self.generations() {
            assert!(
                generations.get(&key).is_none_or(|before| *before <= generation),
                "I4: {key} went back"
            );
        }
    }

    fn count_dispatch_branches(&mut self) {
        let (rows, assignments, live) = (
            self.tables.channels(),
            self.tables.assignments(),
            self.tasks.inner.truth(),
        );
        let observed = dispatch::Observed {
            rows: &rows,
            assignments: &assignments,
            live: &live,
        };
        let text = dispatch::plan(&self.dispatch_policy, &observed, self.now).to_string();
        for line in text.lines() {
            self.reach(line.split(' ').next().unwrap_or_default(), 1);
            for why in ["First", "TaskGone", "TaskHung", "NotStarted", "OtherKind"] {
                self.reach(why, u64::from(line.contains(why)));
            }
        }
    }

    fn generations(&self) -> BTreeMap<ChannelKey, Generation> {
        let rows = self.tables.assignments().into_iter();
        rows.map(|row| (row.assignment.key, row.assignment.generation))
            .collect()
    }

    fn crash_budget(&mut self) -> Option<u64> {
        if !self.stormy || !self.random.percent(25) {
            return None;
        }
        self.reach("crash", 1);
        Some(self.random.below(40))
    }

    fn reach(&mut self, branch: &str, times: u64) {
        if times > 0 {
            *self.reached.entry(branch.to_owned()).or_default() += times;
        }
    }

    /// I5: after the storm exactly the online channels are known, each is recorded by one live task from the
    /// right URL, no task is left over, and a further round writes nothing and asks nothing but the device list.
    fn assert_converged(&mut self) {
        let truth: BTreeSet<ChannelKey> = self
            .gateway
            .inner
            .truth()
            .iter()
            .flat_map(|(device, ids)| {
                ids.iter()
                    .map(|id| ChannelKey::new(device.index.as_str(), id.as_str()))
            })
            .collect();
        let known: BTreeSet<ChannelKey> = self.tables.channels().into_iter().map(|row| row.key).collect();
        assert_eq!(known, truth, "I5: known channels");
        let live: BTreeSet<TaskArn> = self
            .tasks
            .inner
            .truth()
            .into_iter()
            .map(|task| task.arn)
            .collect();
        let mut used = BTreeSet::new();
        for row in self.tables.assignments() {
            let task = row.assignment.task.expect("I5: every channel has a task");
            assert!(
                live.contains(&task),
                "I5: {task} of {} does not run",
                row.assignment.key
            );
            assert_eq!(
                row.assignment.media_url,
                self.gateway.inner.url(&row.assignment.key),
                "I5: URL"
            );
            used.insert(task);
        }
        assert_eq!(
            self.tables.assignments().len(),
            truth.len(),
            "I5: one assignment a channel"
        );
        assert_eq!(used, live, "I5: no task is left over");
        let (writes, lookups, calls) = (
            self.tables.writes(),
            self.gateway.inner.lookups(),
            self.weather.calls(),
        );
        self.poll();
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
