//! One simulated fleet under one seed.

use super::drive::{drive, mortal};
use super::ledger::Keeper;
use super::owed::Owed;
use super::recorders::{Recorders, Scene};
use super::seeds::Outcome;
use super::wakes::{After, Delivery, Wakes};
use super::watched::{WatchedGateway, WatchedTasks};
use domain::credentials;
use domain::death::{self, Death, Told};
use domain::dispatch::{DispatchPolicy, dispatch};
use domain::fakes::{FakeAlerts, FakeGateway, FakeTables, FakeTasks, Random, Weather};
use domain::freshness;
use domain::ladder::ArchiveLook;
use domain::poll::{PollPolicy, poll};
use domain::{ChannelKey, Device, DeviceKind, DeviceStatus, Generation, TaskArn};
use futures::executor::block_on;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A recorder pulls and reports once a step.
pub(crate) const STEP: SignedDuration = SignedDuration::from_secs(10);
/// Poll and dispatch are scheduled once a minute.
const STEPS_A_MINUTE: u64 = 6;
/// Two hours.
const STEPS_STORMY: u64 = 720;
/// What a channel may take from its first sighting to its recording before it counts as lost.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);
/// What a task that is stopped has to end by itself (`StopTimeout` of the template).
const STOP_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);
/// Devices there may be.
pub(crate) const NAMES: [&str; 12] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"];

