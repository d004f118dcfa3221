//! Many storms of one kind, one a seed, and what they came to together.
//!
//! | environment | |
//! | --- | --- |
//! | `STORM_SEEDS` | how many seeds run; each kind has its own default |
//! | `STORM_FROM` | the first of them (0) |
//! | `STORM_SEED` | runs this one alone: the replay of a failure |

use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// How often a long run says where it is.
const PROGRESS: Duration = Duration::from_secs(15);

/// What one storm, or many, came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// How often each branch was reached.
    pub(crate) reached: BTreeMap<String, u64>,
    /// The time that passed in the simulated world.
    pub(crate) simulated: SignedDuration,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        for (branch, count) in other.reached.into_iter().filter(|(_, count)| *count > 0) {
            *self.reached.entry(branch).or_default() += count;
        }
        self.simulated += other.simulated;
    }
}

/// One kind of storm.
pub(crate) struct Storm {
    /// The test binary it is in, for the replay.
    pub(crate) test: &'static str,
    /// Seeds of an everyday run.
    pub(crate) seeds: u64,
    /// Runs one seed and holds it to its invariants.
    pub(crate) run: fn(u64) -> Outcome,
    /// What all seeds together must have met: a branch that no storm reaches is one that no storm tests.
    pub(crate) branches: &'static [&'static str],
}

impl Storm {
    /// Runs the storm under all seeds; what they came to together.
    ///
    /// # Panics
    /// With the command that replays it when a seed failed; or when the seeds, as many as those of every day or
    /// more, have not met a branch.
    pub(crate) fn weather_all(&self) -> Outcome {
        if let Some(seed) = number("STORM_SEED") {
            return (self.run)(seed);
        }
        let (first, seeds) = (
            number("STORM_FROM").unwrap_or(0),
            number("STORM_SEEDS").unwrap_or(self.seeds),
        );
        let begin = Instant::now();
        let mut told = begin;
        let mut total = Outcome::default();
        for done in 0..seeds {
            total.add(self.weather(first + done));
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                self.tell(done + 1, seeds, &total, begin.elapsed());
            }
        }
        self.tell(seeds, seeds, &total, begin.elapsed());
        self.tell_branches(&total);
        let missed: Vec<_> = self
            .branches
            .iter()
            .filter(|branch| !total.reached.contains_key(**branch))
            .collect();
        assert!(
            missed.is_empty() || seeds < self.seeds,
            "no storm reached {missed:?}: {:#?}",
            total.reached
        );
        total
    }

    fn weather(&self, seed: u64) -> Outcome {
        let run = self.run;
        let Ok(outcome) = catch_unwind(move || run(seed)) else {
            panic!(
                "seed {seed} failed, see above; again with\n    STORM_SEED={seed} cargo test -p domain --test {}",
                self.test
            )
        };
        outcome
    }

    #[expect(clippy::print_stderr, reason = "a run of hours is watched")]
    fn tell(&self, done: u64, seeds: u64, total: &Outcome, took: Duration) {
        let hours = total.simulated.as_secs() / 3_600;
        eprintln!(
            "{}: {done} of {seeds} seeds, {hours} simulated hours, {:.1} a second",
            self.test,
            total.simulated.as_secs_f64() / 3_600.0 / took.as_secs_f64().max(0.001)
        );
    }

    #[expect(clippy::print_stderr, reason = "a run of hours is watched")]
    fn tell_branches(&self, total: &Outcome) {
        eprintln!("{}: {:?}", self.test, total.reached);
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
    )
}
