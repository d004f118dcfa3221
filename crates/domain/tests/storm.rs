//! The storm: poll, dispatch and modelled recorders over fake ports in bad weather, with numbered invariants at
//! every step and convergence once the weather calms.
//!
//! `STORM_SEEDS` sets how many seeds run (default 60); a failing seed is printed.
#![allow(clippy::unwrap_used)]

mod storm {
    pub(crate) mod drive;
    pub(crate) mod sim;
    pub(crate) mod watched;
}

use std::collections::BTreeMap;
use storm::sim::Sim;

#[test]
fn holds_its_invariants_in_bad_weather_and_converges_after_it() {
    let seeds: u64 = std::env::var("STORM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60);
    let mut reached: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| Sim::new(seed).run());
        let Ok(branches) = outcome else {
            panic!("seed {seed} failed, see above")
        };
        for (branch, count) in branches {
            *reached.entry(branch).or_default() += count;
        }
    }
    // A branch that no storm reaches is a branch that no storm tests.
    for branch in [
        "add",
        "record",
        "is-back",
        "miss",
        "remove",
        "hold",
        "forget",
        "update",
        "give",
        "start",
        "stop",
        "First",
        "TaskGone",
        "TaskHung",
        "NotStarted",
        "OtherKind",
        "wait",
        "leave",
        "crash",
        "two-dispatchers",
    ] {
        assert!(
            reached.get(branch).is_some_and(|count| *count > 0),
            "no storm reached `{branch}`: {reached:?}"
        );
    }
}
