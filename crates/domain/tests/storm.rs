//! The storm: poll, dispatch and modelled recorders over fake ports in bad weather, with numbered invariants at
//! every step and convergence once the weather calms.
//!
//! `STORM_SEEDS` sets how many seeds run (default 60); a failing seed is printed.
#![allow(clippy::unwrap_used)]

mod storm {
    pub(crate) mod drive;
    pub(crate) mod seeds;
    pub(crate) mod sim;
    pub(crate) mod watched;
}

use storm::seeds::weather_all;
use storm::sim::Sim;

#[test]
fn holds_its_invariants_in_bad_weather_and_converges_after_it() {
    let reached = weather_all(|seed| Sim::new(seed).run());
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
