//! One simulated gateway under one seed.

use super::drive::drive;
use super::seeds::Outcome;
use super::watched_host::WatchedHost;
use domain::fakes::{FakeAlerts, FakeHost, FakeSite, FakeTables, Random, Weather};
use domain::ladder::{self, ArchiveLook, EndpointLook, LadderPolicy, Patient, check};
use domain::ports::Site;
use domain::recover::{self, RecoverPolicy, Step, recover};
use domain::setup::{SetupPolicy, Wanted, WantedClock};
use domain::{Device, DeviceIndex, DeviceKind, DeviceStatus, ImageState, InstanceId, InstanceState};
use futures::future::join;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

const STEP: SignedDuration = SignedDuration::from_secs(20);
const STEPS_STORMY: u64 = 1_500;
const STEPS_CALM: u64 = 1_300;
/// When the weather has been calm for an hour, people do what they were told that only they can.
const STEPS_UNTIL_PEOPLE_COME: u64 = 180;
/// How long an instance that was the gateway may run on in bad weather before it is retired or left to people.
const STRANGE_MAX: SignedDuration = SignedDuration::from_mins(10);
/// The functions are scheduled once a minute.
const STEPS_A_MINUTE: u64 = 3;

/// The gateway, its host and its weather.
pub(crate) struct Sim {
    pub(crate) random: Random,
    /// The true time, in which host and machines live.
    pub(crate) now: Timestamp,
    /// What the loops' clock is off by.
    pub(crate) clock_off: SignedDuration,
    /// What steps that clock, if anything does; it draws no other lot.
    pub(crate) clocks: Option<Random>,
    pub(crate) weather: Weather,
    pub(crate) host: WatchedHost,
    pub(crate) tables: FakeTables,
    site: FakeSite,
    alerts: FakeAlerts,
    pub(crate) ladder: LadderPolicy,
    pub(crate) setup: SetupPolicy,
    recover: RecoverPolicy,
    pub(crate) no_video: bool,
    /// Since when each instance that was the gateway has run on and is nobody's.
    strangers: BTreeMap<InstanceId, Timestamp>,
    pub(crate) stormy: bool,
    reached: BTreeMap<String, u64>,
}

