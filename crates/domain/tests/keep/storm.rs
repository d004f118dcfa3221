//! The storm: archives that throttle, list short pages and delete by halves, tables that do not answer, runs that freeze
//! or are dropped between any two calls, clocks that step, and people who make and change episodes, retentions and the
//! loop's memory meanwhile.

use super::branches::BRANCHES;
use super::drive::drive;
use super::seeds::{Outcome, Storm};
use super::truth::{Truth, Watched, channel_of};
use super::{DAY, RETENTION_DAYS, World, at, channel, episode, policy, segment};
use domain::episode::MARGIN;
use domain::fakes::Random;
use domain::keep::{Because, KeepPolicy, Mode, Report, Verdict, keep, verdict};
use domain::ports::{ControlTable, EpisodesTable, Put};
use domain::segment::still_key;
use domain::settings::{Overrides, OwnSettings};
use domain::{Archived, Episode, Generation, ObjectKey};
use futures::executor::block_on;
use futures::future::join;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

const BEGIN: i64 = 10 * DAY;
pub(crate) const CHANNELS: u64 = 4;
const ROUNDS: u64 = 30;
/// How far a clock steps: everything would be old.
const STEP: i64 = 300 * DAY;
/// The control item of the loop's memory.
pub(crate) const MEMORY: &str = "keep-cursor";

