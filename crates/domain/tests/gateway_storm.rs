//! The gateway's storm: ladder, setup, images and replacement over a fake host in bad weather, with people who
//! terminate things mid-way; numbered invariants at every step and convergence once the weather calms.
#![allow(clippy::unwrap_used)]

mod storm {
    pub(crate) mod drive;
    pub(crate) mod gateway;
    pub(crate) mod people;
    pub(crate) mod seeds;
    pub(crate) mod watched_host;
}

use storm::gateway::Sim;
use storm::seeds::Storm;

/// What every planner can decide; one that no storm reaches is one that no storm tests.
const BRANCHES: &[&str] = &[
    "ladder Restart",
    "ladder Reboot",
    "ladder Stop",
    "ladder Start",
    "ladder Replace",
    "ladder well",
    "ladder suspect",
    "ladder it seems well again",
    "ladder well again",
    "ladder what was tried has",
    "ladder a replacement is under way",
    "ladder nothing is left to try",
    "ladder too soon",
    "symptom Gone",
    "symptom Stopped",
    "symptom SystemFailed",
    "symptom SoftwareFailed",
    "symptom Silent",
    "symptom AllOffline",
    "symptom NoVideo",
    "shut out",
    "recover begin",
    "recover → waiting for its checks",
    "recover → setting it up",
    "recover → moving the address",
    "recover → verifying through the address",
    "recover → giving the address back",
    "recover → announcing it",
    "recover → stopping the old instance",
    "recover → comparing its devices",
    "recover finished",
    "recover abandoned",
    "recover failed: no instance could be launched",
    "recover failed: somebody terminated",
    "recover failed: somebody stopped",
    "recover failed: the host did not find",
    "recover failed: it did not answer through the address",
    "recover failed, launching an instance",
    "recover failed, waiting for its checks",
    "recover failed, setting it up",
    "recover failed, moving the address",
    "recover failed, verifying through the address",
    "recover failed, giving the address back",
    "recover the drill makes way",
    "recover adopted",
    "recover goes back to the gateway",
    "recover faster",
    "setup: name the gateway",
    "setup: set the clock",
    "setup: map the gateway's own ports",
    "setup: map the devices' ports",
    "setup: whether it was done is not known",
    "setup: a person is needed",
    "setup: restart",
    "deed launch",
    "deed move",
    "deed announce",
    "deed stop",
    "deed terminate",
    "deed create",
    "deed delete it failed",
    "deed delete it never completed",
    "deed delete there are too many",
    "deed delete it is too old",
    "crash",
    "two at once",
    "clock ahead",
    "clock behind",
];

#[test]
fn a_storm_holds_its_invariants_and_order_returns_after_it() {
    let storm = Storm {
        test: "gateway_storm",
        seeds: 60,
        run: |seed| Sim::new(seed).run(),
        branches: BRANCHES,
    };
    let _ = storm.weather_all();
}

/// They found what docs/benchmarks.md tells of, or how long the storm may take, before clocks were stepped in it.
const ONCE_FAILED: [u64; 2] = [356, 4240];
/// A person makes a gateway fresh from its base image the gateway, and it refuses the check before setup comes to it.
const FRESH_AND_REFUSED: u64 = 352;

#[test]
fn seeds_that_once_failed_hold() {
    for seed in ONCE_FAILED {
        Sim::new(seed).with_a_steady_clock().run();
    }
    Sim::new(FRESH_AND_REFUSED).run();
}
