//! The storm: answers that are throttled and lost, playbacks that break off, devices that are busy, away, or write over
//! what they have; two workers that crash between any two calls, are told to end, or sleep through their lease; and holes
//! of every kind.

use super::branches::{BRANCHES, Round};
use super::holes::{BEGIN, Hole, Kind};
use super::seeds::{Outcome, Storm};
use super::worker::{Met, Worker};
use super::{World, at, channel};
use domain::DeviceIndex;
use domain::backfill::{BackfillPolicy, Report, cut_off, survey};
use domain::fakes::{FakeFetch, Random};
use domain::ports::Fetch;
use futures::executor::block_on;
use jiff::{SignedDuration, Timestamp};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

const NAMES: [&str; 2] = ["a", "b"];
const DEVICES: u64 = 4;
const ROUNDS_STORMY: u64 = 60;
const ROUNDS_CALM: u64 = 100;
/// The device that never gives what it says it has.
const STUBBORN: u64 = DEVICES;
/// The holes of the others.
const FILLED: u64 = 2 * (DEVICES - 1);
/// Turns of two workers together.
const TURNS_MAX: u64 = 20_000;

pub(crate) struct Sim {
    pub(crate) world: World,
    random: Random,
    pub(crate) policy: BackfillPolicy,
    disks: [FakeFetch; 2],
    pub(crate) holes: Vec<Hole>,
    pub(crate) met: Met,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        world.clock.store(BEGIN, Ordering::Relaxed);
        let mut random = Random::new(seed ^ 0xB0);
        let keys = (1..=DEVICES).flat_map(|device| [(device, 1), (device, 5)]);
        let holes = keys.map(|(device, number)| {
            let kind = match device {
                STUBBORN => Kind::OneCause,
                _ => Kind::ALL[usize::try_from(random.below(Kind::ALL.len() as u64)).unwrap()],
            };
            Hole::dig(&world, &channel(device, number), kind, &mut random)
        });
        let holes = holes.collect();
        world.footage.set_busy(&device(STUBBORN), true);
        Self {
            disks: [world.worker(), world.worker()],
            policy: BackfillPolicy {
                playbacks_max: 2,
                ripe_after: SignedDuration::from_mins(30),
                lease: SignedDuration::from_mins(26),
                ..BackfillPolicy::default()
            },
            holes,
            random,
            world,
            met: Met::default(),
        }
    }

    fn run(mut self) -> Outcome {
        for _ in 0..ROUNDS_STORMY {
            self.provoke();
            self.both_for_a_while();
            self.world.pass(i64::try_from(self.random.below(1_200)).unwrap());
            self.check();
        }
        self.calm_down();
        for _ in 0..ROUNDS_CALM {
            self.world.pass(6 * 60 * 60 / 10);
            self.end_holes();
            self.in_turn();
        }
        self.check();
        self.converge();
        Outcome {
            reached: self.met.all(),
            simulated: self.world.now().duration_since(at(BEGIN)),
        }
    }

    /// Perhaps a device goes away or comes back, or writes over the oldest that it has, or a
    /// spool comes back.
    fn provoke(&mut self) {
        match self.random.below(40) {
            0..=1 => self.set_away(true),
            2..=6 => self.set_away(false),
            7..=14 => {
                let at = usize::try_from(self.random.below(self.holes.len() as u64)).unwrap();
                self.holes[at].overwrite(&self.world, self.random.below(300));
            }
            15..=24 => {
                let at = usize::try_from(self.random.below(FILLED)).unwrap();
                let second = self.random.below(1_500);
                self.holes[at].spool_comes_back(&self.world, &self.policy, second);
            }
            _ => {}
        }
        self.end_holes();
    }

    /// Of holes whose time has come: their recorders have a picture again.
    fn end_holes(&mut self) {
        let world = &self.world;
        self.holes.iter_mut().for_each(|hole| hole.end_in_time(world));
    }

    fn set_away(&mut self, away: bool) {
        let device = device(1 + self.random.below(DEVICES));
        self.world.footage.set_away(&device, away);
    }

    fn check(&self) {
        self.holes.iter().for_each(|hole| self.world.check(&hole.key));
    }

    /// Two workers take turns for some calls, and now and then both die.
    fn both_for_a_while(&mut self) {
        self.world.weather.set_trouble(0);
        let would_play = self.would_play();
        let trouble = [0, 5, 15, 30][usize::try_from(self.random.below(4)).unwrap()];
        self.world.weather.set_trouble(trouble);
        let (rounds, dead) = self.take_turns();
        rounds.iter().for_each(|round| self.judge(round, would_play));
        dead.into_iter().for_each(|name| self.bury(name));
    }

    /// How many devices would play if all might at once.
    fn would_play(&self) -> usize {
        let policy = BackfillPolicy {
            playbacks_max: usize::MAX,
            ..self.policy.clone()
        };
        let world = &self.world;
        let survey = block_on(survey(&policy, &world.archive, &world.tables, world.now()));
        survey.unwrap().pieces.len()
    }

    /// The rounds that came to an end, and the workers that died in one.
    fn take_turns(&mut self) -> (Vec<Round>, Vec<&'static str>) {
        let (world, policy) = (&self.world, &self.policy);
        let random = &mut self.random;
        let workers = [0, 1].map(|at| Worker {
            world,
            policy,
            name: NAMES[at],
            disk: self.disks[at].clone(),
            met: &self.met,
            random: Mutex::new(Random::new(random.below(u64::MAX))),
            under_way: AtomicUsize::new(0),
        });
        let begin = |at: usize| Some(Running::begin(&workers[at]));
        let turns = if random.percent(50) {
            random.below(200)
        } else {
            TURNS_MAX
        };
        let mut running = [begin(0), begin(1)];
        let mut awake_at = [Timestamp::MIN; 2];
        let mut rounds = Vec::new();
        for _ in 0..turns {
            world.pass(i64::try_from(random.below(5)).unwrap());
            let at = usize::from(random.percent(50));
            let Some(round) = running[at].as_mut().filter(|_| awake_at[at] <= world.now()) else {
                continue;
            };
            // No call takes longer than the lease's reserve; between two calls a worker may sleep through its lease.
            if random.below(300) == 0 && workers[at].under_way.load(Ordering::Relaxed) == 0 {
                self.met.reach("asleep");
                awake_at[at] = world.now() + SignedDuration::from_mins(30);
            } else if let Some(round) = round.go_on(world.now()) {
                rounds.push(round);
                let goes_on = random.percent(60) || world.now() < awake_at[1 - at];
                running[at] = if goes_on { begin(at) } else { None };
            }
            if running.iter().all(Option::is_none) {
                break;
            }
        }
        let dead = [0, 1].into_iter().filter(|at| running[*at].is_some());
        (rounds, dead.map(|at| NAMES[at]).collect())
    }

    /// A worker died, or was told to end and said so.
    fn bury(&mut self, name: &str) {
        self.met.reach("crash");
        if self.random.percent(50) {
            self.met.reach("told to end");
            let _ = block_on(cut_off(&self.policy, &self.world.tables, name, self.world.now()));
        }
    }

    fn calm_down(&mut self) {
        self.world.weather.set_trouble(0);
        for number in 1..=DEVICES {
            self.world.footage.set_away(&device(number), false);
        }
    }

    /// One worker after the other, each for a whole round.
    fn in_turn(&self) {
        for (disk, name) in self.disks.iter().zip(NAMES) {
            block_on(self.world.round_by(&self.policy, &self.world.footage, disk, name));
        }
    }

    /// B4, and a quiet round.
    fn converge(&self) {
        for hole in &self.holes {
            if hole.key.device == device(STUBBORN) {
                hole.assert_given_up(&self.world);
                self.reach_all(&[(
                    "the last word",
                    !self.world.memory().settled(&hole.key).is_empty(),
                )]);
            } else {
                hole.assert_filled(&self.world, &self.policy);
            }
        }
        self.reach_all(&[("told", !self.world.alerts.told().is_empty())]);
        let (asked, writes) = (self.world.footage.asked(), self.world.tables.writes());
        self.in_turn();
        assert_eq!(
            (self.world.footage.asked(), self.world.tables.writes()),
            (asked, writes),
            "B4: not quiet"
        );
        for disk in &self.disks {
            assert_eq!(block_on(disk.waiting()).unwrap(), [], "B4: something waits");
        }
    }
}

fn device(number: u64) -> DeviceIndex {
    channel(number, 1).device
}

/// A round on its way.
struct Running<'a> {
    began: Option<Timestamp>,
    waited: bool,
    round: Pin<Box<dyn Future<Output = Report> + 'a>>,
}

impl<'a> Running<'a> {
    fn begin(worker: &'a Worker<'_>) -> Self {
        let waiting = block_on(worker.disk.waiting()).unwrap();
        let round = worker.world.round_by(worker.policy, worker, worker, worker.name);
        Self {
            began: None,
            waited: !waiting.is_empty(),
            round: Box::pin(round),
        }
    }

    fn go_on(&mut self, now: Timestamp) -> Option<Round> {
        let began = *self.began.get_or_insert(now);
        match self.round.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(report) => Some(Round {
                began,
                ended: now,
                waited: self.waited,
                report,
            }),
            Poll::Pending => None,
        }
    }
}

#[test]
fn a_storm_stores_nothing_twice_and_all_in_the_end() {
    let storm = Storm {
        test: "backfill",
        seeds: 15,
        run: |seed| Sim::new(seed).run(),
        branches: BRANCHES,
    };
    let _ = storm.weather_all();
}