pub(crate) struct Sim {
    pub(crate) world: World,
    pub(crate) truth: Truth,
    random: Random,
    pub(crate) policy: KeepPolicy,
    reached: BTreeMap<String, u64>,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let policy = KeepPolicy {
            pages_max: 1 + usize::try_from(random.below(6)).unwrap(),
            run_max: SignedDuration::from_secs([60, 3_600][usize::try_from(random.below(2)).unwrap()]),
            ..policy(RETENTION_DAYS)
        };
        Self {
            world: World::new(seed, BEGIN),
            truth: Truth::new(BEGIN),
            random,
            policy,
            reached: BTreeMap::new(),
        }
    }

    fn run(mut self) -> Outcome {
        self.fill();
        for _ in 0..ROUNDS {
            self.truth.pass(below(&mut self.random, 20_000));
            self.world.weather.set_trouble(0);
            self.people();
            let trouble = [0, 5, 30][usize::try_from(self.random.below(3)).unwrap()];
            self.world.weather.set_trouble(trouble);
            self.round();
        }
        self.converge();
        Outcome {
            reached: self.reached,
            simulated: SignedDuration::from_secs(self.truth.now() - BEGIN),
        }
    }

    /// Some days of segments, stills and things that are not ours, on a few channels.
    fn fill(&mut self) {
        let (archive, random) = (&self.world.archive, &mut self.random);
        for number in 1..=CHANNELS {
            let channel = channel(number);
            let mut now_ms = 4 * DAY * 1_000;
            while now_ms < 12 * DAY * 1_000 {
                let length = 60_000 + below(random, 4_000_000);
                archive.place(segment(&channel, now_ms, length), b"video");
                if random.percent(10) {
                    let taken_at = Timestamp::from_millisecond(now_ms).unwrap();
                    archive.place(still_key(&channel, taken_at, Generation(1)), b"still");
                }
                if random.percent(5) {
                    let key = segment(&channel, now_ms, length).0.replace("Z_", "Z-");
                    archive.place(ObjectKey(key), b"?");
                }
                now_ms += length;
            }
        }
    }

    /// People at work between two runs.
    fn people(&mut self) {
        if self.random.percent(70) {
            change_an_episode(&self.world, &self.truth, &mut self.random);
        }
        if self.random.percent(10) {
            self.change_a_retention();
        }
        if self.random.percent(3) {
            self.reach("memory unreadable");
            let tables = self.world.tables.calm();
            let version = block_on(tables.get_control(MEMORY))
                .unwrap()
                .map(|item| item.version);
            _ = block_on(tables.put_control(MEMORY, &"nonsense".into(), version)).unwrap();
        }
    }

    fn change_a_retention(&mut self) {
        let channel = channel(1 + self.random.below(CHANNELS));
        let days = [0, 1, 5][usize::try_from(self.random.below(3)).unwrap()];
        let tables = self.world.tables.calm();
        let (mut overrides, version) = block_on(Overrides::load(&tables)).unwrap();
        let own = OwnSettings {
            retention_days: Some(days),
            ..OwnSettings::default()
        };
        overrides.set(&channel, own);
        _ = block_on(overrides.store(&tables, version)).unwrap();
        self.truth.set_retention(&channel, days);
    }

    /// A run, or two at once, by a clock that is right or far off.
    fn round(&mut self) {
        let step = [0, 0, 0, 0, 0, 0, 0, 0, STEP, -STEP][usize::try_from(self.random.below(10)).unwrap()];
        self.set_clock(step);
        self.count_skipped();
        let mode = if self.random.percent(10) {
            Mode::DryRun
        } else {
            Mode::Delete
        };
        let before = (self.world.archive.keys(), self.world.tables.writes());
        // Two runs that see the same clock are two looks at it, and believed.
        if step == 0 && self.random.percent(15) {
            self.reach("two at once");
            self.two_at_once(mode);
        } else {
            self.one(mode);
        }
        if mode == Mode::DryRun {
            self.reach("dry run");
            let after = (self.world.archive.keys(), self.world.tables.writes());
            assert_eq!(after, before, "a dry run changes nothing");
        }
        if step != 0 {
            // The step is over before the next run, as time keepers see to.
            self.reach(if step > 0 { "clock ahead" } else { "clock behind" });
            self.set_clock(0);
            self.world.weather.set_trouble(0);
            self.world.keep(&self.policy, Mode::Delete);
        }
    }

    fn set_clock(&self, off: i64) {
        let now = self.truth.now() + off;
        self.world.clock.store(now, Ordering::Relaxed);
    }

    fn one(&mut self, mode: Mode) {
        let budget = self.crash_budget();
        let archive = watched(&self.world, &self.truth);
        let world = &self.world;
        let mut run = Box::pin(run(&self.policy, &archive, world, mode));
        let (truth, random, reached) = (&self.truth, &mut self.random, &mut self.reached);
        let turns = poll_fn(move |context| {
            let turn = run.as_mut().poll(context);
            if mode == Mode::Delete
                && let Some(what) = meanwhile(world, truth, random)
            {
                *reached.entry(what.to_owned()).or_default() += 1;
            }
            turn
        });
        let report = drive(turns, budget);
        let pages = archive.pages.into_inner().unwrap();
        let Some(report) = report else {
            return self.reach("crash");
        };
        self.count(&report, mode);
        self.count_pages(&report, &pages);
    }

    fn two_at_once(&mut self, mode: Mode) {
        let budget = self.crash_budget();
        let version = self.version();
        let archive = watched(&self.world, &self.truth);
        let world = &self.world;
        let begin = || run(&self.policy, &archive, world, mode);
        let Some((one, two)) = drive(join(begin(), begin()), budget) else {
            return self.reach("crash");
        };
        let both_well = one.failure.is_none() && two.failure.is_none();
        if mode == Mode::Delete && both_well && self.version() == version.map(|version| version + 1) {
            self.reach("another run was faster");
        }
        self.count(&one, mode);
        self.count(&two, mode);
    }

    fn crash_budget(&mut self) -> Option<u64> {
        self.random.percent(30).then(|| self.random.below(80))
    }

    fn version(&self) -> Option<u64> {
        let item = block_on(self.world.tables.calm().get_control(MEMORY)).unwrap();
        item.map(|item| item.version)
    }

    /// In calm weather two runs leave only what is protected, give or take the margin around episodes; and that is what
    /// people are told who ask.
    fn converge(&mut self) {
        self.world.weather.set_trouble(0);
        self.set_clock(0);
        let policy = policy(RETENTION_DAYS);
        self.world.keep(&policy, Mode::Delete);
        let last = self.world.keep(&policy, Mode::Delete);
        assert_eq!((last.failure, last.held, last.unfinished), (None, None, false));
        let rows = self.world.tables.episodes();
        for key in self.world.archive.keys() {
            let days = self.truth.retention(&channel_of(&key));
            let because = verdict(&key, days, &of_channel(&rows, &key), at(self.truth.now()));
            let Some(archived) = Archived::parse(&key) else {
                assert_eq!(because, Verdict::Keep(Because::NotOurs));
                continue;
            };
            let is_young = archived.end() > at(self.truth.now() - i64::from(days) * DAY);
            match because {
                Verdict::Keep(Because::AllIsKept) => assert_eq!(days, 0),
                Verdict::Keep(Because::Young { .. }) => assert!(is_young, "I10: {key} survived"),
                Verdict::Keep(Because::Episode { .. }) => {
                    assert!(self.is_wanted(&rows, &key), "I10: {key} survived");
                }
                Verdict::Keep(Because::NotOurs) | Verdict::Free { .. } => panic!("I10: {key}: {because}"),
            }
            if days == 0 {
                self.reach("all is kept");
            }
        }
    }

    fn is_wanted(&self, rows: &[Episode], key: &ObjectKey) -> bool {
        let archived = Archived::parse(key).unwrap();
        of_channel(rows, key).iter().any(|row| {
            row.protects_at(at(self.truth.now()))
                && row.start <= archived.end() + MARGIN
                && row.end.is_none_or(|end| archived.start() <= end + MARGIN)
        })
    }

    pub(crate) fn reach(&mut self, branch: &str) {
        *self.reached.entry(branch.to_owned()).or_default() += 1;
    }
}