pub(crate) fn devices() -> Vec<Device> {
    let device = |index: &str| Device {
        index: DeviceIndex::new(index),
        name: format!("camera {index}"),
        kind: DeviceKind::Encoder,
        status: DeviceStatus::Online,
        video_channels: 1,
    };
    vec![device("A"), device("B"), device("C")]
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        let weather = Weather::seeded(seed);
        let tables = FakeTables::new(weather.clone());
        let host = FakeHost::new(weather.clone());
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        Self {
            random: Random::new(seed ^ 0x6A7E_3A11),
            now,
            clock_off: SignedDuration::ZERO,
            clocks: Some(Random::new(seed ^ 0xC10C)),
            site: FakeSite::new(weather.clone(), host.clone()),
            alerts: FakeAlerts::new(weather.clone()),
            host: WatchedHost {
                inner: host,
                truth: tables.calm(),
                had_address: Arc::default(),
                announced: Arc::default(),
            },
            ladder: LadderPolicy {
                password_version: 1,
                memory: SignedDuration::from_mins(40),
                replace_cool_down: SignedDuration::from_mins(60),
                ..LadderPolicy::default()
            },
            setup: SetupPolicy {
                wanted: Wanted {
                    name: Some("Millrace".into()),
                    clock: Some(WantedClock {
                        utc_offset: Offset::constant(2),
                        ntp: false,
                    }),
                    external_address: None,
                },
                password_version: 1,
                initial_password_version: Some(1),
                ..SetupPolicy::default()
            },
            recover: RecoverPolicy {
                rpo: SignedDuration::from_mins(30),
                images_max: 4,
                image_age_max: SignedDuration::from_mins(if seed.is_multiple_of(2) { 110 } else { 600 }),
                image_completion_max: SignedDuration::from_mins(20),
                launch_max: SignedDuration::from_mins(5),
                boot_max: SignedDuration::from_mins(6),
                prove_max: SignedDuration::from_mins(8),
                verify_max: SignedDuration::from_mins(4),
                quarantine: SignedDuration::from_mins(60),
                ..RecoverPolicy::default()
            },
            no_video: false,
            strangers: BTreeMap::new(),
            stormy: true,
            reached: BTreeMap::new(),
            tables,
            weather,
        }
    }

    /// The storm as it was before clocks were stepped in it, for the seeds that failed then.
    pub(crate) fn with_a_steady_clock(mut self) -> Self {
        self.clocks = None;
        self
    }

    /// The time as the loops see it.
    pub(crate) fn clock(&self) -> Timestamp {
        self.now + self.clock_off
    }

    /// Storm, then calm.
    pub(crate) fn run(mut self) -> Outcome {
        let begin = self.now;
        for step in 0..STEPS_STORMY {
            let trouble = if (step / 60) % 3 == 2 {
                0
            } else {
                3 + self.random.below(20)
            };
            self.weather.set_trouble(trouble);
            self.provoke();
            self.step(step);
        }
        self.calm_down();
        for step in 0..STEPS_CALM {
            self.step(step);
            if step == STEPS_UNTIL_PEOPLE_COME {
                self.correct_the_password();
            }
        }
        self.assert_converged();
        Outcome {
            reached: self.reached,
            simulated: self.now.duration_since(begin),
        }
    }

    fn step(&mut self, step: u64) {
        self.now = self.now.checked_add(STEP).unwrap();
        self.host.inner.set_now(self.now);
        self.host.note();
        if step.is_multiple_of(STEPS_A_MINUTE) {
            self.check();
            if self.stormy && self.random.percent(5) {
                self.check();
            }
            self.recover();
        }
        for software in self.host.inner.all_software() {
            assert_eq!(software.lockouts, 0, "G5: an account was locked");
        }
    }

    fn archive(&self) -> ArchiveLook {
        ArchiveLook {
            wanted: 3,
            no_video: if self.no_video { 3 } else { 0 },
        }
    }

    fn check(&mut self) {
        let budget = self.crash_budget();
        let (policy, archive, now) = (self.ladder.clone(), self.archive(), self.clock());
        let twice = self.is_twice();
        let site = Site {
            host: &self.host.inner,
            connect: &self.site,
            table: &self.tables,
            alerts: &self.alerts,
        };
        let one = check(&policy, &Patient::InOffice, site, archive, now);
        let reports = if twice {
            let two = check(&policy, &Patient::InOffice, site, archive, now);
            drive(join(one, two), budget).map(|(one, two)| vec![one, two])
        } else {
            drive(one, budget).map(|one| vec![one])
        };
        for report in reports.into_iter().flatten() {
            self.count_ladder(&report);
        }
    }

    fn count_ladder(&mut self, report: &ladder::Report) {
        const REASONS: [&str; 8] = [
            "well again",
            "suspect",
            "it seems well again",
            "what was tried has",
            "a replacement is under way",
            "nothing is left to try",
            "too soon",
            "well",
        ];
        if let Some(action) = report.action {
            self.reach(&format!("ladder {action:?}"));
        }
        if let Some(reason) = REASONS.iter().find(|reason| report.reason.starts_with(**reason)) {
            self.reach(&format!("ladder {reason}"));
        }
        if let Some(symptom) = report.symptom {
            self.reach(&format!("symptom {symptom:?}"));
        }
        let endpoint = report.look.as_ref().map(|look| &look.endpoint);
        if matches!(endpoint, Some(EndpointLook::ShutOut(_))) {
            self.reach("shut out");
        }
    }

    fn recover(&mut self) {
        let budget = self.crash_budget();
        let (policy, setup, now) = (self.recover.clone(), self.setup.clone(), self.clock());
        let step = self.host.memory().saga.map(|saga| saga.step);
        let twice = self.is_twice();
        let site = Site {
            host: &self.host,
            connect: &self.site,
            table: &self.tables,
            alerts: &self.alerts,
        };
        let one = recover(&policy, &setup, site, now);
        let reports = if twice {
            let two = recover(&policy, &setup, site, now);
            drive(join(one, two), budget).map(|(one, two)| vec![one, two])
        } else {
            drive(one, budget).map(|one| vec![one])
        };
        for report in reports.into_iter().flatten() {
            self.count_recover(&report, step);
        }
        self.host.note();
        self.assert_one_gateway();
    }

    fn count_recover(&mut self, report: &recover::Report, before: Option<Step>) {
        const NOTES: [&str; 12] = [
            "begin",
            "finished",
            "abandoned",
            "failed: no instance could be launched",
            "failed: somebody terminated",
            "failed: somebody stopped",
            "failed: the host did not find",
            "failed: it did not answer through the address",
            "the drill makes way",
            "adopted",
            "goes back to the gateway",
            "faster",
        ];
        for note in &report.notes {
            if let Some(step) = before.filter(|_| note.contains("failed: ")) {
                self.reach(&format!("recover failed, {step}"));
            }
            if let Some((_, step)) = note.split_once('→') {
                self.reach(&format!("recover →{step}"));
            }
            for known in NOTES.iter().filter(|known| note.contains(**known)) {
                self.reach(&format!("recover {known}"));
            }
        }
        self.count_setup(&report.drift);
        for deed in &report.deeds {
            let verb = deed.split(' ').next().unwrap_or_default();
            let why = deed
                .split_once(": ")
                .map_or(String::new(), |(_, why)| format!(" {why}"));
            self.reach(&format!("deed {verb}{why}"));
        }
    }

    /// What setup changed at the gateway in office, and whether it must leave something to people.
    fn count_setup(&mut self, drift: &[String]) {
        const CHANGES: [&str; 5] = [
            "name the gateway",
            "set the clock",
            "map the gateway's own ports",
            "map the devices' ports",
            "whether it was done is not known",
        ];
        for line in drift {
            for known in CHANGES.iter().filter(|known| line.contains(**known)) {
                self.reach(&format!("setup: {known}"));
            }
        }
        if self.host.memory().setup_trouble.is_some() {
            self.reach("setup: a person is needed");
        }
        let software = self.host.inner.all_software();
        if software.iter().any(|software| software.restarts > 0) {
            self.reach("setup: restart");
        }
    }

    /// G4: of the instances we launched that run and were the gateway, only one is neither retired nor left to
    /// people, but for the moment between announcing the new one and retiring the old.
    fn assert_one_gateway(&mut self) {
        let memory = self.host.memory();
        let role = self.host.role().map(|role| role.instance_id);
        let old = memory.saga.as_ref().and_then(|saga| saga.old.clone());
        let new = memory.saga.as_ref().and_then(|saga| saga.new.clone());
        let announced = self.host.announced.lock().unwrap();
        let strangers: Vec<_> = self
            .host
            .inner
            .instances()
            .into_iter()
            .filter(|instance| instance.token.is_some() && instance.state == InstanceState::Running)
            .map(|instance| instance.id)
            .filter(|id| announced.contains(id) && self.host.inner.holder().as_ref() != Some(id))
            .filter(|id| role.as_ref() != Some(id) && old.as_ref() != Some(id) && new.as_ref() != Some(id))
            .filter(|id| !memory.retired.contains_key(id) && !memory.left_to_people.contains(id))
            .collect();
        drop(announced);
        self.strangers.retain(|id, _| strangers.contains(id));
        for id in strangers {
            let since = *self.strangers.entry(id.clone()).or_insert(self.now);
            let strange_for = self.now.duration_since(since);
            assert!(
                self.stormy && strange_for <= STRANGE_MAX,
                "G4: {id} was the gateway and has run on for {strange_for}"
            );
        }
    }

    fn is_twice(&mut self) -> bool {
        let twice = self.stormy && self.random.percent(15);
        if twice {
            self.reach("two at once");
        }
        twice
    }

    fn crash_budget(&mut self) -> Option<u64> {
        if !self.stormy || !self.random.percent(15) {
            return None;
        }
        self.reach("crash");
        Some(self.random.below(60))
    }

    pub(crate) fn reach(&mut self, branch: &str) {
        *self.reached.entry(branch.to_owned()).or_default() += 1;
    }

    /// G6: after the storm there is one gateway, which has the address, is sound and set up; nothing is left over;
    /// there is a fresh image; and a further round writes nothing.
    fn assert_converged(&mut self) {
        let host = &self.host.inner;
        let memory = self.host.memory();
        let role = self.host.role().expect("G6: there is a gateway").instance_id;
        assert_eq!(
            host.holder().as_ref(),
            Some(&role),
            "G6: the gateway has the address"
        );
        assert!(memory.saga.is_none(), "G6: no saga is left: {:?}", memory.saga);
        assert!(self.host.is_proven(&role), "G6: {:?}", host.software(&role));
        for instance in host.instances() {
            if instance.id == role {
                assert!(instance.is_sound(), "G6: {instance:?}");
            } else if instance.token.is_some() && !memory.left_to_people.contains(&instance.id) {
                assert_eq!(
                    instance.state,
                    InstanceState::Gone,
                    "G6: {instance:?} is left over"
                );
            }
        }
        let usable = |image: &domain::Image| image.state == ImageState::Usable;
        let newest = host
            .images()
            .into_iter()
            .filter(usable)
            .map(|image| image.taken_at)
            .max();
        let age = self.now.duration_since(newest.expect("G6: there is an image"));
        assert!(
            age < self.recover.rpo + SignedDuration::from_mins(8),
            "G6: the newest image is {age} old"
        );
        assert!(
            host.images().len() <= self.recover.images_max + 1,
            "G6: too many images"
        );
        let writes = self.tables.writes();
        self.check();
        self.recover();
        assert_eq!(self.tables.writes(), writes, "G6: a quiet round");
    }
}