/// The fleet and its weather.
pub(crate) struct Sim {
    pub(crate) random: Random,
    begin: Timestamp,
    /// The true time.
    pub(crate) now: Timestamp,
    /// What the loops' clock is off by, and how often it has been stepped.
    pub(crate) clock_off: SignedDuration,
    pub(crate) clock_steps: u64,
    pub(crate) weather: Weather,
    pub(crate) gateway: WatchedGateway,
    pub(crate) gateway_refusing: bool,
    /// The gateway answers, and gives no stream.
    pub(crate) streams_down: bool,
    pub(crate) tables: FakeTables,
    pub(crate) tasks: WatchedTasks,
    pub(crate) alerts: FakeAlerts,
    pub(crate) poll_policy: PollPolicy,
    pub(crate) dispatch_policy: DispatchPolicy,
    pub(crate) recorders: Recorders,
    pub(crate) archive_down: bool,
    pub(crate) host_closed: bool,
    pub(crate) wakes: Wakes,
    /// What the last look at the assignments showed.
    pub(crate) generations: BTreeMap<ChannelKey, Generation>,
    /// The tasks that ran after the last step.
    live: BTreeSet<TaskArn>,
    /// Those whose end is somebody's wish.
    pub(crate) told_to_end: BTreeSet<TaskArn>,
    pub(crate) poisoned: Option<ChannelKey>,
    pub(crate) memory_spoilt_at: Option<Timestamp>,
    /// Channels whose rows people deleted: their generations begin anew.
    pub(crate) meddled_with: BTreeSet<ChannelKey>,
    /// Since when each channel could have been recorded, gateway and host permitting.
    offered_since: BTreeMap<ChannelKey, Timestamp>,
    /// Channel-steps of those that could for [`PATIENCE`], and how many of them were recorded.
    pub(crate) offered: u64,
    pub(crate) recorded_of_offered: u64,
    pub(crate) owed: Owed,
    /// Channel-steps that were recorded.
    pub(crate) recorded: u64,
    pub(crate) stormy: bool,
    reached: BTreeMap<String, u64>,
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        let weather = Weather::seeded(seed);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let tables = FakeTables::new(weather.clone());
        let tasks = FakeTasks::new(weather.clone());
        tasks.set_now(now);
        tasks.limit_launches(4, SignedDuration::from_secs(5));
        tasks.set_stop_timeout(STOP_TIMEOUT);
        let mut random = Random::new(seed ^ 0xC0FFEE);
        let channels_per_task = usize::try_from(1 + random.below(3)).unwrap();
        Self {
            begin: now,
            now,
            clock_off: SignedDuration::ZERO,
            clock_steps: 0,
            gateway: WatchedGateway::new(FakeGateway::new(weather.clone())),
            gateway_refusing: false,
            streams_down: false,
            tasks: WatchedTasks {
                inner: tasks,
                tables: tables.clone(),
            },
            alerts: FakeAlerts::new(weather.clone()),
            poll_policy: PollPolicy {
                lookups_max: 4,
                ..PollPolicy::default()
            },
            dispatch_policy: DispatchPolicy {
                channels_per_task,
                transforms_per_task: channels_per_task,
                launches_max: 3,
                moving_tasks_max: 2,
                repack_after: SignedDuration::from_mins(3),
                ..DispatchPolicy::default()
            },
            recorders: Recorders::default(),
            archive_down: false,
            host_closed: false,
            wakes: Wakes::default(),
            generations: BTreeMap::new(),
            live: BTreeSet::new(),
            told_to_end: BTreeSet::new(),
            poisoned: None,
            memory_spoilt_at: None,
            meddled_with: BTreeSet::new(),
            offered_since: BTreeMap::new(),
            offered: 0,
            recorded_of_offered: 0,
            recorded: 0,
            owed: Owed::default(),
            stormy: true,
            reached: BTreeMap::new(),
            tables,
            weather,
            random,
        }
    }

    /// Storm, then calm.
    pub(crate) fn run(mut self) -> Outcome {
        for name in NAMES.iter().take(6) {
            self.add_device(name, DeviceKind::Encoder);
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
        self.reach("offered", self.offered);
        self.reach("recorded", self.recorded_of_offered);
        self.calm_down();
        self.settle();
        Outcome {
            reached: self.reached,
            simulated: self.now.duration_since(self.begin),
        }
    }

    pub(crate) fn step(&mut self, step: u64) {
        self.now += STEP;
        self.tasks.inner.set_now(self.now);
        self.tables.tick();
        self.record();
        if step.is_multiple_of(STEPS_A_MINUTE) {
            self.poll();
            self.check_freshness();
        }
        if step % STEPS_A_MINUTE == 3 && !(self.stormy && self.random.percent(10)) {
            self.wakes.schedule(self.now);
        }
        for delivery in self.wakes.arrivals(self.now) {
            self.tell(delivery);
        }
        self.dispatch();
    }

    /// The time as the loops see it.
    pub(crate) fn clock(&self) -> Timestamp {
        self.now + self.clock_off
    }

    pub(crate) fn add_device(&mut self, name: &str, kind: DeviceKind) {
        let device = Device {
            index: name.into(),
            name: format!("camera {name}"),
            kind,
            status: DeviceStatus::Online,
            video_channels: 2,
        };
        self.gateway.inner.set(device, &["1", "5"]);
    }

    /// The channels that should be recorded, each with its URL; `online`: of devices that are there now.
    pub(crate) fn streams(&self, online: bool) -> BTreeMap<ChannelKey, String> {
        let devices = self.gateway.inner.truth().into_iter();
        let wanted = devices.filter(|(device, _)| {
            device.kind != DeviceKind::AccessControl && (!online || device.status == DeviceStatus::Online)
        });
        let keys = wanted.flat_map(|(device, ids)| {
            let key = move |channel| ChannelKey {
                device: device.index.clone(),
                channel,
            };
            ids.into_iter().map(key)
        });
        keys.map(|key| (key.clone(), self.gateway.inner.url(&key)))
            .collect()
    }

    /// Every running recorder pulls, records and reports; the ends of tasks become events.
    fn record(&mut self) {
        let running: BTreeSet<TaskArn> = self
            .tasks
            .inner
            .truth()
            .into_iter()
            .map(|task| task.arn)
            .collect();
        for gone in self.live.difference(&running) {
            let death = Death {
                task: gone.clone(),
                at: self.now,
                text: "it crashed".into(),
            };
            let alarming = !self.told_to_end.contains(gone);
            self.wakes.ended(&death, alarming, &mut self.random);
        }
        for task in self.tasks.inner.told_to_end() {
            self.recorders.tell_to_leave(&task, self.now);
            self.told_to_end.insert(task);
        }
        let streams = match self.streams_down {
            true => BTreeMap::new(),
            false => self.streams(true),
        };
        let scene = Scene {
            tables: &self.tables,
            now: self.now,
            streams,
            refusing: self.gateway_refusing,
            archive_down: self.archive_down,
            meddled_with: &self.meddled_with,
        };
        let step = self.recorders.step(&scene, &running);
        let streams = scene.streams;
        self.measure(streams, &step.recorded);
        for task in &step.ended {
            self.told_to_end.insert(task.clone());
            self.tasks.inner.end(task);
        }
        step.reached.into_iter().for_each(|what| self.reach(what, 1));
        self.live = running;
    }

    fn measure(
        &mut self,
        mut streams: BTreeMap<ChannelKey, String>,
        recorded: &BTreeMap<ChannelKey, BTreeSet<Keeper>>,
    ) {
        self.recorded += recorded.len() as u64;
        if self.gateway_refusing || self.host_closed {
            streams.clear();
        }
        streams.retain(|key, _| self.poisoned.as_ref() != Some(key));
        self.owed.measure(&streams, recorded);
        self.offered_since.retain(|key, _| streams.contains_key(key));
        for key in streams.into_keys() {
            let is_recorded = recorded.contains_key(&key);
            let since = *self.offered_since.entry(key).or_insert(self.now);
            if self.now.duration_since(since) >= PATIENCE {
                self.offered += 1;
                self.recorded_of_offered += u64::from(is_recorded);
            }
        }
        self.assert_nothing_is_owed_for_long();
    }

    /// Why the channel is not recorded, as far as can be told.
    pub(crate) fn why_lost(&self, key: &ChannelKey, url: &str) -> &'static str {
        let rows = self.tables.channels();
        let Some(row) = rows.iter().find(|row| row.key == *key) else {
            return "it is not known";
        };
        if row.media_url != url {
            return "its row has an old URL";
        }
        let assignments = self.tables.assignments();
        let assigned = assignments.iter().find(|row| row.assignment.key == *key);
        let Some(assignment) = assigned.map(|row| &row.assignment) else {
            return "it has no assignment";
        };
        let Some(task) = &assignment.task else {
            return "its recorder was not started";
        };
        if !self.live.contains(task) {
            return "its recorder is gone";
        }
        if assignment.media_url != url {
            return "its assignment has an old URL";
        }
        self.recorders.why_lost(task, key, self.now)
    }

    pub(crate) fn poll(&mut self) {
        let before = self.tables.channels();
        let rejected = self.rejection_stands();
        let twice = self.stormy && self.random.percent(5);
        self.reach("polls at once", u64::from(twice));
        let budgets: Vec<_> = (0..=u8::from(twice)).map(|_| self.crash_budget()).collect();
        let (policy, now) = (self.poll_policy.clone(), self.clock());
        let runs = budgets.into_iter().map(|budget| {
            let run = poll(&policy, &self.gateway, &self.tables, &self.alerts, now);
            mortal(run, budget)
        });
        let reports = drive(join_all(runs), None).expect("it has no budget");
        for report in reports.into_iter().flatten() {
            self.count_poll(&report);
            if report.failure.is_none() {
                let whole = report.writes_failed.is_empty();
                self.gateway.keep_look(self.now, self.clock_steps, whole);
                if whole && report.lookups_failed.is_empty() && report.lookups < policy.lookups_max {
                    self.owed.polled();
                }
            }
        }
        let lifted = rejected && !self.rejection_stands();
        self.reach("rejection lifted", u64::from(lifted));
        self.take_in_poll(&before);
    }

    fn rejection_stands(&self) -> bool {
        let stands = block_on(credentials::rejected(&self.tables.calm()));
        stands.is_ok_and(|rejection| rejection.is_some())
    }

    fn check_freshness(&mut self) {
        let budget = self.crash_budget();
        let check = freshness::check(freshness::SLACK_DEFAULT, &self.tables, &self.alerts, self.clock());
        if let Some(report) = drive(check, budget) {
            self.reach("stale", u64::from(!report.stale.is_empty()));
            let ArchiveLook { wanted, no_video } = report.archive;
            self.reach("mute", u64::from(no_video > 0));
            self.reach("gateway blamed", u64::from(no_video > 0 && no_video == wanted));
        }
    }

    /// People are told of a death; the event comes again if that failed.
    fn tell(&mut self, delivery: Delivery) {
        if !delivery.alarming {
            return;
        }
        let budget = self.crash_budget();
        let tell = death::tell(&self.tables, &self.alerts, &delivery.death, self.clock());
        match drive(tell, budget) {
            Some(Ok(Told::Now)) => {
                let subject = format!("recorder {}", delivery.death.task);
                let told = self.alerts.told();
                assert!(
                    told.iter().any(|alert| alert.subject == subject),
                    "I15: nobody was told of {subject}"
                );
                self.reach("death told", 1);
            }
            Some(Ok(Told::Before)) => self.reach("death told before", 1),
            Some(Ok(Told::InFlood)) => self.reach("death in a flood", 1),
            Some(Err(_)) | None => {
                let comes = self.wakes.redeliver(delivery, self.now);
                self.reach("death given up", u64::from(!comes));
            }
        }
    }

    /// All invocations of the dispatcher that are due take a round, all at once.
    pub(crate) fn dispatch(&mut self) {
        let due = self.wakes.due(self.now, &mut self.random, self.stormy);
        if due.is_empty() {
            return;
        }
        self.reach("dispatchers at once", u64::from(due.len() > 1));
        let (policy, now) = (self.dispatch_policy.clone(), self.clock());
        let budgets: Vec<_> = due.iter().map(|_| self.crash_budget()).collect();
        let runs = budgets.into_iter().map(|budget| {
            let run = dispatch(&policy, &self.tables, &self.tasks, &self.alerts, now);
            mortal(run, budget)
        });
        let reports = drive(join_all(runs), None).expect("it has no budget");
        for (invocation, report) in due.into_iter().zip(reports) {
            if let Some(report) = &report {
                self.count_dispatch(report);
                self.owed.dispatched(self.now, report);
            }
            let repeated = self.stormy && self.random.percent(10);
            match self.wakes.after(invocation, report.as_ref(), self.now, repeated) {
                After::GoesOn(because) => self.reach(&format!("again: {because:?}"), 1),
                After::BatchAgain => self.reach("batch again", 1),
                After::Ends => {}
            }
        }
        self.take_in_assignments();
    }

    fn crash_budget(&mut self) -> Option<u64> {
        if !self.stormy || !self.random.percent(15) {
            return None;
        }
        self.reach("crash", 1);
        Some(self.random.below(40))
    }

    pub(crate) fn reach(&mut self, branch: &str, times: u64) {
        if times == 0 {
            return;
        }
        match self.reached.get_mut(branch) {
            Some(count) => *count += times,
            None => _ = self.reached.insert(branch.to_owned(), times),
        }
    }
}
