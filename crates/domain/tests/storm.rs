//! The storm: poll, dispatch, freshness and the news of deaths, over fake ports in bad weather and with modelled
//! recorders; numbered invariants at every step, and order again once the weather calms.
#![allow(clippy::unwrap_used)]

mod storm {
    pub(crate) mod door;
    pub(crate) mod drive;
    pub(crate) mod fleet;
    pub(crate) mod ledger;
    pub(crate) mod mischief;
    pub(crate) mod owed;
    pub(crate) mod reached;
    pub(crate) mod recorder;
    pub(crate) mod recorders;
    pub(crate) mod recording;
    pub(crate) mod seeds;
    pub(crate) mod verdict;
    pub(crate) mod wakes;
    pub(crate) mod watched;
}

use jiff::SignedDuration;
use storm::fleet::Sim;
use storm::seeds::Storm;

/// What the planners can decide, and what must have happened to them.
const BRANCHES: &[&str] = &[
    "add",
    "record",
    "details",
    "is-back",
    "miss",
    "remove",
    "remove after a clock step",
    "hold",
    "lookup New",
    "lookup Returned",
    "lookup ChannelCountChanged",
    "lookup Incomplete",
    "lookup RecorderTrouble",
    "lookup failed",
    "lookups at their limit",
    "URL not to be had",
    "row written meanwhile",
    "rejection lifted",
    "forget",
    "update",
    "give",
    "start",
    "stop: it has no channel",
    "stop: it reports nothing",
    "stop called off",
    "start refused",
    "move refused",
    "assignment written meanwhile",
    "First",
    "TaskGone",
    "TaskHung",
    "NotStarted",
    "OtherKind",
    "TaskLeaves",
    "TaskOutdated",
    "TaskSparse",
    "handed over",
    "successor found by its picture",
    "successor found by its time",
    "successor not found",
    "hands over without the table",
    "moved again before it had moved",
    "held back no longer",
    "predecessor dies",
    "successor dies before its first picture",
    "left without a successor",
    "wait",
    "leave",
    "credentials",
    "left: Launching",
    "left: SilentTogether",
    "left: OutdatedInTurn",
    "left: SparseInTurn",
    "left: GivenAway",
    "left: NotGivenBack",
    "left: RecordsOn",
    "again: StartsLeft",
    "again: StepsFailed",
    "again: ChannelDue",
    "inherits its predecessor",
    "stale",
    "mute",
    "gateway blamed",
    "fenced",
    "an orphan ends",
    "spool lost",
    "goes on without the table",
    "password rejected",
    "password held back",
    "tries its password again",
    "leaves for another password",
    "interrupted",
    "many interrupted",
    "all tasks die",
    "clock step",
    "poison",
    "row deleted by hand",
    "assignment deleted by hand",
    "deploy",
    "started by hand",
    "ended by hand",
    "memory spoilt",
    "death told",
    "death told before",
    "death in a flood",
    "death given up",
    "batch again",
    "crash",
    "hangs for a while",
    "polls at once",
    "dispatchers at once",
];

/// Of the time that streams were to be had in bad weather, this much is recorded over many seeds.
const MEAN_PERCENT: u64 = 75;
/// Less simulated time proves nothing about a mean.
const MEASURED: SignedDuration = SignedDuration::from_hours(100);

#[test]
fn a_storm_holds_its_invariants_and_order_returns_after_it() {
    let storm = Storm {
        test: "storm",
        seeds: 60,
        run: |seed| Sim::new(seed).run(),
        branches: BRANCHES,
    };
    let total = storm.weather_all();
    let of = |what: &str| total.reached.get(what).copied().unwrap_or(0);
    let percent = of("recorded") * 100 / of("offered").max(1);
    assert!(
        percent >= MEAN_PERCENT || total.simulated < MEASURED,
        "I13: {percent} % of what was to be had was recorded"
    );
}

/// They found what docs/benchmarks.md tells of, or a fault of the storm itself.
const ONCE_FAILED: [u64; 4] = [565, 790, 2134, 4418];

#[test]
fn seeds_that_once_failed_hold() {
    for seed in ONCE_FAILED {
        Sim::new(seed).run();
    }
}