fn below(random: &mut Random, bound: u64) -> i64 {
    i64::try_from(random.below(bound)).unwrap()
}

fn of_channel(rows: &[Episode], key: &ObjectKey) -> Vec<Episode> {
    let channel = channel_of(key);
    rows.iter().filter(|row| row.key == channel).cloned().collect()
}

async fn run(policy: &KeepPolicy, archive: &Watched<'_>, world: &World, mode: Mode) -> Report {
    let now = || world.now();
    keep(policy, archive, &world.tables, &world.alerts, now, mode).await
}

fn watched<'a>(world: &'a World, truth: &'a Truth) -> Watched<'a> {
    Watched {
        inner: &world.archive,
        tables: &world.tables,
        truth,
        pages: Mutex::default(),
    }
}

/// What may happen between any two steps of a run, if it is worth counting: time passes, the run freezes, its clock
/// steps, people make and delete episodes.
fn meanwhile(world: &World, truth: &Truth, random: &mut Random) -> Option<&'static str> {
    let (seconds, off, what) = match random.below(400) {
        0..=3 => {
            // Somebody wants what is due, perhaps after the run has read the episodes.
            let start = truth.now() - i64::from(RETENTION_DAYS) * DAY - below(random, 40_000);
            make_an_episode(world, truth, random, start, Some(start + 20_000));
            (40, 0, Some("frozen"))
        }
        4 => (0, STEP, Some("clock steps in a run")),
        5 => (0, -STEP, Some("clock steps in a run")),
        6..=11 => {
            change_an_episode(world, truth, random);
            (1, 0, Some("people in a run"))
        }
        _ => (below(random, 3), 0, None),
    };
    truth.pass(seconds);
    world.clock.fetch_add(seconds + off, Ordering::Relaxed);
    what
}

/// Makes an episode, or deletes one.
fn change_an_episode(world: &World, truth: &Truth, random: &mut Random) {
    let tables = world.tables.calm();
    let rows = tables.episodes();
    if random.percent(20) && !rows.is_empty() {
        let row = &rows[usize::try_from(random.below(rows.len() as u64)).unwrap()];
        _ = block_on(tables.delete_episode(&row.key, row.start, row.revision)).unwrap();
        return;
    }
    let start = truth.now() - below(random, 6 * 86_400);
    let length = below(random, 30_000);
    let end = Some(start + length).filter(|_| length > 1_000);
    make_an_episode(world, truth, random, start, end);
}

fn make_an_episode(world: &World, truth: &Truth, random: &mut Random, start: i64, end: Option<i64>) {
    let mut row = episode(&channel(1 + random.below(CHANNELS)), start, end);
    row.expires_at = random.percent(60).then(|| at(truth.now() + 50_000));
    if block_on(world.tables.calm().put_episode(&row, None)).unwrap() == Put::Written {
        truth.note_episode(&row);
    }
}

#[test]
fn a_storm_deletes_no_protected_frame_and_nothing_unprotected_survives_two_runs() {
    let storm = Storm {
        test: "keep",
        seeds: 40,
        run: |seed| Sim::new(seed).run(),
        branches: BRANCHES,
    };
    let _ = storm.weather_all();
}
